"""How well mixes are taken apart: the scale-invariant signal-to-distortion ratio of stems against the true ones.

Usage: separation.py --data DIR [--torch PYTHON] [GRAPH...]
DIR holds truth.jsonl: mixes of speech and music, with both apart. GRAPH: the files of one htdemucs export; else every
htdemucs of the model store is scored (`polyphony models pull StemSplitio/htdemucs-onnx`). Speech is measured against the
stem `vocals`, music against all others together.

Weights come from a hub. Where there are none, nothing can be scored, and that is said. What can be shown without them is
that the same network gives the same stems: PYTHON, or $TORCH_PYTHON, is an interpreter with torch, onnx, onnxruntime and
demucs==4.1.0, which makes an htdemucs of full size with random weights and takes the first mix apart with it.
Finds our example `stems` in $CARGO_TARGET_DIR/release/examples.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import wave
from fractions import Fraction
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100


def peer(mix: str, folder: str) -> None:
    """Runs in the interpreter that has demucs: makes the network, and takes the mix apart."""
    import time

    import torch

    sys.path.append(str(ROOT / "services/analysis/tests/fixtures/engines"))
    import make_separation_golden as golden

    torch.backends.mha.set_fastpath_enabled(False)
    torch.manual_seed(1)
    # What demucs' own htdemucs departs from the class's defaults in.
    network = golden.random_htdemucs(bottom_channels=512, dconv_mode=3, segment=Fraction(39, 5))
    with wave.open(mix) as file:
        pcm = numpy.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    sound = torch.from_numpy(pcm.T.astype(numpy.float32) / 32_768)
    segment = torch.zeros(1, 2, int(network.segment * RATE))
    with torch.no_grad():
        spec = network._magnitude(network._spec(segment))
        ports = (["mix", "spec"], ["spec_out", "wave_out"])
        golden.export(golden.Core(network).eval(), (segment, spec), Path(folder) / "core.onnx", ports)
        began, used = time.perf_counter(), time.process_time()
        stems = golden.separate(network, sound, shifts=0, overlap=0.25)
    cost = {"wall_seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    numpy.save(Path(folder) / "stems.npy", stems.numpy())
    print(json.dumps({"stems": golden.SOURCES, **cost}))


def run(command: list) -> dict:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def separate(mix: Path, graphs: list[Path], *options: str) -> tuple[dict[str, numpy.ndarray], dict]:
    """Our stems as [frames, channels], and what they cost."""
    ours = Path(os.environ["CARGO_TARGET_DIR"]) / "release/examples/stems"
    with tempfile.TemporaryDirectory() as folder:
        told = run([ours, *options, mix, folder, *graphs])
        files = {stem: Path(folder) / f"{stem}.f32" for stem in told["stems"]}
        stems = {stem: numpy.fromfile(file, "<f4").reshape(-1, told["channels"]) for stem, file in files.items()}
    return stems, told


def si_sdr(estimate: numpy.ndarray, truth: numpy.ndarray) -> float:
    """In decibels (Le Roux et al. 2019)."""
    estimate, truth = estimate - estimate.mean(), truth - truth.mean()
    target = estimate @ truth / (truth @ truth) * truth
    return 10 * numpy.log10((target @ target) / ((estimate - target) @ (estimate - target)))


def mono(path: Path) -> numpy.ndarray:
    import soundfile

    return soundfile.read(path, always_2d=True)[0].mean(1)


def score(data: Path, lines: list[dict], graphs: list[Path]) -> None:
    print(f"{'':32} {'mix dB':>8} {'stem dB':>8} {'gain dB':>8} {'CPU-s/s':>8}")
    for line in lines:
        stems, told = separate(data / line["mix"], graphs)
        vocals = stems.pop("vocals").mean(1)
        found = {"speech": vocals, "music": sum(stems.values()).mean(1)}
        mix = mono(data / line["mix"])
        for stem, file in line["stems"].items():
            truth = mono(data / file)
            before, after = si_sdr(mix, truth), si_sdr(found[stem], truth)
            work = told["cpu_seconds"] / told["audio_seconds"]
            print(f"{line['mix'] + ', ' + stem:32} {before:8.1f} {after:8.1f} {after - before:8.1f} {work:8.2f}", flush=True)


def parity(mix: Path, python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # As the network wants it, so that nothing but the network and what is around it is compared.
        sound = numpy.repeat(mono(mix), 2)
        sides = numpy.stack([sound, numpy.roll(sound, 441)], 1)
        path = Path(folder) / "mix.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((sides * 32_767).astype("<i2").tobytes())
        theirs = run([python, __file__, "--peer", path, folder])
        stems, ours = separate(path, [Path(folder) / "core.onnx"], "--shifts", "0")
        expected = numpy.load(Path(folder) / "stems.npy")
    print(f"  {'':8} {'largest difference':>18} {'of a spread of':>15} {'SI-SDR dB':>10}")
    for stem, truth in zip(theirs["stems"], expected):
        found, truth = stems[stem].T.astype(float), truth.astype(float)
        apart = numpy.abs(found - truth).max()
        print(f"  {stem:8} {apart:18.1e} {truth.std():15.2f} {si_sdr(found.ravel(), truth.ravel()):10.1f}")
    seconds = ours["audio_seconds"]
    for what in ("cpu", "wall"):
        mine, other = (told[f"{what}_seconds"] / seconds for told in (ours, theirs))
        print(f"  {what} seconds a second of audio: ours {mine:.2f}, demucs {other:.2f}")


def installed() -> list[list[Path]]:
    """The graphs of each htdemucs in the store."""
    store = Path(os.environ["POLYPHONY_HOME"]) / "models/installed"
    folders = sorted(folder for folder in store.glob("*htdemucs*/*/*") if folder.is_dir())
    return [graphs for folder in folders if (graphs := sorted(folder.rglob("*.onnx")))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("graphs", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--torch", default=os.environ.get("TORCH_PYTHON", sys.executable))
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(*args.peer)
        return
    if args.data is None:
        parser.error("--data is missing")

    lines = [json.loads(line) for line in (args.data / "truth.jsonl").read_text().splitlines() if line.strip()]
    models = [args.graphs] if args.graphs else installed()
    print("\nSeparation: SI-SDR of the stems, and what it gains over the mix")
    for graphs in models:
        print(", ".join(graph.name for graph in graphs))
        score(args.data, lines, graphs)
    if models:
        return
    print("  nothing is scored: no htdemucs is in the store; `polyphony models pull StemSplitio/htdemucs-onnx`")
    if subprocess.run([args.torch, "-c", "import demucs.htdemucs, onnx, onnxruntime"], capture_output=True).returncode:
        print("  nor is demucs compared: set TORCH_PYTHON to a Python with torch, onnx, onnxruntime and demucs==4.1.0")
        return
    print("  the same network of full size and random weights, ours beside demucs 4.1.0:")
    parity(args.data / lines[0]["mix"], args.torch)


if __name__ == "__main__":
    main()
