"""Compares our features with librosa's and pyloudnorm's on recordings, and prints the worst difference of each.

Usage: features.py --data DIR --ours BINARY
BINARY is the example `features` of polyphony-analysis. The recordings are all WAV and FLAC files in DIR/pitch,
DIR/separation and DIR/asr, each at its own sample rate, so that no resampler stands between the two.
"""

import argparse
import json
import subprocess
import warnings
from pathlib import Path

import librosa
import numpy
import pyloudnorm
import scipy.signal
import soundfile

FOLDERS = ("pitch", "separation", "asr")
MAJOR = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88]
MINOR = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17]
# The filters of the standard; pyloudnorm's default ones differ from them by some hundredths of a decibel.
STANDARD = "DeMan"


def theirs(samples: numpy.ndarray, rate: int) -> dict[str, numpy.ndarray]:
    """What librosa makes of mono samples, a row a frame."""
    mel = librosa.feature.melspectrogram(y=samples, sr=rate)
    found = {
        "OnsetStrength": librosa.onset.onset_strength(y=samples, sr=rate)[None],
        "Chroma": librosa.feature.chroma_stft(y=samples, sr=rate),
        "MelSpectrogram": mel,
        "Mfcc": librosa.feature.mfcc(S=librosa.power_to_db(mel)),
        "Rms": librosa.feature.rms(y=samples),
        "ZeroCrossingRate": librosa.feature.zero_crossing_rate(samples),
        "SpectralCentroid": librosa.feature.spectral_centroid(y=samples, sr=rate),
        "SpectralBandwidth": librosa.feature.spectral_bandwidth(y=samples, sr=rate),
        "SpectralRolloff": librosa.feature.spectral_rolloff(y=samples, sr=rate),
        "SpectralFlatness": librosa.feature.spectral_flatness(y=samples),
    }
    if rate > 12_800:
        found["SpectralContrast"] = librosa.feature.spectral_contrast(y=samples, sr=rate)
    return {name: rows.T for name, rows in found.items()}


def key(chroma: numpy.ndarray) -> tuple[int, bool]:
    """Krumhansl and Schmuckler's answer for the mean of librosa's chroma: the tonic, and whether it is minor."""
    mean = chroma.mean(axis=0)
    scores = {
        (tonic, minor): numpy.corrcoef(mean, numpy.roll(profile, tonic))[0, 1]
        for minor, profile in ((False, MAJOR), (True, MINOR))
        for tonic in range(12)
    }
    return max(scores, key=scores.get)


def true_peak(samples: numpy.ndarray) -> float:
    """Of samples by channels, four times oversampled by scipy."""
    peaks = numpy.abs(scipy.signal.resample_poly(samples, 4, 1, axis=0)).max()
    return 20 * numpy.log10(max(peaks, 1e-12))


class Tally:
    """The worst of each difference, and how often things agree."""

    def __init__(self):
        self.worst: dict[str, tuple[float, float, str]] = {}
        self.same: dict[str, list[bool]] = {}

    def differ(self, what: str, difference: float, scale: float, path: Path) -> None:
        if difference >= self.worst.get(what, (-1.0,))[0]:
            self.worst[what] = (difference, scale, path.name)

    def agree(self, what: str, same: bool) -> None:
        self.same.setdefault(what, []).append(same)


def run(binary: str, path: Path, *flags: str) -> dict:
    done = subprocess.run([binary, "--own-rate", *flags, str(path)], capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout)


def matrices(found: dict) -> dict[str, numpy.ndarray]:
    return {
        name: numpy.array(matrix["values"]).reshape(-1, matrix["rows"]) for name, matrix in found["matrices"].items()
    }


def compare(binary: str, path: Path, tally: Tally) -> float:
    channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = channels.mean(axis=1)
    ours, reference = run(binary, path), theirs(samples, rate)
    mine = matrices(ours)
    for name, expected in reference.items():
        found = mine[name]
        assert found.shape == expected.shape, (path, name, found.shape, expected.shape)
        tally.differ(name, float(numpy.abs(found - expected).max()), float(numpy.abs(expected).max()), path)
        if name == "SpectralRolloff":
            off = numpy.abs(found - expected) > rate / 2048 / 2
            tally.same.setdefault("roll-off of a frame", []).extend((~off).ravel().tolist())

    spectrum = numpy.abs(librosa.stft(samples)) ** 2
    tally.agree("tuning", abs(librosa.estimate_tuning(S=spectrum, sr=rate) - ours["tuning"]) < 1e-6)
    tally.agree("key", key(reference["Chroma"]) == (ours["key"]["tonic"], ours["key"]["minor"]))
    bpm, beats = librosa.beat.beat_track(y=samples, sr=rate)
    tally.agree("tempo", abs(float(numpy.atleast_1d(bpm)[0]) - ours["tempo"]["bpm"]) < 1e-6)
    tally.agree("all beats", beats.tolist() == ours["tempo"]["beats"])

    loudness = ours["loudness"]
    meter = pyloudnorm.Meter(rate, filter_class=STANDARD)
    channels = channels.astype(numpy.float64)
    # pyloudnorm rounds the number of its blocks, so that of a short recording it may weigh one that is not whole; and it
    # puts silence behind a recording before it takes the range.
    if len(samples) > 5 * rate:
        integrated = meter.integrated_loudness(channels)
        tally.differ("integrated, LUFS (from 5 s)", abs(loudness["integrated"] - integrated), abs(integrated), path)
    if len(samples) > 15 * rate:
        span = meter.loudness_range(channels)
        tally.differ("range, LU (from 15 s)", abs(loudness["range"] - span), span, path)
    peak = true_peak(channels)
    tally.differ("true peak, dBTP (scipy's)", abs(loudness["true_peak"] - peak), abs(peak), path)

    stream = run(binary, path, "--stream")
    for name, found in matrices(stream).items():
        same = (found == mine[name]).all(axis=1).tolist()
        tally.same.setdefault(f"{name} of a frame of the stream", []).extend(same)
    tally.agree("tempo of the stream", stream["tempo"]["bpm"] == ours["tempo"]["bpm"])
    tally.agree("all beats of the stream", stream["tempo"]["beats"] == ours["tempo"]["beats"])
    tally.agree("key of the stream", stream["key"] == ours["key"])
    return ours["duration"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", required=True)
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)

    paths = sorted(path for folder in FOLDERS for path in (args.data / folder).glob("*") if path.suffix in (".wav", ".flac"))
    if not paths:
        raise SystemExit(f"--data {args.data}: no recordings in {', '.join(FOLDERS)}")
    tally = Tally()
    seconds = sum(compare(args.ours, path, tally) for path in paths)
    print(f"features of {len(paths)} recordings, {seconds:.0f} s, beside librosa {librosa.__version__} and pyloudnorm")
    print(f"{'':28} {'worst difference':>18} {'of at most':>12}  in")
    for what, (difference, scale, name) in tally.worst.items():
        print(f"{what:28} {difference:18.3g} {scale:12.4g}  {name}")
    for what, same in tally.same.items():
        print(f"{what:44} the same in {sum(same)} of {len(same)}")


if __name__ == "__main__":
    main()
