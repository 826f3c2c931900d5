//! Convolutions along a line as convolutions of a plane one row high.
//!
//! ONNX Runtime's blocked kernels for processors (NCHWc) take images only; what runs along a line it unrolls into a matrix
//! as many times as large as the kernel is long. So such a step is written as a reshape, the same step with one dimension
//! more, and a reshape back. Reshapes copy nothing, and the numbers are the same up to their last digits.

use super::wire::{Fields, put_bytes, put_integer};
use super::{
    ATTRIBUTE_INTS, ATTRIBUTE_NAME, GRAPH_NODE, GRAPH_WEIGHT, Graph, NODE_ATTRIBUTE, NODE_INPUT, NODE_KIND,
    NODE_OUTPUT, Node, TENSOR_DIMS, TENSOR_NAME, text,
};

// Field numbers and values of onnx.proto.
const ATTRIBUTE_TYPE: u32 = 20;
const ATTRIBUTE_TYPE_INTS: u64 = 7;
const TENSOR_ELEMENT: u32 = 2;
const TENSOR_INT64: u64 = 7;
const TENSOR_INT64_DATA: u32 = 7;

/// The shapes of the two reshapes: 0 is the dimension as it is, -1 what remains.
const SHAPES: [(&str, &[i64]); 2] = [("planar/plane", &[0, 0, 1, -1]), ("planar/line", &[0, 0, -1])];

impl Graph<'_> {
    /// Writes a step into a graph as a convolution of a plane, with a weight of that shape; says no where it is none
    /// along a line whose weight is known.
    pub(super) fn put_planar(&self, graph: &mut Vec<u8>, node: &Node<'_>) -> Option<()> {
        let [line, weight, bias @ ..] = node.inputs.as_slice() else {
            return None;
        };
        let [output] = node.outputs.as_slice() else {
            return None;
        };
        let shape = self.weight_shape(weight)?;
        let [filters, channels, width] = shape[..] else {
            return None;
        };
        if node.kind != "Conv" {
            return None;
        }
        let attributes: Vec<Vec<u8>> = node
            .attributes
            .iter()
            .map(|raw| planar(raw))
            .collect::<Option<_>>()?;
        // By the output's name, which is there once.
        let (before, after) = (format!("{output}/before"), format!("{output}/after"));
        let wide = format!("{output}/weight");
        let mut tensor = Vec::new();
        for dimension in [filters, channels, 1, width] {
            put_integer(&mut tensor, TENSOR_DIMS, dimension);
        }
        put_bytes(&mut tensor, TENSOR_NAME, wide.as_bytes());
        for field in Fields::of(self.weights.get(weight)?).flatten() {
            if ![TENSOR_DIMS, TENSOR_NAME].contains(&field.number) {
                tensor.extend_from_slice(field.raw);
            }
        }
        put_bytes(graph, GRAPH_WEIGHT, &tensor);
        let inputs: Vec<&str> = [before.as_str(), wide.as_str()]
            .into_iter()
            .chain(bias.iter().copied())
            .collect();
        let [plane, back] = SHAPES.map(|(name, _)| name);
        put_node(graph, "Reshape", &[line, plane], &before, &[]);
        put_node(graph, "Conv", &inputs, &after, &attributes);
        put_node(graph, "Reshape", &[&after, back], output, &[]);
        Some(())
    }
}

/// Writes what the steps of [`Graph::put_planar`] share.
pub(super) fn put_shapes(graph: &mut Vec<u8>) {
    for (name, shape) in SHAPES {
        let mut tensor = Vec::new();
        put_integer(&mut tensor, TENSOR_DIMS, shape.len() as u64);
        put_integer(&mut tensor, TENSOR_ELEMENT, TENSOR_INT64);
        for dimension in shape {
            put_integer(&mut tensor, TENSOR_INT64_DATA, dimension.cast_unsigned());
        }
        put_bytes(&mut tensor, TENSOR_NAME, name.as_bytes());
        put_bytes(graph, GRAPH_WEIGHT, &tensor);
    }
}

/// An attribute with the numbers of a second dimension, where it has one a dimension.
fn planar(raw: &[u8]) -> Option<Vec<u8>> {
    let name = text(raw, ATTRIBUTE_NAME)?;
    let missing = match name {
        "kernel_shape" | "dilations" | "strides" => 1,
        "pads" => 0,
        _ => return Some(raw.to_vec()),
    };
    let mut line = Vec::new();
    for field in Fields::of(raw)
        .flatten()
        .filter(|field| field.number == ATTRIBUTE_INTS)
    {
        line.extend(field.integers()?);
    }
    let mut attribute = Vec::new();
    put_bytes(&mut attribute, ATTRIBUTE_NAME, name.as_bytes());
    // Pads are those at the beginning of each dimension, then those at the end.
    for number in line {
        put_integer(&mut attribute, ATTRIBUTE_INTS, missing);
        put_integer(&mut attribute, ATTRIBUTE_INTS, number);
    }
    put_integer(&mut attribute, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INTS);
    Some(attribute)
}

fn put_node(graph: &mut Vec<u8>, kind: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) {
    let mut node = Vec::new();
    for input in inputs {
        put_bytes(&mut node, NODE_INPUT, input.as_bytes());
    }
    put_bytes(&mut node, NODE_OUTPUT, output.as_bytes());
    put_bytes(&mut node, NODE_KIND, kind.as_bytes());
    for attribute in attributes {
        put_bytes(&mut node, NODE_ATTRIBUTE, attribute);
    }
    put_bytes(graph, GRAPH_NODE, &node);
}
