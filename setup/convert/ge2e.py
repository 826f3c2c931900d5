"""Turns Resemblyzer's speaker encoder into an ONNX graph beside it.

Usage: ge2e.py WHEELS
WHEELS/resemblyzer/pretrained.pt becomes WHEELS/resemblyzer/ge2e.onnx: `mels` [B, T, 40], the mel energies of B stretches
of speech, give `embeddings` [B, 256] of length 1. The network is the generalised end-to-end encoder of Wan et al. 2018 in
the form of Resemblyzer (Apache-2.0): three LSTM layers, of which the last state goes through a linear layer and a ReLU.
"""

import sys
from pathlib import Path

import numpy

import checkpoint
from graph import Graph

LAYERS, MELS, HIDDEN, EMBEDDING = 3, 40, 256, 256
# The smallest length that is divided by: a silent network gives zeros, not NaN.
TINY = 1e-12


def gates(weights: numpy.ndarray) -> numpy.ndarray:
    """torch stacks the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    i, f, c, o = numpy.split(weights, 4)
    return numpy.concatenate([i, o, f, c])


def convert(wheels: Path) -> None:
    state = checkpoint.load(wheels / "resemblyzer" / "pretrained.pt")["model_state"]

    def weights(name: str, *shape: int) -> numpy.ndarray:
        value = state[name]
        if value.shape != shape or value.dtype != numpy.float32:
            sys.exit(f"setup: {name} of Resemblyzer's checkpoint is {value.dtype} {value.shape}, not float32 {shape}")
        return value

    graph = Graph("ge2e")
    steps = graph.node("Transpose", ["mels"], "steps", perm=[1, 0, 2])
    for layer in range(LAYERS):
        width = MELS if layer == 0 else HIDDEN
        w = gates(weights(f"lstm.weight_ih_l{layer}", 4 * HIDDEN, width))
        r = gates(weights(f"lstm.weight_hh_l{layer}", 4 * HIDDEN, HIDDEN))
        b = [gates(weights(f"lstm.bias_{side}_l{layer}", 4 * HIDDEN)) for side in ("ih", "hh")]
        inputs = [
            steps,
            graph.const(f"w{layer}", w[None]),
            graph.const(f"r{layer}", r[None]),
            graph.const(f"b{layer}", numpy.concatenate(b)[None]),
        ]
        last = layer == LAYERS - 1
        outputs = ["", f"state{layer}"] if last else [f"hidden{layer}"]
        hidden = graph.node("LSTM", inputs, outputs, hidden_size=HIDDEN)
        # One direction: an axis of length 1.
        axis = graph.const(f"direction{layer}", numpy.array([0 if last else 1], numpy.int64))
        steps = graph.node("Squeeze", [hidden, axis], f"steps{layer}")
    linear = [graph.const("linear.weight", weights("linear.weight", EMBEDDING, HIDDEN))]
    linear.append(graph.const("linear.bias", weights("linear.bias", EMBEDDING)))
    raw = graph.node("Relu", [graph.node("Gemm", [steps, *linear], "projected", transB=1)], "raw")
    length = graph.node("ReduceL2", [raw], "length", axes=[1], keepdims=1)
    least = graph.const("least", numpy.array(TINY, numpy.float32))
    graph.node("Div", [raw, graph.node("Max", [length, least], "divisor")], "embeddings")
    graph.write(
        wheels / "resemblyzer" / "ge2e.onnx",
        {"mels": ["batch", "frames", MELS]},
        {"embeddings": ["batch", EMBEDDING]},
        {"source": "Resemblyzer pretrained.pt", "licence": "Apache-2.0"},
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]))
