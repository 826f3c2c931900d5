"""Makes golden.json: what librosa 0.11 and pyloudnorm 0.2 say of signals that `signal.rs` makes by the same formula.

    python -m venv v && v/bin/pip install librosa==0.11.0 pyloudnorm==0.2.0
    v/bin/python make_golden.py

Each case names the settings, and has of every feature the rows of some frames, so that the file stays small.
"""

import json
import os

import librosa
import numpy as np
import pyloudnorm


def signal(rate, seconds, quiet):
    """Four chords in D major, a little sharp, a beat at 104 a minute, over faint noise, after `quiet` s of silence."""
    n = np.arange(int(rate * seconds))
    t = n / rate
    beat = 60.0 / 104.0
    out = np.zeros(len(n))
    chords = [[50, 62, 66, 69], [57, 61, 64, 73], [47, 59, 62, 66], [43, 59, 62, 67]]
    # How long ago the last beat and the last half beat were.
    since = np.mod(t, beat)
    half = np.mod(t + beat / 2.0, beat)
    bar = np.floor(t / (4.0 * beat)).astype(int) % 4
    for which, chord in enumerate(chords):
        on = bar == which
        for note in chord:
            hz = 440.0 * 2.0 ** ((note - 69 + 0.137) / 12.0)
            for harmonic in (1, 2, 3):
                wave = np.sin(2.0 * np.pi * hz * harmonic * t)
                out += on * 0.08 / harmonic * np.exp(-3.0 * since) * wave
    state = 12345
    noise = np.empty(len(n))
    for i in range(len(n)):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        noise[i] = state / 4294967296.0 - 0.5
    out += noise * (0.2 * np.exp(-40.0 * half) + 1e-5)
    out[t < quiet] = 0.0
    return out.astype(np.float32)


def rounded(values):
    return [float(f"{value:.8g}") for value in np.asarray(values, dtype=np.float64).ravel()]


def case(rate, seconds, quiet, fft, hop, mels, mfccs, start_bpm, wanted):
    y = signal(rate, seconds, quiet)
    framed = {"n_fft": fft, "hop_length": hop}
    sampled = {"y": y, "sr": rate, **framed}
    mel = librosa.feature.melspectrogram(**sampled, n_mels=mels)
    features = {
        "OnsetStrength": librosa.onset.onset_strength(**sampled, n_mels=mels)[None],
        "Chroma": librosa.feature.chroma_stft(**sampled),
        "MelSpectrogram": mel,
        "Mfcc": librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=mfccs),
        "Rms": librosa.feature.rms(y=y, frame_length=fft, hop_length=hop),
        "ZeroCrossingRate": librosa.feature.zero_crossing_rate(y, frame_length=fft, hop_length=hop),
        "SpectralCentroid": librosa.feature.spectral_centroid(**sampled),
        "SpectralBandwidth": librosa.feature.spectral_bandwidth(**sampled),
        "SpectralRolloff": librosa.feature.spectral_rolloff(**sampled),
        "SpectralFlatness": librosa.feature.spectral_flatness(y=y, **framed),
    }
    if rate > 12800:
        features["SpectralContrast"] = librosa.feature.spectral_contrast(**sampled)
    count = features["Rms"].shape[1]
    frames = sorted(set(range(min(3, count))) | set(np.linspace(0, count - 1, wanted).astype(int).tolist()))
    power = np.abs(librosa.stft(y, **framed)) ** 2
    onsets = librosa.onset.onset_strength(**sampled, n_mels=mels, aggregate=np.median)
    bpm, beats = librosa.beat.beat_track(onset_envelope=onsets, sr=rate, hop_length=hop, start_bpm=start_bpm)
    meter = pyloudnorm.Meter(rate, filter_class="DeMan")
    # The filters that pyloudnorm builds by default differ a little from those of the standard; DeMan's are the standard's.
    loudness = meter.integrated_loudness(y) if seconds >= 0.4 else None
    return {
        "rate": rate,
        "seconds": seconds,
        "quiet": quiet,
        "fft": fft,
        "hop": hop,
        "mels": mels,
        "mfccs": mfccs,
        "start_bpm": start_bpm,
        "count": count,
        "frames": frames,
        "values": {name: rounded(rows[:, frames].T) for name, rows in features.items()},
        "tuning": float(librosa.estimate_tuning(S=power, sr=rate, n_fft=fft)),
        "mean_chroma": rounded(features["Chroma"].mean(axis=1)),
        "bpm": float(np.atleast_1d(bpm)[0]),
        "beats": [int(beat) for beat in beats],
        "loudness": loudness,
    }


if __name__ == "__main__":
    cases = [
        case(22050, 14.0, 0.3, 2048, 512, 128, 20, 120.0, 9),
        case(16000, 6.0, 0.0, 1024, 200, 40, 13, 90.0, 9),
        case(44100, 5.0, 1.0, 4096, 1000, 64, 20, 120.0, 7),
        case(8000, 7.0, 0.0, 512, 128, 32, 12, 200.0, 7),
        case(22050, 0.05, 0.0, 2048, 512, 128, 20, 120.0, 3),
        case(48000, 3.0, 0.2, 2048, 4096, 80, 20, 120.0, 5),
    ]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(cases, file, separators=(",", ":"))
        file.write("\n")
    print(path, os.path.getsize(path))
