"""The Python pipeline that diarization is measured against: silero-vad, Resemblyzer and scikit-learn.

Usage, with an interpreter that has torch, librosa, scipy, scikit-learn, webrtcvad and silero-vad:
diar_peer.py WHEELS RECORDING…
Resemblyzer is taken from WHEELS. Each stretch of speech is cut into windows of 1.6 s every 0.4 s, whose embeddings are
clustered by average linkage on cosine distance. One line of JSON on standard output: by recording the segments for each
threshold of `THRESHOLDS`, and the CPU seconds of loading and of the work, which is one threshold's.
"""

import json
import sys
import time
import types
import wave
from pathlib import Path

RATE, RATE_OF_WINDOWS = 16_000, 2.5
THRESHOLDS = [round(0.20 + 0.02 * n, 2) for n in range(26)]


def main() -> None:
    wheels, recordings = sys.argv[1], [Path(path) for path in sys.argv[2:]]
    import numpy
    import scipy.ndimage
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad
    from sklearn.cluster import AgglomerativeClustering

    # Resemblyzer 0.1.4 names a module that SciPy has dropped.
    old = types.ModuleType("scipy.ndimage.morphology")
    old.binary_dilation = scipy.ndimage.binary_dilation
    sys.modules["scipy.ndimage.morphology"] = old
    # After all others: only Resemblyzer is to come from there.
    sys.path.append(wheels)
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import normalize_volume

    encoder, vad = VoiceEncoder("cpu", verbose=False), load_silero_vad()

    def windows(samples: numpy.ndarray) -> list[tuple[int, int, list]]:
        """Stretches of speech, with the embedding of each window and its middle."""
        speech = get_speech_timestamps(torch.from_numpy(samples), vad, sampling_rate=RATE)
        louder = normalize_volume(samples, -30, increase_only=True).astype(numpy.float32)
        found = []
        for stretch in speech:
            start, end = stretch["start"], stretch["end"]
            _, partials, slices = encoder.embed_utterance(louder[start:end], True, RATE_OF_WINDOWS, 0.5)
            middles = [start + (part.start + min(part.stop, end - start)) / 2 for part in slices]
            found.append((start, end, list(zip(middles, partials))))
        return found

    def segments(found: list, threshold: float) -> list[tuple[float, float, str]]:
        embeddings = [embedding for _, _, windows in found for _, embedding in windows]
        if len(embeddings) < 2:
            labels = [0] * len(embeddings)
        else:
            grouping = AgglomerativeClustering(None, metric="cosine", linkage="average", distance_threshold=threshold)
            labels = grouping.fit_predict(numpy.array(embeddings)).tolist()
        labels, said = iter(labels), []
        for start, end, windows in found:
            names = [next(labels) for _ in windows]
            edges = [(a[0] + b[0]) / 2 for a, b in zip(windows, windows[1:])]
            for name, begin, stop in zip(names, [start, *edges], [*edges, end]):
                said.append((begin / RATE, stop / RATE, str(name)))
        return said

    def read(path: Path) -> numpy.ndarray:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                sys.exit(f"{path}: not 16 kHz, mono, 16 bits")
            pcm = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
        return pcm.astype(numpy.float32) / 32_768

    windows(numpy.random.default_rng(1).normal(0, 0.1, RATE).astype(numpy.float32))
    loading = time.process_time()
    kept, seconds = {}, 0.0
    for path in recordings:
        samples = read(path)
        seconds += len(samples) / RATE
        kept[path.stem] = windows(samples)
        segments(kept[path.stem], 0.3)
    working = time.process_time() - loading
    said = {name: {t: segments(found, t) for t in THRESHOLDS} for name, found in kept.items()}
    print(json.dumps({"said": said, "loading": loading, "working": working, "seconds": seconds}))


if __name__ == "__main__":
    main()
