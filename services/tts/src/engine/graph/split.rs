//! Sharing out the nodes of a graph among parts.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::planar::put_shapes;
use super::wire::{put_bytes, put_integer};
use super::{GRAPH_INPUT, GRAPH_NODE, GRAPH_OUTPUT, GRAPH_WEIGHT, Graph, MODEL_GRAPH, VALUE_NAME};

/// A part of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Part {
    /// Positions of its nodes in the graph, in order.
    nodes: Vec<usize>,
    /// The tensors it needs: of the graph's inputs, of earlier parts, and those that are given.
    pub(in crate::engine) inputs: Vec<String>,
    /// The tensors it gives: what it ends with, and what later parts need.
    pub(in crate::engine) outputs: Vec<String>,
}

// Field numbers of onnx.proto.
const GRAPH_NAME: u32 = 2;
const VALUE_TYPE: u32 = 2;
const TYPE_TENSOR: u32 = 1;
const TENSOR_ELEMENT: u32 = 1;

impl<'a> Graph<'a> {
    /// Parts of the graph that run one after another, each to make the tensors of one of `ends`. Tensors of `given` come
    /// from outside, so the nodes that made them are left out. None if a tensor is made by nothing.
    pub(in crate::engine) fn split(&self, ends: &[&[&str]], given: &[&str]) -> Option<Vec<Part>> {
        let makers = self.makers();
        let constant = self.constant(given);
        let mut part_of: HashMap<usize, usize> = HashMap::new();
        let mut parts: Vec<BTreeSet<usize>> = Vec::new();
        for (number, end) in ends.iter().enumerate() {
            let mut own = BTreeSet::new();
            let mut open: Vec<&str> = end.to_vec();
            let mut seen: HashSet<&str> = HashSet::new();
            while let Some(tensor) = open.pop() {
                if tensor.is_empty() || !seen.insert(tensor) || self.is_given(tensor, given) {
                    continue;
                }
                let node = *makers.get(tensor)?;
                let first = *part_of.entry(node).or_insert(number);
                // What is computed already is not computed again, unless it costs nothing.
                if first != number && !constant.contains(&node) {
                    continue;
                }
                own.insert(node);
                open.extend(&self.nodes[node].inputs);
            }
            parts.push(own);
        }
        let mut made: Vec<Part> = Vec::new();
        for nodes in &parts {
            made.push(Part {
                nodes: nodes.iter().copied().collect(),
                inputs: self.needed(nodes, given),
                outputs: Vec::new(),
            });
        }
        for number in 0..made.len() {
            let makes = |tensor: &str| {
                let maker = makers.get(tensor);
                maker.is_some_and(|node| parts[number].contains(node))
            };
            let later = made[number + 1..].iter().flat_map(|part| &part.inputs);
            let mut outputs: Vec<String> = ends[number].iter().map(|&tensor| tensor.to_owned()).collect();
            for tensor in later.filter(|tensor| makes(tensor)) {
                // An earlier part that makes it, too, gives it.
                let before = parts[..number].iter().any(|nodes| {
                    makers
                        .get(tensor.as_str())
                        .is_some_and(|node| nodes.contains(node))
                });
                if !before && !outputs.contains(tensor) {
                    outputs.push(tensor.clone());
                }
            }
            made[number].outputs = outputs;
        }
        Some(made)
    }

    /// The bytes of a part as a model, its convolutions along a line as those of a plane. `element` tells the type of the elements of its inputs, in the numbers of
    /// `TensorProto.DataType`.
    pub(in crate::engine) fn model(
        &self,
        part: &Part,
        element: impl Fn(&str) -> Option<u64>,
    ) -> Option<Vec<u8>> {
        let mut graph = Vec::new();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut planar = false;
        for &at in &part.nodes {
            let node = &self.nodes[at];
            if self.put_planar(&mut graph, node).is_some() {
                planar = true;
                // Its weight is written with it.
                let others = node.inputs.iter().enumerate().filter(|(at, _)| *at != 1);
                used.extend(others.map(|(_, &input)| input));
            } else {
                put_bytes(&mut graph, GRAPH_NODE, node.raw);
                used.extend(node.inputs.iter().copied());
            }
        }
        if planar {
            put_shapes(&mut graph);
        }
        put_bytes(&mut graph, GRAPH_NAME, b"part");
        for name in used {
            if let Some(weight) = self.weights.get(name) {
                put_bytes(&mut graph, GRAPH_WEIGHT, weight);
            }
        }
        for input in &part.inputs {
            let own = self.inputs.iter().find(|(name, _)| name == input);
            let typed = match own {
                Some((_, raw)) => raw.to_vec(),
                None => value(input, Some(element(input)?)),
            };
            put_bytes(&mut graph, GRAPH_INPUT, &typed);
        }
        for output in &part.outputs {
            put_bytes(&mut graph, GRAPH_OUTPUT, &value(output, None));
        }
        let mut model: Vec<u8> = self.head.concat();
        put_bytes(&mut model, MODEL_GRAPH, &graph);
        Some(model)
    }

    /// Whether one tensor is needed to make another.
    pub(in crate::engine) fn leads_to(&self, from: &str, to: &str) -> bool {
        let mut reached: HashSet<&str> = HashSet::from([from]);
        for node in &self.nodes {
            if node.inputs.iter().any(|input| reached.contains(input)) {
                reached.extend(node.outputs.iter().copied());
            }
        }
        reached.contains(to)
    }

    fn makers(&self) -> HashMap<&'a str, usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .flat_map(|(at, node)| node.outputs.iter().map(move |&output| (output, at)))
            .collect()
    }

    fn is_given(&self, tensor: &str, given: &[&str]) -> bool {
        given.contains(&tensor)
            || self.weights.contains_key(tensor)
            || self.inputs.iter().any(|(name, _)| *name == tensor)
    }

    /// Nodes whose results are the same in every run.
    fn constant(&self, given: &[&str]) -> HashSet<usize> {
        let mut moving: HashSet<&str> = given.iter().copied().collect();
        moving.extend(
            self.inputs
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| !self.weights.contains_key(name)),
        );
        let mut constant = HashSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let random = node.kind.starts_with("Random") || matches!(node.kind, "Bernoulli" | "Multinomial");
            if random || node.inputs.iter().any(|input| moving.contains(input)) {
                moving.extend(node.outputs.iter().copied());
            } else {
                constant.insert(at);
            }
        }
        constant
    }

    /// What nodes need that is made by none of them.
    fn needed(&self, nodes: &BTreeSet<usize>, given: &[&str]) -> Vec<String> {
        let made: HashSet<&str> = nodes
            .iter()
            .flat_map(|&at| self.nodes[at].outputs.iter().copied())
            .collect();
        let mut needed: Vec<String> = Vec::new();
        for &at in nodes {
            for &input in &self.nodes[at].inputs {
                let weight = self.weights.contains_key(input);
                let outside = given.contains(&input) || !made.contains(input);
                if !input.is_empty() && !weight && outside && !needed.iter().any(|known| known == input) {
                    needed.push(input.to_owned());
                }
            }
        }
        needed
    }
}

/// A tensor that a graph takes or gives; its shape is left open.
pub(super) fn value(name: &str, element: Option<u64>) -> Vec<u8> {
    let mut value = Vec::new();
    put_bytes(&mut value, VALUE_NAME, name.as_bytes());
    if let Some(element) = element {
        let (mut tensor, mut kind) = (Vec::new(), Vec::new());
        put_integer(&mut tensor, TENSOR_ELEMENT, element);
        put_bytes(&mut kind, TYPE_TENSOR, &tensor);
        put_bytes(&mut value, VALUE_TYPE, &kind);
    }
    value
}
