//! Makes the graph of a model cheaper to run without changing what it computes.
//!
//! PaddlePaddle's exporters leave much as it was trained: each convolution of PP-LCNet is followed by a multiplication
//! and an addition of one number ("learnable affine block"), by a hard swish in four operations, and by another such
//! block. Each is a pass over memory, and they stop ONNX Runtime from keeping its blocked layout between convolutions:
//! they take more than half of the time. Here
//!
//! - `x * clip(x + 3, 0, 6) / 6` becomes `x * HardSigmoid(x)`, which ONNX Runtime joins to the convolution before it;
//! - factors, summands and batch normalisations are folded into the weights of a neighbouring convolution;
//! - what cannot be folded, because zeros are padded after it, becomes a depthwise convolution of one pixel, which keeps
//!   the layout.
//!
//! It is exact but for rounding. A graph in which nothing of the kind is found, or that keeps weights in other files, is
//! left as it is.

mod fold;
mod onnx;

use std::collections::{HashMap, HashSet};

use onnx::{Attribute, Graph, Model, Node, Tensor};
use prost::Message;

/// The same model, cheaper to run; none if nothing was found to improve.
pub(super) fn improve(model: &[u8]) -> Option<Vec<u8>> {
    let mut model = Model::decode(model).ok()?;
    let graph = model.graph.as_mut()?;
    let external = |tensor: &Tensor| tensor.data_location() != 0;
    if graph.node.iter().any(Node::holds_graph) || graph.initializer.iter().any(external) {
        return None;
    }
    let mut work = Work::on(graph);
    let changes = work.join_hard_swish() + work.fold() + work.keep_layout();
    if changes == 0 {
        return None;
    }
    work.finish(graph);
    Some(model.encode_to_vec())
}

/// A constant of a graph.
#[derive(Debug, Clone)]
struct Constant {
    dims: Vec<i64>,
    values: Vec<f32>,
}

/// A graph that is being rewritten.
struct Work {
    nodes: Vec<Node>,
    constants: HashMap<String, Constant>,
    /// Names that callers see.
    outputs: HashSet<String>,
    /// Which node makes a value.
    makers: HashMap<String, usize>,
    /// Which nodes take a value, once for each time.
    takers: HashMap<String, Vec<usize>>,
    made: Vec<String>,
}

// === impl Work ===

impl Work {
    fn on(graph: &Graph) -> Self {
        let given = graph
            .initializer
            .iter()
            .map(|tensor| (tensor.name().to_owned(), tensor));
        let made = graph
            .node
            .iter()
            .filter(|node| node.is("Constant"))
            .filter_map(|node| {
                let tensor = node.attribute("value")?.t.as_ref()?;
                Some((node.output[0].clone(), tensor))
            });
        let constants = given
            .chain(made)
            .filter_map(|(name, tensor)| {
                let values = tensor.floats()?;
                let dims = tensor.dims.clone();
                Some((name, Constant { dims, values }))
            })
            .collect();
        let mut work = Self {
            nodes: graph.node.clone(),
            constants,
            outputs: graph.output.iter().map(|value| value.name().to_owned()).collect(),
            makers: HashMap::new(),
            takers: HashMap::new(),
            made: Vec::new(),
        };
        work.link();
        work
    }

    /// Sees anew who makes and takes what.
    fn link(&mut self) {
        self.makers.clear();
        self.takers.clear();
        for (place, node) in self.nodes.iter().enumerate() {
            for output in &node.output {
                self.makers.insert(output.clone(), place);
            }
            for input in &node.input {
                self.takers.entry(input.clone()).or_default().push(place);
            }
        }
    }

    fn maker(&self, value: &str) -> Option<usize> {
        self.makers.get(value).copied()
    }

    /// Whether one node alone takes a value, and no caller sees it.
    fn private(&self, value: &str) -> bool {
        self.takers.get(value).is_some_and(|takers| takers.len() == 1) && !self.outputs.contains(value)
    }

    /// The one number of a constant of one element.
    fn scalar(&self, value: &str) -> Option<f32> {
        let constant = self.constants.get(value)?;
        match constant.values.as_slice() {
            [number] if constant.dims.len() <= 4 => Some(*number),
            _ => None,
        }
    }

    /// The other input and the number, if one input of a node of two is a number.
    fn with_scalar(&self, node: &Node) -> Option<(String, f32)> {
        let [a, b] = node.input.as_slice() else {
            return None;
        };
        match (self.scalar(a), self.scalar(b)) {
            (None, Some(number)) => Some((a.clone(), number)),
            (Some(number), None) => Some((b.clone(), number)),
            _ => None,
        }
    }

    fn add_constant(&mut self, dims: Vec<i64>, values: Vec<f32>) -> String {
        let name = format!("polyphony/{}", self.made.len());
        self.constants.insert(name.clone(), Constant { dims, values });
        self.made.push(name.clone());
        name
    }

    /// Takes nodes out and puts others in front of a place.
    fn replace(&mut self, gone: &[usize], before: usize, new: Vec<Node>) {
        let mut new = Some(new);
        let old = std::mem::take(&mut self.nodes);
        for (place, node) in old.into_iter().enumerate() {
            if place == before {
                self.nodes.extend(new.take().into_iter().flatten());
            }
            if !gone.contains(&place) {
                self.nodes.push(node);
            }
        }
        self.link();
    }

    /// `x * clip(x + 3, 0, 6) / 6` to `x * HardSigmoid(x)`.
    fn join_hard_swish(&mut self) -> usize {
        let mut joined = 0;
        while let Some((input, output, gone)) = (0..self.nodes.len()).find_map(|place| self.hard_swish(place))
        {
            let gate = format!("{output}/gate");
            let parameters = vec![
                Attribute::float("alpha", 1.0 / 6.0),
                Attribute::float("beta", 0.5),
            ];
            let new = vec![
                Node::new("HardSigmoid", &[&input], &gate, parameters),
                Node::new("Mul", &[&input, &gate], &output, Vec::new()),
            ];
            self.replace(&gone, gone[0], new);
            joined += 1;
        }
        joined
    }

    /// The input, the output and the nodes of the hard swish that ends at a place.
    fn hard_swish(&self, place: usize) -> Option<(String, String, [usize; 4])> {
        let division = &self.nodes[place];
        if !division.is("Div") || self.scalar(division.input.get(1)?)? != 6.0 {
            return None;
        }
        let product_at = self.maker(&division.input[0])?;
        let product = &self.nodes[product_at];
        if !product.is("Mul") || product.input.len() != 2 || !self.private(&division.input[0]) {
            return None;
        }
        [(0, 1), (1, 0)].into_iter().find_map(|(x, gate)| {
            let clip_at = self.maker(&product.input[gate])?;
            let clip = &self.nodes[clip_at];
            let limit = |input: usize| self.scalar(clip.input.get(input)?);
            let clipped = clip.is("Clip") && limit(1) == Some(0.0) && limit(2) == Some(6.0);
            if !clipped || !self.private(&clip.output[0]) {
                return None;
            }
            let sum_at = self.maker(&clip.input[0])?;
            let sum = &self.nodes[sum_at];
            let (input, three) = self.with_scalar(sum)?;
            let fits =
                sum.is("Add") && three == 3.0 && input == product.input[x] && self.private(&sum.output[0]);
            fits.then(|| {
                (
                    input,
                    division.output[0].clone(),
                    [place, product_at, clip_at, sum_at],
                )
            })
        })
    }

    /// Writes the nodes back, with the constants that are new and without what nobody takes any more.
    fn finish(self, graph: &mut Graph) {
        let Self {
            nodes,
            constants,
            outputs,
            made,
            ..
        } = self;
        let mut needed = outputs;
        let mut kept = Vec::with_capacity(nodes.len());
        for node in nodes.into_iter().rev() {
            if node.output.iter().any(|output| needed.contains(output)) {
                needed.extend(node.input.iter().cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        graph.node = kept;
        graph.initializer.retain(|tensor| needed.contains(tensor.name()));
        graph.initializer.extend(
            made.iter()
                .filter(|name| needed.contains(*name))
                .filter_map(|name| {
                    let constant = constants.get(name)?;
                    Some(Tensor::of(name, &constant.dims, &constant.values))
                }),
        );
        // Shapes that the exporter wrote down for values between nodes may be gone with their nodes.
        graph.value_info.clear();
    }
}
