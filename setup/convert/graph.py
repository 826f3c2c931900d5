"""Writes an ONNX graph so that the same weights give the same bytes, whoever runs it.

The opset and format are old enough for every ONNX Runtime from 1.20 on.
"""

import os
import sys
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8


class Graph:
    """A graph being built: nodes in order, initializers by name."""

    def __init__(self, name: str):
        self.name, self.nodes, self.initializers = name, [], []

    def const(self, name: str, value: numpy.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(numpy.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list, outputs, **attributes):
        """Adds a node; gives back the name of its first output that is not left out."""
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=f"{operator}_{len(self.nodes)}", **attributes))
        return next(output for output in outputs if output)

    def write(self, path: Path, inputs: dict, outputs: dict, notes: dict, whole: tuple = ()) -> None:
        """`inputs` and `outputs` are tensors by name and shape, of floats but for those in `whole`, which are int64;
        `notes` become metadata, in order."""

        def values(shapes):
            kinds = {name: TensorProto.INT64 if name in whole else TensorProto.FLOAT for name in shapes}
            return [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, self.name, values(inputs), values(outputs), self.initializers)
        # Operators beyond ONNX's own, all of whose sets are at version 1.
        others = sorted({node.domain for node in self.nodes} - {""})
        opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in others)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="polyphony")
        model.ir_version = IR_VERSION
        model.producer_version = ""
        for key, value in notes.items():
            entry = model.metadata_props.add()
            entry.key, entry.value = key, value
        onnx.checker.check_model(model, full_check=True)
        # Whole or not at all: a file that is there is taken to be finished.
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(model.SerializeToString(deterministic=True))
        os.replace(unfinished, path)
        print(f"setup: {path.name} from {notes.get('source', 'weights')}", file=sys.stderr)
