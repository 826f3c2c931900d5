"""How often our Silero VAD decides a frame as PyPI's silero-vad does, on the same samples.

Usage: vad.py --data DIR --ours BINARY --model silero_vad.onnx
BINARY is the example `vad_probabilities` of polyphony-inference.
The reference is the model of the PyPI package run by Python's onnxruntime as the package's OnnxWrapper runs it: frames
of 512 samples at 16 kHz, each after the last 64 samples of the frame before, the state carried along.
"""

import argparse
import subprocess
import wave
from pathlib import Path

import numpy
import onnxruntime

FRAME, CONTEXT, RATE = 512, 64, 16_000


def reference(session: onnxruntime.InferenceSession, samples: numpy.ndarray) -> numpy.ndarray:
    state = numpy.zeros((2, 1, 128), numpy.float32)
    context = numpy.zeros(CONTEXT, numpy.float32)
    probabilities = []
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        window = numpy.concatenate([context, samples[start : start + FRAME]])
        feeds = {"input": window[None], "state": state, "sr": numpy.array(RATE, numpy.int64)}
        probability, state = session.run(None, feeds)
        probabilities.append(probability[0, 0])
        context = window[-CONTEXT:]
    return numpy.array(probabilities)


def recordings(folder: Path):
    """The 16 kHz mono WAV files below a folder: no resampling stands between the two implementations."""
    for path in sorted(folder.rglob("*.wav")):
        try:
            with wave.open(str(path)) as file:
                if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2):
                    pcm = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
                    yield path, pcm.astype(numpy.float32) / 32768
        except (wave.Error, EOFError):
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--model", required=True)
    args = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(args.model, options)
    same = frames = 0
    worst = 0.0
    for path, samples in recordings(args.data):
        ours = subprocess.run([args.ours, args.model], input=samples.tobytes(), capture_output=True, check=True, timeout=600)
        mine = numpy.array([float(line) for line in ours.stdout.split()])
        theirs = reference(session, samples)
        assert len(mine) == len(theirs), f"{path}: {len(mine)} frames, not {len(theirs)}"
        same += int(((mine >= 0.5) == (theirs >= 0.5)).sum())
        worst = max(worst, float(abs(mine - theirs).max()))
        frames += len(mine)
    print(f"\nSilero VAD against PyPI silero-vad: {same / frames:.4%} of {frames} frames agree, worst difference {worst:.1e}")


if __name__ == "__main__":
    main()
