"""Makes a speaker network of the size of WeSpeaker's ResNet34 with random weights.

Usage: resnet34.py FILE.onnx

Layers, widths and kernels are WeSpeaker's (6.6 M parameters), so it costs what that costs; its voices mean nothing. Batch
normalisation is part of the convolutions, as ONNX Runtime makes it. `feats` [B, T, 80] gives `embs` [B, 256].
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = ((3, 32, 1), (4, 64, 2), (6, 128, 2), (3, 256, 2))
MELS, EMBEDDING = 80, 256
NOTES = {
    "framework": "wespeaker", "language": "English", "sample_rate": 16_000, "output_dim": EMBEDDING,
    "normalize_samples": 0, "feature_normalize_type": "global-mean",
}


class Graph:
    def __init__(self):
        self.nodes, self.weights, self.random = [], [], np.random.default_rng(0)

    def const(self, value) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def op(self, kind: str, *inputs: str, **attributes) -> str:
        name = attributes.pop("name", f"{kind}{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, value: str, before: int, after: int, kernel: int, stride: int = 1) -> str:
        fan = before * kernel * kernel
        weight = (self.random.standard_normal((after, before, kernel, kernel)) / np.sqrt(fan)).astype(np.float32)
        pads = [kernel // 2] * 4
        bias = self.const(np.zeros(after, np.float32))
        return self.op("Conv", value, self.const(weight), bias, pads=pads, strides=[stride, stride])

    def block(self, value: str, before: int, after: int, stride: int) -> str:
        out = self.op("Relu", self.conv(value, before, after, 3, stride))
        out = self.conv(out, after, after, 3)
        if stride != 1 or before != after:
            value = self.conv(value, before, after, 1, stride)
        return self.op("Relu", self.op("Add", out, value))


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    graph = Graph()
    value = graph.op("Transpose", "feats", perm=[0, 2, 1])
    value = graph.op("Unsqueeze", value, graph.const(np.array([1], np.int64)))
    value, width = graph.op("Relu", graph.conv(value, 1, 32, 3)), 32
    for blocks, channels, stride in STAGES:
        for number in range(blocks):
            value = graph.block(value, width, channels, stride if number == 0 else 1)
            width = channels
    flat = width * MELS // 8
    value = graph.op("Reshape", value, graph.const(np.array([0, flat, -1], np.int64)))
    mean = graph.op("ReduceMean", value, axes=[2], keepdims=1)
    away = graph.op("Sub", value, mean)
    spread = graph.op("ReduceMean", graph.op("Mul", away, away), axes=[2], keepdims=1)
    deviation = graph.op("Sqrt", graph.op("Add", spread, graph.const(np.array(1e-7, np.float32))))
    pooled = graph.op("Concat", mean, deviation, axis=1)
    pooled = graph.op("Reshape", pooled, graph.const(np.array([0, 2 * flat], np.int64)))
    weight = (graph.random.standard_normal((2 * flat, EMBEDDING)) / np.sqrt(2 * flat)).astype(np.float32)
    graph.op("Gemm", pooled, graph.const(weight), graph.const(np.zeros(EMBEDDING, np.float32)), name="embs")
    ports = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name, shape in (("feats", ["B", "T", MELS]), ("embs", ["B", EMBEDDING]))
    ]
    made = helper.make_graph(graph.nodes, "resnet34", *ports, graph.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], producer_name="polyphony")
    model.ir_version = 8
    for key, note in NOTES.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, str(note)
    onnx.checker.check_model(model)
    onnx.save(model, str(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
