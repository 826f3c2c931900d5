"""Makes a VITS voice of the size of Piper's "medium" with random weights: `voice.onnx` and `voice.onnx.json`.

Usage: vits.py FOLDER

Layers, widths and kernels are those of Piper's medium voices (15.7 M parameters), so it costs what they cost; it babbles.
One thing is simpler: the flows that make durations are affine and not splines, which are many small steps and little
work. Random weights would make every phone last a frame, so durations get a constant that makes them last as in speech.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

HIDDEN, FILTER, HEADS, LAYERS, WINDOW = 192, 768, 2, 6, 4
SYMBOLS = 256
DURATION = 1.0  # logarithm of the frames of a usual id


class Graph:
    """Nodes and weights, as they are added."""

    def __init__(self):
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(0)
        self.count = 0

    def op(self, kind, *inputs, **attributes):
        self.count += 1
        outputs = attributes.pop("outputs", 1)
        names = [f"{kind.lower()}{self.count}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value):
        self.count += 1
        self.weights.append(numpy_helper.from_array(np.asarray(value), f"w{self.count}"))
        return self.weights[-1].name

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def scalar(self, value):
        return self.constant(np.array(value, np.float32))

    def weight(self, *shape):
        fan = max(1, int(np.prod(shape[1:])))
        return self.constant((self.random.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))

    def conv(self, x, into, out, width=1, dilation=1, groups=1):
        pad = dilation * (width - 1) // 2
        weight, bias = self.weight(out, into // groups, width), self.constant(np.zeros(out, np.float32))
        return self.op(
            "Conv", x, weight, bias, kernel_shape=[width], dilations=[dilation], group=groups, pads=[pad, pad]
        )

    def norm(self, x, width):
        """A layer norm over channels."""
        x = self.op("Transpose", x, perm=[0, 2, 1])
        one, zero = self.constant(np.ones(width, np.float32)), self.constant(np.zeros(width, np.float32))
        return self.op("Transpose", self.op("LayerNormalization", x, one, zero, axis=-1), perm=[0, 2, 1])

    def gelu(self, x):
        erf = self.op("Erf", self.op("Div", x, self.scalar(np.sqrt(2.0))))
        return self.op("Mul", self.op("Mul", x, self.scalar(0.5)), self.op("Add", erf, self.scalar(1.0)))


def attention(g, x, near, places):
    """Self-attention with embeddings of relative places up to WINDOW apart."""
    size = HIDDEN // HEADS

    def heads(y):
        return g.op("Transpose", g.op("Reshape", y, g.ints(1, HEADS, size, -1)), perm=[0, 1, 3, 2])

    q, k, v = (heads(g.conv(x, HIDDEN, HIDDEN)) for _ in range(3))
    q = g.op("Div", q, g.scalar(np.sqrt(size)))
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    relative = g.op("MatMul", q, g.weight(size, 2 * WINDOW + 1))
    relative = g.op("GatherElements", relative, g.op("Expand", places, g.op("Shape", scores)), axis=3)
    scores = g.op("Add", scores, g.op("Mul", relative, near))
    weights = g.op("Softmax", scores, axis=-1)
    values = g.op("MatMul", weights, v)
    by_place = g.op("OneHot", g.op("Squeeze", places, g.ints(0, 1)), g.ints(2 * WINDOW + 1), g.constant(np.array([0, 1], np.float32)))
    by_place = g.op("MatMul", g.op("Unsqueeze", g.op("Mul", weights, near), g.ints(3)), by_place)
    relative = g.op("MatMul", g.op("Squeeze", by_place, g.ints(3)), g.weight(2 * WINDOW + 1, size))
    out = g.op("Transpose", g.op("Add", values, relative), perm=[0, 1, 3, 2])
    return g.conv(g.op("Reshape", out, g.ints(1, HIDDEN, -1)), HIDDEN, HIDDEN)


def separable(g, x, mask):
    """Three dilated depth-wise convolutions, each with a point-wise one."""
    for layer in range(3):
        y = g.conv(g.op("Mul", x, mask), HIDDEN, HIDDEN, 3, 3**layer, HIDDEN)
        y = g.gelu(g.norm(y, HIDDEN))
        y = g.gelu(g.norm(g.conv(y, HIDDEN, HIDDEN), HIDDEN))
        x = g.op("Add", x, y)
    return g.op("Mul", x, mask)


def durations(g, x, mask, noise_scale):
    """The logarithm of the frames of each id, by flows from noise."""
    condition = g.conv(separable(g, g.conv(x, HIDDEN, HIDDEN), mask), HIDDEN, HIDDEN)
    two = g.op("Concat", mask, mask, axis=1)
    noise = g.op("RandomNormalLike", g.op("Mul", two, g.scalar(0.0)))
    z = g.op("Mul", noise, noise_scale)
    for _ in range(3):
        z = g.op("Slice", z, g.ints(-1), g.ints(-(2**31)), g.ints(1), g.ints(-1))
        first, second = g.op("Split", z, g.ints(1, 1), axis=1, outputs=2)
        h = separable(g, g.op("Add", g.conv(first, 1, HIDDEN), condition), mask)
        shift = g.op("Mul", g.conv(h, HIDDEN, 1), g.scalar(0.1))
        z = g.op("Concat", first, g.op("Sub", second, shift), axis=1)
    logarithm, _ = g.op("Split", z, g.ints(1, 1), axis=1, outputs=2)
    return g.op("Add", g.op("Mul", logarithm, g.scalar(0.5)), g.scalar(DURATION))


def flow(g, z, mask):
    """Four couplings backwards, each of four gated convolutions."""
    half = HIDDEN // 2
    for _ in range(4):
        z = g.op("Slice", z, g.ints(-1), g.ints(-(2**31)), g.ints(1), g.ints(-1))
        first, second = g.op("Split", z, g.ints(half, half), axis=1, outputs=2)
        h = g.op("Mul", g.conv(first, half, HIDDEN), mask)
        total = None
        for layer in range(4):
            gates = g.conv(h, HIDDEN, 2 * HIDDEN, 5)
            one, other = g.op("Split", gates, g.ints(HIDDEN, HIDDEN), axis=1, outputs=2)
            acts = g.op("Mul", g.op("Tanh", one), g.op("Sigmoid", other))
            if layer < 3:
                both = g.conv(acts, HIDDEN, 2 * HIDDEN)
                residual, skip = g.op("Split", both, g.ints(HIDDEN, HIDDEN), axis=1, outputs=2)
                h = g.op("Mul", g.op("Add", h, residual), mask)
            else:
                skip = g.conv(acts, HIDDEN, HIDDEN)
            total = skip if total is None else g.op("Add", total, skip)
        mean = g.op("Mul", g.conv(g.op("Mul", total, mask), HIDDEN, half), mask)
        z = g.op("Concat", first, g.op("Mul", g.op("Sub", second, mean), mask), axis=1)
    return z


def decoder(g, z):
    """HiFi-GAN: 256 samples a frame."""
    x = g.conv(z, HIDDEN, 256, 7)
    width = 256
    for up, kernel in ((8, 16), (8, 16), (4, 8)):
        x = g.op("LeakyRelu", x, alpha=0.1)
        weight = g.weight(width, width // 2, kernel)
        pad = (kernel - up) // 2
        x = g.op("ConvTranspose", x, weight, kernel_shape=[kernel], strides=[up], pads=[pad, pad])
        width //= 2
        total = None
        for size, dilations in ((3, (1, 2)), (5, (2, 6)), (7, (3, 12))):
            y = x
            for dilation in dilations:
                y = g.op("Add", y, g.conv(g.op("LeakyRelu", y, alpha=0.1), width, width, size, dilation))
            total = y if total is None else g.op("Add", total, y)
        x = g.op("Div", total, g.scalar(3.0))
    x = g.conv(g.op("LeakyRelu", x, alpha=0.01), width, 1, 7)
    return g.op("Tanh", g.op("Mul", x, g.scalar(0.3)))


def voice():
    g = Graph()
    scales = [g.op("Gather", "scales", g.constant(np.array(number, np.int64))) for number in range(3)]
    noise_scale, length_scale, duration_scale = scales
    count = g.op("Gather", g.op("Shape", "input"), g.constant(np.array(1, np.int64)))
    zero, one = g.constant(np.array(0, np.int64)), g.constant(np.array(1, np.int64))
    place = g.op("Range", zero, count, one)
    mask = g.op("Less", g.op("Unsqueeze", place, g.ints(0)), g.op("Unsqueeze", "input_lengths", g.ints(1)))
    mask = g.op("Unsqueeze", g.op("Cast", mask, to=TensorProto.FLOAT), g.ints(1))
    apart = g.op("Sub", g.op("Unsqueeze", place, g.ints(0)), g.op("Unsqueeze", place, g.ints(1)))
    near = g.op("LessOrEqual", g.op("Abs", apart), g.constant(np.array(WINDOW, np.int64)))
    near = g.op("Cast", near, to=TensorProto.FLOAT)
    places = g.op("Add", apart, g.constant(np.array(WINDOW, np.int64)))
    places = g.op("Clip", places, zero, g.constant(np.array(2 * WINDOW, np.int64)))
    places = g.op("Unsqueeze", places, g.ints(0, 1))

    x = g.op("Mul", g.op("Gather", g.weight(SYMBOLS, HIDDEN), "input"), g.scalar(np.sqrt(HIDDEN)))
    x = g.op("Mul", g.op("Transpose", x, perm=[0, 2, 1]), mask)
    for _ in range(LAYERS):
        x = g.norm(g.op("Add", x, attention(g, x, near, places)), HIDDEN)
        y = g.op("Relu", g.conv(g.op("Mul", x, mask), HIDDEN, FILTER, 3))
        x = g.norm(g.op("Add", x, g.conv(g.op("Mul", y, mask), FILTER, HIDDEN, 3)), HIDDEN)
    x = g.op("Mul", x, mask)
    prior = g.op("Mul", g.conv(x, HIDDEN, 2 * HIDDEN), mask)
    mean, deviation = g.op("Split", prior, g.ints(HIDDEN, HIDDEN), axis=1, outputs=2)
    deviation = g.op("Mul", deviation, g.scalar(0.1))

    frames = g.op("Exp", durations(g, x, mask, duration_scale))
    frames = g.op("Ceil", g.op("Mul", g.op("Mul", frames, mask), length_scale))
    ends = g.op("CumSum", g.op("Squeeze", frames, g.ints(1)), one)
    total = g.op("Cast", g.op("Max", g.op("ReduceSum", frames, keepdims=0), g.scalar(1.0)), to=TensorProto.INT64)
    frame = g.op("Cast", g.op("Range", zero, total, one), to=TensorProto.FLOAT)
    until = g.op("Cast", g.op("Less", g.op("Unsqueeze", frame, g.ints(1)), ends), to=TensorProto.FLOAT)
    pad = g.op("Pad", until, g.ints(0, 1, 0, 0), g.scalar(0.0))
    before = g.op("Slice", pad, g.ints(0), g.ints(-1), g.ints(1))
    path = g.op("Unsqueeze", g.op("Sub", until, before), g.ints(0))
    frame_mask = g.op("Greater", g.op("Unsqueeze", frame, g.ints(0, 1)), g.scalar(-1.0))
    frame_mask = g.op("Cast", frame_mask, to=TensorProto.FLOAT)

    def spread(y):
        y = g.op("MatMul", path, g.op("Transpose", y, perm=[0, 2, 1]))
        return g.op("Transpose", y, perm=[0, 2, 1])

    mean, deviation = spread(mean), spread(deviation)
    noise = g.op("Mul", g.op("RandomNormalLike", mean), g.op("Exp", deviation))
    z = g.op("Add", mean, g.op("Mul", noise, noise_scale))
    z = g.op("Mul", flow(g, z, frame_mask), frame_mask)
    samples = g.op("Unsqueeze", decoder(g, z), g.ints(1))
    g.nodes.append(helper.make_node("Identity", [samples], ["output"]))
    graph = helper.make_graph(
        g.nodes,
        "voice",
        [
            helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", "ids"]),
            helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1, 1, "samples"])],
        g.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(voice(), folder / "voice.onnx")
    settings = {
        "audio": {"sample_rate": 22050, "quality": "medium"},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US"},
        "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "num_symbols": SYMBOLS,
        "num_speakers": 1,
        "speaker_id_map": {},
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
    }
    (folder / "voice.onnx.json").write_text(json.dumps(settings, ensure_ascii=False))


if __name__ == "__main__":
    main()
