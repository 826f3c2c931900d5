//! Folds factors, summands and batch normalisations into the weights of a neighbouring convolution.

use super::onnx::{Attribute, Node};
use super::{Constant, Work};

/// What is done to each channel: a factor and a summand.
struct Affine {
    factors: Vec<f64>,
    summands: Vec<f64>,
}

/// Where the weights of a convolution are.
struct Weights {
    kernel: Constant,
    bias: Vec<f64>,
    /// Numbers of the kernel for each channel that comes out.
    each: usize,
}

// === impl Affine ===

impl Affine {
    fn uniform(factor: f64, summand: f64, channels: usize) -> Self {
        Self {
            factors: vec![factor; channels],
            summands: vec![summand; channels],
        }
    }
}

// === impl Work ===

impl Work {
    /// Folds until nothing folds any more; how often.
    pub(super) fn fold(&mut self) -> usize {
        let mut folded = 0;
        loop {
            let found = (0..self.nodes.len()).any(|place| self.fold_back(place) || self.fold_on(place));
            if !found {
                return folded;
            }
            folded += 1;
        }
    }

    /// Folds the node at a place into the convolution that feeds it.
    fn fold_back(&mut self, place: usize) -> bool {
        let Some((feed, affine)) = self.affine_at(place) else {
            return false;
        };
        let Some(from) = self.maker(&feed).filter(|_| self.private(&feed)) else {
            return false;
        };
        let Some(mut weights) = self.weights(from) else {
            return false;
        };
        let Some(affine) = affine(weights.bias.len()) else {
            return false;
        };
        for (channel, (factor, summand)) in affine.factors.iter().zip(&affine.summands).enumerate() {
            weights.scale(channel, *factor);
            weights.bias[channel] = weights.bias[channel] * factor + summand;
        }
        let output = self.nodes[place].output[0].clone();
        self.nodes[from].output[0] = output;
        self.set_weights(from, weights);
        self.replace(&[place], place, Vec::new());
        true
    }

    /// Folds the number at a place into the convolutions that it feeds, if it feeds nothing else. A summand only where
    /// nothing is padded: padding comes after it.
    fn fold_on(&mut self, place: usize) -> bool {
        let node = &self.nodes[place];
        let Some((feed, number)) = self.with_scalar(node) else {
            return false;
        };
        let factor = node.is("Mul");
        if !(factor || node.is("Add")) || self.outputs.contains(&node.output[0]) {
            return false;
        }
        let Some(takers) = self.takers.get(&node.output[0]).cloned() else {
            return false;
        };
        let output = node.output[0].clone();
        let fits = takers.iter().all(|&taker| {
            let node = &self.nodes[taker];
            node.input[0] == output && self.weights(taker).is_some() && (factor || !is_padded(node))
        });
        if !fits {
            return false;
        }
        let number = f64::from(number);
        for taker in takers {
            let Some(mut weights) = self.weights(taker) else {
                return false;
            };
            for channel in 0..weights.bias.len() {
                if factor {
                    weights.scale(channel, number);
                } else {
                    weights.bias[channel] += number * weights.sum(channel);
                }
            }
            // The bias of a convolution is not scaled with its input: only the kernel is.
            self.set_weights(taker, weights);
            self.nodes[taker].input[0].clone_from(&feed);
        }
        self.replace(&[place], place, Vec::new());
        true
    }

    /// What the node at a place does to the channels of its input, given how many they are.
    fn affine_at(&self, place: usize) -> Option<(String, impl Fn(usize) -> Option<Affine> + use<>)> {
        let node = &self.nodes[place];
        let kind = match node.op_type() {
            "Mul" | "Add" if node.is(node.op_type()) && node.input.len() == 2 => {
                let constant = |input: usize| self.constants.get(&node.input[input]).cloned();
                let (feed, constant) = match (constant(0), constant(1)) {
                    (None, Some(constant)) => (&node.input[0], constant),
                    (Some(constant), None) => (&node.input[1], constant),
                    _ => return None,
                };
                (feed.clone(), Kind::Elementwise(node.is("Mul"), constant))
            }
            "BatchNormalization" if node.domain().is_empty() && node.input.len() == 5 => {
                let parameter = |input: usize| Some(self.constants.get(&node.input[input])?.values.clone());
                let parameters = [parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?];
                let epsilon = node.attribute("epsilon").map_or(1e-5, |attribute| attribute.f());
                (node.input[0].clone(), Kind::Normalisation(parameters, epsilon))
            }
            _ => return None,
        };
        let (feed, kind) = kind;
        Some((feed, move |channels| kind.affine(channels)))
    }

    /// The weights of a convolution whose weights are constants.
    fn weights(&self, place: usize) -> Option<Weights> {
        let node = &self.nodes[place];
        if !node.is("Conv") {
            return None;
        }
        let kernel = self.constants.get(node.input.get(1)?)?.clone();
        let channels = usize::try_from(*kernel.dims.first()?)
            .ok()
            .filter(|&count| count > 0)?;
        if kernel.dims.len() != 4 {
            return None;
        }
        let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
            None => vec![0.0; channels],
            Some(name) => self
                .constants
                .get(name)?
                .values
                .iter()
                .map(|&value| f64::from(value))
                .collect(),
        };
        let each = kernel.values.len() / channels;
        (bias.len() == channels).then_some(Weights { kernel, bias, each })
    }

    fn set_weights(&mut self, place: usize, weights: Weights) {
        let channels = weights.bias.len() as i64;
        let bias = weights.bias.iter().map(|&value| value as f32).collect();
        let kernel = self.add_constant(weights.kernel.dims, weights.kernel.values);
        let bias = self.add_constant(vec![channels], bias);
        let node = &mut self.nodes[place];
        node.input.truncate(1);
        node.input.extend([kernel, bias]);
        self.link();
    }

    /// Makes what is left of a factor and a summand before a padded convolution a depthwise convolution of one pixel.
    pub(super) fn keep_layout(&mut self) -> usize {
        let mut kept = 0;
        while let Some((new, gone)) =
            (0..self.nodes.len()).find_map(|place| self.affine_before_padding(place))
        {
            let (feed, output, factor, summand, channels) = new;
            let weights = self.add_constant(vec![channels as i64, 1, 1, 1], vec![factor; channels]);
            let bias = self.add_constant(vec![channels as i64], vec![summand; channels]);
            let parameters = vec![
                Attribute::int("group", channels as i64),
                Attribute::ints("kernel_shape", &[1, 1]),
                Attribute::ints("strides", &[1, 1]),
                Attribute::ints("pads", &[0, 0, 0, 0]),
            ];
            let node = Node::new("Conv", &[&feed, &weights, &bias], &output, parameters);
            self.replace(&gone, gone[0], vec![node]);
            kept += 1;
        }
        kept
    }

    /// The summand at a place, with the factor before it, if convolutions stand on both sides.
    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn affine_before_padding(&self, place: usize) -> Option<((String, String, f32, f32, usize), Vec<usize>)> {
        let node = &self.nodes[place];
        if !node.is("Add") {
            return None;
        }
        let (mut feed, summand) = self.with_scalar(node)?;
        let output = node.output[0].clone();
        let takers = self.takers.get(&output)?;
        if !takers.iter().any(|&taker| self.nodes[taker].is("Conv")) {
            return None;
        }
        let (mut factor, mut gone) = (1.0, vec![place]);
        if let Some(before) = self.maker(&feed).filter(|&before| self.nodes[before].is("Mul"))
            && self.private(&feed)
            && let Some((input, number)) = self.with_scalar(&self.nodes[before])
        {
            (feed, factor) = (input, number);
            gone.push(before);
        }
        let channels = self.channels(&feed)?;
        Some(((feed, output, factor, summand, channels), gone))
    }

    /// How many channels a value has, where it comes from a convolution through what leaves their number alone.
    fn channels(&self, value: &str) -> Option<usize> {
        let mut at = self.maker(value)?;
        loop {
            let node = &self.nodes[at];
            if node.is("Conv") {
                return self.weights(at).map(|weights| weights.bias.len());
            }
            if !["Mul", "HardSigmoid", "Relu"].iter().any(|op| node.is(op)) {
                return None;
            }
            let varying = node
                .input
                .iter()
                .find(|input| !self.constants.contains_key(*input))?;
            at = self.maker(varying)?;
        }
    }
}

/// What a node does to channels, before their number is known.
enum Kind {
    /// Multiplies (else adds) a constant.
    Elementwise(bool, Constant),
    /// Scale, shift, mean, variance; epsilon.
    Normalisation([Vec<f32>; 4], f32),
}

// === impl Kind ===

impl Kind {
    fn affine(&self, channels: usize) -> Option<Affine> {
        match self {
            Self::Elementwise(factor, constant) => {
                let values: Vec<f64> = match constant.values.as_slice() {
                    [number] if constant.dims.len() <= 4 => vec![f64::from(*number); channels],
                    numbers if numbers.len() == channels && is_per_channel(&constant.dims, channels) => {
                        numbers.iter().map(|&number| f64::from(number)).collect()
                    }
                    _ => return None,
                };
                let mut affine = Affine::uniform(1.0, 0.0, channels);
                *(if *factor {
                    &mut affine.factors
                } else {
                    &mut affine.summands
                }) = values;
                Some(affine)
            }
            Self::Normalisation(parameters, epsilon) => {
                if parameters.iter().any(|parameter| parameter.len() != channels) {
                    return None;
                }
                let [scale, shift, mean, variance] = parameters;
                let at = |values: &[f32], channel: usize| f64::from(values[channel]);
                let factors: Vec<f64> = (0..channels)
                    .map(|c| at(scale, c) / (at(variance, c) + f64::from(*epsilon)).sqrt())
                    .collect();
                let summands = (0..channels)
                    .map(|c| at(shift, c) - at(mean, c) * factors[c])
                    .collect();
                Some(Affine { factors, summands })
            }
        }
    }
}

/// \[C, 1, 1\] or \[1, C, 1, 1\].
fn is_per_channel(dims: &[i64], channels: usize) -> bool {
    let channels = channels as i64;
    dims == [channels, 1, 1] || dims == [1, channels, 1, 1]
}

fn is_padded(node: &Node) -> bool {
    let pads = node
        .attribute("pads")
        .is_some_and(|pads| pads.ints.iter().any(|&pad| pad != 0));
    let automatic = node
        .attribute("auto_pad")
        .is_some_and(|auto| !matches!(auto.s(), b"" | b"NOTSET" | b"VALID"));
    pads || automatic
}

// === impl Weights ===

impl Weights {
    fn scale(&mut self, channel: usize, factor: f64) {
        for value in &mut self.kernel.values[channel * self.each..][..self.each] {
            *value = (f64::from(*value) * factor) as f32;
        }
    }

    fn sum(&self, channel: usize) -> f64 {
        self.kernel.values[channel * self.each..][..self.each]
            .iter()
            .map(|&value| f64::from(value))
            .sum()
    }
}
