//! ONNX graphs in parts: a graph that is one piece is cut so that its parts can run one after another, on windows, with
//! noise of ours, and say what they know on the way.
//!
//! Exports of speech models are one graph from phones to samples. What is wanted of them before it is all done (how long
//! phones are, the first audio) is in tensors on the way. So the nodes are shared out among parts by the tensors that
//! each part is to end with; weights go to the part that uses them. Only the outermost messages of the file are read and
//! written; nodes and weights are carried over as the bytes that they are.
//!
//! The file was verified by the model store. What is not understood here makes [`Graph::read`] or [`Graph::split`] say
//! no, and then the graph is run as it is.

mod planar;
mod split;
mod wire;

use std::collections::HashMap;

use wire::{Fields, put_bytes};

/// A graph, borrowed from the bytes of its file.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    /// The fields of the model besides the graph, as they are.
    head: Vec<&'a [u8]>,
    nodes: Vec<Node<'a>>,
    /// By name, as they are.
    weights: HashMap<&'a str, &'a [u8]>,
    /// By name, as they are.
    inputs: Vec<(&'a str, &'a [u8])>,
    outputs: Vec<&'a str>,
    /// Whether there are graphs within nodes: what those use is not known.
    nested: bool,
}

/// A step of a graph.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// As it is.
    raw: &'a [u8],
    pub(super) kind: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    /// Its attributes, as they are.
    attributes: Vec<&'a [u8]>,
    nested: bool,
}

// Field numbers of onnx.proto.
const MODEL_GRAPH: u32 = 7;
const GRAPH_NODE: u32 = 1;
const GRAPH_WEIGHT: u32 = 5;
const GRAPH_INPUT: u32 = 11;
const GRAPH_OUTPUT: u32 = 12;
const GRAPH_SPARSE: u32 = 15;
const NODE_INPUT: u32 = 1;
const NODE_OUTPUT: u32 = 2;
const NODE_KIND: u32 = 4;
const NODE_ATTRIBUTE: u32 = 5;
const ATTRIBUTE_NAME: u32 = 1;
const ATTRIBUTE_GRAPH: u32 = 6;
const ATTRIBUTE_INTS: u32 = 8;
const ATTRIBUTE_GRAPHS: u32 = 11;
const TENSOR_DIMS: u32 = 1;
const TENSOR_NAME: u32 = 8;
const TENSOR_EXTERNAL: u32 = 13;
const VALUE_NAME: u32 = 1;

// === impl Graph ===

impl<'a> Graph<'a> {
    /// Reads a model file; none if it has what cannot be cut: graphs within nodes, weights in other files.
    pub(super) fn read(model: &'a [u8]) -> Option<Self> {
        Self::outline(model).filter(|graph| !graph.nested)
    }

    /// As [`read`](Self::read), for one that is only looked at: graphs within nodes are passed over.
    pub(super) fn outline(model: &'a [u8]) -> Option<Self> {
        let mut head = Vec::new();
        let mut body = None;
        for field in Fields::of(model) {
            let field = field?;
            if field.number == MODEL_GRAPH {
                body = Some(field.bytes()?);
            } else {
                head.push(field.raw);
            }
        }
        let mut graph = Self {
            head,
            nodes: Vec::new(),
            weights: HashMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            nested: false,
        };
        for field in Fields::of(body?) {
            let field = field?;
            match field.number {
                GRAPH_NODE => graph.nodes.push(Node::read(field.bytes()?)?),
                GRAPH_WEIGHT => {
                    let weight = field.bytes()?;
                    if Fields::of(weight)
                        .flatten()
                        .any(|inner| inner.number == TENSOR_EXTERNAL)
                    {
                        return None;
                    }
                    graph.weights.insert(text(weight, TENSOR_NAME)?, weight);
                }
                GRAPH_INPUT => graph
                    .inputs
                    .push((text(field.bytes()?, VALUE_NAME)?, field.bytes()?)),
                GRAPH_OUTPUT => graph.outputs.push(text(field.bytes()?, VALUE_NAME)?),
                GRAPH_SPARSE => return None,
                _ => {}
            }
        }
        graph.nested = graph.nodes.iter().any(|node| node.nested);
        Some(graph)
    }

    /// Whether there are graphs within nodes.
    pub(super) fn is_nested(&self) -> bool {
        self.nested
    }

    /// A model file whose graph gives a tensor more, which some step of it makes.
    pub(super) fn telling(mut model: Vec<u8>, tensor: &str) -> Vec<u8> {
        // A message that is there twice is both together, by the rules of protobuf.
        let mut more = Vec::new();
        put_bytes(&mut more, GRAPH_OUTPUT, &split::value(tensor, None));
        put_bytes(&mut model, MODEL_GRAPH, &more);
        model
    }

    /// The steps, each after those whose results it uses.
    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// What the graph gives.
    pub(super) fn outputs(&self) -> &[&'a str] {
        &self.outputs
    }

    /// The step that makes a tensor.
    pub(super) fn maker(&self, tensor: &str) -> Option<&Node<'a>> {
        self.nodes.iter().find(|node| node.outputs.contains(&tensor))
    }

    /// The shape of a weight.
    pub(super) fn weight_shape(&self, name: &str) -> Option<Vec<u64>> {
        let mut shape = Vec::new();
        for field in Fields::of(self.weights.get(name)?) {
            let field = field?;
            if field.number == TENSOR_DIMS {
                shape.extend(field.integers()?);
            }
        }
        Some(shape)
    }
}

// === impl Node ===

impl<'a> Node<'a> {
    fn read(raw: &'a [u8]) -> Option<Self> {
        let mut node = Self {
            raw,
            kind: "",
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: Vec::new(),
            nested: false,
        };
        for field in Fields::of(raw) {
            let field = field?;
            match field.number {
                NODE_INPUT => node.inputs.push(field.text()?),
                NODE_OUTPUT => node.outputs.push(field.text()?),
                NODE_KIND => node.kind = field.text()?,
                NODE_ATTRIBUTE => {
                    let attribute = field.bytes()?;
                    let nested =
                        |inner: wire::Field<'_>| [ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS].contains(&inner.number);
                    node.nested |= Fields::of(attribute).flatten().any(nested);
                    node.attributes.push(attribute);
                }
                _ => {}
            }
        }
        Some(node)
    }

    /// An attribute that is a list of integers.
    pub(super) fn integers(&self, name: &str) -> Option<Vec<u64>> {
        let attribute = self
            .attributes
            .iter()
            .find(|raw| text(raw, ATTRIBUTE_NAME) == Some(name))?;
        let mut values = Vec::new();
        for field in Fields::of(attribute) {
            let field = field?;
            if field.number == ATTRIBUTE_INTS {
                values.extend(field.integers()?);
            }
        }
        Some(values)
    }
}

/// A field of a message that is text.
fn text(message: &[u8], number: u32) -> Option<&str> {
    Fields::of(message)
        .flatten()
        .find(|field| field.number == number)?
        .text()
}

#[cfg(test)]
mod tests;
