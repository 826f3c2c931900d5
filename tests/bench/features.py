"""CPU time of our features beside librosa's and pyloudnorm's in the same run: from a file to every feature.

Usage: features.py [--seconds N] [--rounds N]
Finds the release example `features` in $CARGO_TARGET_DIR/release/examples. The recording is music made by formula, a
stereo FLAC at 44,100 Hz; both sides decode it, resample it to 22,050 Hz and measure what the row says. librosa runs in
this process, warmed up by one round, on one thread. Prints CPU seconds a minute of audio, and the ratio.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import argparse
import resource
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import librosa
import numpy
import pyloudnorm
import soundfile

from procs import machine

FILE_RATE, RATE = 44_100, 22_050


def music(seconds: float) -> numpy.ndarray:
    """Stereo chords over beats and faint noise."""
    t = numpy.arange(int(FILE_RATE * seconds)) / FILE_RATE
    since, bar = numpy.mod(t, 60 / 104), (t // (4 * 60 / 104)).astype(int) % 4
    out = numpy.zeros((len(t), 2))
    for which, chord in enumerate([[50, 62, 66, 69], [57, 61, 64, 73], [47, 59, 62, 66], [43, 59, 62, 67]]):
        for at, note in enumerate(chord):
            wave = numpy.sin(2 * numpy.pi * 440 * 2 ** ((note - 69) / 12) * t) * numpy.exp(-3 * since) * (bar == which)
            out += 0.1 * numpy.outer(wave, (0.4 + 0.2 * at, 1 - 0.2 * at))
    noise = numpy.random.default_rng(1).normal(size=out.shape)
    return out + noise * (0.05 * numpy.exp(-40 * numpy.mod(t + 0.29, 60 / 104))[:, None] + 1e-4)


def loudness(path: Path, *_) -> None:
    samples, rate = soundfile.read(path)
    meter = pyloudnorm.Meter(rate)
    meter.integrated_loudness(samples)
    meter.loudness_range(samples)


def everything(path: Path, y: numpy.ndarray) -> None:
    for _, run in ROWS.values():
        if run is not everything:
            run(path, y)


# What is measured: the features as ours name them, and what librosa does for the same.
ROWS = {
    "RMS and zero crossings": (
        "Rms,ZeroCrossingRate",
        lambda _, y: (librosa.feature.rms(y=y), librosa.feature.zero_crossing_rate(y)),
    ),
    "MFCC": ("Mfcc", lambda _, y: librosa.feature.mfcc(y=y, sr=RATE)),
    "spectral shape and contrast": (
        "SpectralCentroid,SpectralBandwidth,SpectralRolloff,SpectralFlatness,SpectralContrast",
        lambda _, y: (
            librosa.feature.spectral_centroid(y=y, sr=RATE),
            librosa.feature.spectral_bandwidth(y=y, sr=RATE),
            librosa.feature.spectral_rolloff(y=y, sr=RATE),
            librosa.feature.spectral_flatness(y=y),
            librosa.feature.spectral_contrast(y=y, sr=RATE),
        ),
    ),
    "chroma": ("Chroma,Key", lambda _, y: librosa.feature.chroma_stft(y=y, sr=RATE)),
    "onsets, tempo and beats": (
        "OnsetStrength,Tempo",
        lambda _, y: (librosa.onset.onset_strength(y=y, sr=RATE), librosa.beat.beat_track(y=y, sr=RATE)),
    ),
    "loudness (true peak: ours only)": ("Loudness", loudness),
    "all of these": (
        "Rms,ZeroCrossingRate,Mfcc,SpectralCentroid,SpectralBandwidth,SpectralRolloff,SpectralFlatness,SpectralContrast,"
        "Chroma,Key,OnsetStrength,Tempo,Loudness",
        everything,
    ),
}


def ours(binary: Path, path: Path, features: str, rounds: int) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(binary), "--only", features, "--rounds", str(rounds), str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds


def theirs(path: Path, run, rounds: int) -> float:
    def once() -> None:
        # pyloudnorm reads the file itself, in its own rate.
        run(path, None if run is loudness else librosa.load(path, sr=RATE)[0])

    once()
    began = time.process_time()
    for _ in range(rounds):
        once()
    return (time.process_time() - began) / rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)

    target = Path(os.environ.get("CARGO_TARGET_DIR", Path.home() / ".cache/polyphony/target"))
    binary = target / "release" / "examples" / "features"
    print(machine())
    print(f"CPU seconds a minute of stereo FLAC, decoding included; librosa {librosa.__version__}")
    print(f"{'':34} {'ours':>8} {'librosa':>9} {'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "music.flac"
        soundfile.write(path, music(args.seconds), FILE_RATE, subtype="PCM_16")
        for what, (features, run) in ROWS.items():
            mine, other = ours(binary, path, features, args.rounds), theirs(path, run, args.rounds)
            scale = 60 / args.seconds
            print(f"{what:34} {mine * scale:8.3f} {other * scale:9.3f} {other / mine:6.1f}x", flush=True)


if __name__ == "__main__":
    main()
