"""CAM++ as an ONNX graph: a small residual network over the spectrum, then densely connected time-delay layers with masks.

Not a script: pyannote.py calls `network`. After Wang et al. 2023 ("CAM++: A fast and efficient network for speaker
verification using context-aware masking") with the sizes of 3D-Speaker's `campplus`. Batch normalisation is folded into
the convolution before it. A mask depends on the mean of 100 frames and of all, so it is worked out once for each 100 frames
and then repeated, where the original does so for every frame: the same numbers at a hundredth of the cost.
"""

import numpy

from graph import Graph

MELS, EMBEDDING = 80, 192
GROWTH, BOTTLENECK, STEM = 32, 128, 128
# Layers and dilation of each block.
BLOCKS = ((12, 1), (24, 2), (16, 2))
SEGMENT = 100
EPSILON = 1e-5


class Builder:
    def __init__(self, state):
        self.state, self.graph = state, Graph("campplus")

    def ints(self, name: str, *values: int) -> str:
        return self.graph.const(name, numpy.array(values, numpy.int64))

    def scale(self, name: str, channels: int, affine: bool = True) -> tuple:
        """Batch normalisation as a factor and a term, in double precision."""
        mean, var = (self.state(f"{name}.running_{kind}", channels).astype(numpy.float64) for kind in ("mean", "var"))
        factor = 1.0 / numpy.sqrt(var + EPSILON)
        term = -mean * factor
        if affine:
            weight, bias = (self.state(f"{name}.{kind}", channels).astype(numpy.float64) for kind in ("weight", "bias"))
            factor, term = factor * weight, term * weight + bias
        return factor, term

    def conv(self, value: str, name: str, shape: tuple, norm=None, affine=True, bias=False, **attributes) -> str:
        """A convolution, with the normalisation `norm` after it folded in."""
        weight = self.state(f"{name}.weight", *shape)
        inputs = [value]
        if norm:
            factor, term = self.scale(norm, shape[0], affine)
            spread = factor.reshape(-1, *[1] * (len(shape) - 1))
            inputs.append(self.graph.const(f"{name}.w", (weight * spread).astype(numpy.float32)))
            inputs.append(self.graph.const(f"{name}.b", term.astype(numpy.float32)))
        else:
            inputs.append(self.graph.const(f"{name}.w", weight))
            if bias:
                inputs.append(self.graph.const(f"{name}.b", self.state(f"{name}.bias", shape[0])))
        return self.graph.node("Conv", inputs, f"{name}.out", **attributes)

    def relu(self, value: str) -> str:
        return self.graph.node("Relu", [value], f"{value}.relu")

    def normed(self, value: str, name: str, channels: int) -> str:
        """Normalisation that nothing comes before, and a ReLU."""
        factor, term = (part.astype(numpy.float32).reshape(1, -1, 1) for part in self.scale(name, channels))
        product = self.graph.node("Mul", [value, self.graph.const(f"{name}.factor", factor)], f"{name}.product")
        return self.relu(self.graph.node("Add", [product, self.graph.const(f"{name}.term", term)], f"{name}.out"))

    def residual(self, value: str, name: str, stride: int) -> str:
        """Two convolutions and a way around them; only the spectrum is made smaller."""
        square = {"pads": [1, 1, 1, 1]}
        out = self.conv(value, f"{name}.conv1", (32, 32, 3, 3), f"{name}.bn1", strides=[stride, 1], **square)
        out = self.conv(self.relu(out), f"{name}.conv2", (32, 32, 3, 3), f"{name}.bn2", **square)
        if stride > 1:
            value = self.conv(value, f"{name}.shortcut.0", (32, 32, 1, 1), f"{name}.shortcut.1", strides=[stride, 1])
        return self.relu(self.graph.node("Add", [out, value], f"{name}.sum"))

    def head(self, value: str) -> str:
        """[N, T, 80] to [N, 320, T]."""
        square = {"pads": [1, 1, 1, 1]}
        value = self.graph.node("Transpose", [value], "spectrum", perm=[0, 2, 1])
        value = self.graph.node("Unsqueeze", [value, self.ints("channel", 1)], "image")
        value = self.relu(self.conv(value, "head.conv1", (32, 1, 3, 3), "head.bn1", **square))
        for layer in (1, 2):
            for number in (0, 1):
                value = self.residual(value, f"head.layer{layer}.{number}", 1 + (number == 0))
        value = self.relu(self.conv(value, "head.conv2", (32, 32, 3, 3), "head.bn2", strides=[2, 1], **square))
        return self.graph.node("Reshape", [value, self.ints("flat", 0, 32 * MELS // 8, -1)], "bands")

    def masked(self, value: str, name: str, channels: int, dilation: int) -> str:
        """A layer of a block: what it adds to what came before, masked by the context."""
        layer = f"{name}.cam_layer"
        value = self.normed(value, f"{name}.nonlinear1.batchnorm", channels)
        value = self.conv(value, f"{name}.linear1", (BOTTLENECK, channels, 1), f"{name}.nonlinear2.batchnorm")
        value = self.relu(value)
        pads = [dilation, dilation]
        local = self.conv(value, f"{layer}.linear_local", (GROWTH, BOTTLENECK, 3), pads=pads, dilations=[dilation])
        mean = self.graph.node("ReduceMean", [value], f"{layer}.mean", axes=[2], keepdims=1)
        near = self.graph.node(
            "AveragePool", [value], f"{layer}.near", kernel_shape=[SEGMENT], strides=[SEGMENT], ceil_mode=1
        )
        context = self.graph.node("Add", [near, mean], f"{layer}.context")
        context = self.relu(self.conv(context, f"{layer}.linear1", (64, BOTTLENECK, 1), bias=True))
        context = self.conv(context, f"{layer}.linear2", (GROWTH, 64, 1), bias=True)
        mask = self.graph.node("Sigmoid", [context], f"{layer}.mask")
        # Each value stands for 100 frames, the last for what is left.
        mask = self.graph.node("Unsqueeze", [mask, "last"], f"{layer}.column")
        mask = self.graph.node("Expand", [mask, "repeat"], f"{layer}.repeated")
        mask = self.graph.node("Reshape", [mask, "row"], f"{layer}.row")
        mask = self.graph.node("Slice", [mask, "zero", "length", "two"], f"{layer}.cut")
        return self.graph.node("Mul", [local, mask], f"{layer}.out")

    def pooled(self, value: str) -> str:
        """Mean and standard deviation over time."""
        mean = self.graph.node("ReduceMean", [value], "mean", axes=[2], keepdims=1)
        away = self.graph.node("Sub", [value, mean], "away")
        squares = self.graph.node("ReduceSum", [self.graph.node("Mul", [away, away], "squared"), "two"], "squares")
        count = self.graph.node("Cast", ["length"], "count", to=1)
        one = self.graph.const("unit", numpy.array([1.0], numpy.float32))
        # A single frame has no deviation, and must not be divided by nothing.
        rest = self.graph.node("Max", [self.graph.node("Sub", [count, one], "rest"), one], "divisor")
        deviation = self.graph.node("Sqrt", [self.graph.node("Div", [squares, rest], "variance")], "deviation")
        return self.graph.node("Concat", [mean, deviation], "statistics", axis=1)

    def build(self) -> Graph:
        self.ints("zero", 0)
        self.ints("two", 2)
        self.ints("three", 3)
        self.ints("last", 3)
        self.ints("repeat", 1, 1, 1, SEGMENT)
        self.ints("row", 0, 0, -1)
        value = self.head("feats")
        stem = "xvector.tdnn"
        norm = f"{stem}.nonlinear.batchnorm"
        value = self.conv(value, f"{stem}.linear", (STEM, 320, 5), norm, strides=[2], pads=[2, 2])
        value = self.relu(value)
        # Time stays as long as it is here.
        self.graph.node("Slice", [self.graph.node("Shape", [value], "shape"), "two", "three"], "length")
        channels = STEM
        for block, (layers, dilation) in enumerate(BLOCKS, 1):
            for layer in range(1, layers + 1):
                added = self.masked(value, f"xvector.block{block}.tdnnd{layer}", channels, dilation)
                value = self.graph.node("Concat", [value, added], f"block{block}.{layer}", axis=1)
                channels += GROWTH
            transit = f"xvector.transit{block}"
            value = self.normed(value, f"{transit}.nonlinear.batchnorm", channels)
            value = self.conv(value, f"{transit}.linear", (channels // 2, channels, 1))
            channels //= 2
        value = self.normed(value, "xvector.out_nonlinear.batchnorm", channels)
        dense = "xvector.dense"
        shape = (EMBEDDING, 2 * channels, 1)
        value = self.conv(self.pooled(value), f"{dense}.linear", shape, f"{dense}.nonlinear.batchnorm", affine=False)
        self.graph.node("Squeeze", [value, "two"], "embs")
        return self.graph


def network(state) -> Graph:
    return Builder(state).build()
