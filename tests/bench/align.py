"""Time of the search behind CTC alignment, ours beside torchaudio's, on the same random emissions, rounds interleaved.

Usage: align.py [--rounds N] [--torch PYTHON]
torchaudio needs torch, so it is not installed here: PYTHON, or $TORCH_PYTHON, is an interpreter with torch and torchaudio
2.11 (its last with `forced_align`). Without one only our figures are printed.
Finds our example `trellis` in $CARGO_TARGET_DIR/release/examples.

Emissions are those of a network that is fairly sure of a random text: 50 frames a second, 32 letters, 14 of the text a
second. Both sides are given log-probabilities and search on one thread; the network is not run. Two paths of sums in 32
bits may part where they cost nearly the same, so both are summed again in 64 bits, and ours must not be dearer.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

FRAMES_PER_SECOND, COLUMNS, LETTERS_PER_SECOND = 50, 32, 14
SECONDS = (10, 60, 240)
# Seconds of emissions that a process searches, so that even the shortest takes many ticks of the clock.
SEARCHED = 2_400


def emissions(seconds: int) -> tuple[numpy.ndarray, list[int]]:
    """Log-probabilities [frames, columns], the blank's first, and the letters that they are of."""
    random = numpy.random.default_rng(seconds)
    frames, count = seconds * FRAMES_PER_SECOND, seconds * LETTERS_PER_SECOND
    letters = random.integers(1, COLUMNS, count)
    logits = random.normal(size=(frames, COLUMNS))
    logits[:, 0] += 2.0
    # A letter every third or fourth frame, so that two of the same have a blank between them.
    logits[((numpy.arange(count) + 0.5) * frames / count).astype(int), letters] += 4.0
    logits -= numpy.log(numpy.exp(logits).sum(1, keepdims=True))
    return logits.astype("<f4"), letters.tolist()


def peer() -> None:
    """Runs in the interpreter that has torch: as our example."""
    import time
    import warnings

    import torch
    import torchaudio

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    request = json.load(sys.stdin)
    rows = numpy.fromfile(request["emissions"], "<f4").reshape(1, -1, request["columns"])
    rows, letters = torch.from_numpy(rows), torch.tensor([request["letters"]], dtype=torch.int32)
    walls, cpu = [], time.process_time()
    for _ in range(request["rounds"]):
        began = time.perf_counter()
        path, _ = torchaudio.functional.forced_align(rows, letters, blank=0)
        walls.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / request["rounds"]
    print(json.dumps({"path": path[0].tolist(), "wall_seconds": statistics.median(walls), "cpu_seconds": cpu}))


def run(command: list[str], request: dict) -> dict:
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def check(path: list[int], letters: list[int]) -> None:
    """The path says the letters and nothing else."""
    said = [column for before, column in zip([0, *path], path) if column not in (0, before)]
    if said != letters:
        sys.exit("our path does not say the text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON", sys.executable))
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer()
        return

    from procs import machine, release

    ours, theirs = [str(release("examples/trellis"))], [args.torch, __file__, "--peer"]
    has_peer = "import torchaudio; torchaudio.functional.forced_align"
    compared = subprocess.run([args.torch, "-c", has_peer], capture_output=True).returncode == 0
    print(machine(), flush=True)
    if not compared:
        print("torchaudio is not compared: set TORCH_PYTHON to a Python with torch and torchaudio 2.11")
    columns = f"{'ours ms':>8} {'CPU':>8} {'x real time':>12} {'torchaudio':>11} {'CPU':>8}   {'wall':>6} {'CPU':>6}"
    print(f"{'search for the way of a text':30} {columns}  path")
    with tempfile.TemporaryDirectory() as folder:
        for seconds in SECONDS:
            rows, letters = emissions(seconds)
            path = Path(folder) / "emissions.f32"
            rows.tofile(path)
            request = {"emissions": str(path), "columns": COLUMNS, "letters": letters, "rounds": SEARCHED // seconds}
            mine, other = [], []
            for _ in range(args.rounds):
                mine.append(run(ours, request))
                if compared:
                    other.append(run(theirs, request))
            check(mine[0]["path"], letters)
            wall, cpu = middle(mine)
            line = f"{f'{seconds} s, {len(letters)} letters':30} {wall * 1e3:8.2f} {cpu * 1e3:8.2f} {seconds / cpu:12,.0f}"
            if compared:
                wall_other, cpu_other = middle(other)
                line += f" {wall_other * 1e3:11.2f} {cpu_other * 1e3:8.2f}   {wall_other / wall:5.1f}x {cpu_other / cpu:5.1f}x"
                line += f"  {verdict(rows, mine[0]['path'], other[0]['path'])}"
            print(line, flush=True)


def middle(runs: list[dict]) -> list[float]:
    return [statistics.median(run[key] for run in runs) for key in ("wall_seconds", "cpu_seconds")]


def verdict(rows: numpy.ndarray, mine: list[int], theirs: list[int]) -> str:
    if mine == theirs:
        return "equal"
    cost, other = (-rows[numpy.arange(len(rows)), path].sum(dtype=numpy.float64) for path in (mine, theirs))
    if cost > other + 1e-3:
        sys.exit(f"our path costs {cost}, torchaudio's {other}")
    parted = sum(a != b for a, b in zip(mine, theirs))
    return f"{parted} of {len(mine)} frames differ, ours costs {other - cost:.1e} less"


if __name__ == "__main__":
    main()
