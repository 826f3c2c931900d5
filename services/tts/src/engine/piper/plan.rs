//! Where a VITS graph is cut: found by what the nodes do, not by their names, which differ from export to export.
//!
//! VITS (Kim, Kong and Son, "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
//! Text-to-Speech", ICML 2021) makes of phones in turn: how long each is (`Ceil`, with noise), a prior for each frame
//! (with noise), a latent by inverse flows, and samples by upsampling convolutions. Flows and convolutions see only
//! their neighbourhood, so they can run on windows. The convolutions before the second upsampling see furthest and cost
//! least, so they are a part of their own: only they are computed again for the neighbours of a window.

use super::super::graph::{Graph, Node};

/// The tensors at which a graph is cut, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Frames of each id.
    pub(super) durations: String,
    /// The prior of each frame, with its noise: [1, channels, frames].
    pub(super) prior: String,
    /// The latent of each frame: [1, channels, frames].
    pub(super) latent: String,
    /// What is upsampled the second time: [1, some, several for each frame].
    pub(super) middle: String,
    /// The samples.
    pub(super) audio: String,
    /// Noise for the durations, [1, 2, ids], where the durations have some.
    pub(super) duration_noise: Option<String>,
    /// Noise for the prior, [1, channels, frames].
    pub(super) prior_noise: String,
    pub(super) channels: usize,
}

/// A chain of nodes that is longer is not what it is taken for.
const LONGEST_CHAIN: usize = 32;

/// The tensor that tells how long each id is: the only thing that is rounded up.
pub(super) fn durations<'a>(graph: &Graph<'a>) -> Option<&'a str> {
    let mut rounded = graph.nodes().iter().filter(|node| node.kind == "Ceil");
    let found = rounded.next()?;
    if rounded.next().is_some() {
        return None;
    }
    found.outputs.first().copied()
}

/// Whether runs of the graph differ by chance that it makes itself.
pub(super) fn is_random(graph: &Graph<'_>) -> bool {
    graph.nodes().iter().any(|node| node.kind.starts_with("Random"))
}

// === impl Plan ===

impl Plan {
    /// None if the graph is not as expected; then it is run whole.
    pub(super) fn find(graph: &Graph<'_>) -> Option<Self> {
        let audio = *graph.outputs().first()?;
        let durations = durations(graph)?;
        let mut upsampled = upsampled(graph, audio);
        let first = first_convolution(graph, upsampled.next()?)?;
        let middle = upsampled.next()?;
        let latent = *first.inputs.first()?;
        let channels = usize::try_from(*graph.weight_shape(first.inputs.get(1)?)?.get(1)?).ok()?;
        let (mut of_durations, mut of_prior) = (None, None);
        for node in graph
            .nodes()
            .iter()
            .filter(|node| node.kind.starts_with("Random"))
        {
            let noise = *node.outputs.first()?;
            let place = if graph.leads_to(noise, durations) {
                &mut of_durations
            } else if graph.leads_to(noise, latent) {
                &mut of_prior
            } else {
                return None;
            };
            // Other kinds of noise, or more of it, are not known.
            if node.kind != "RandomNormalLike" || place.replace(noise).is_some() {
                return None;
            }
        }
        let noise = of_prior?;
        let prior = prior(graph, noise)?;
        Some(Self {
            durations: durations.to_owned(),
            prior: prior.to_owned(),
            latent: latent.to_owned(),
            middle: middle.to_owned(),
            audio: audio.to_owned(),
            duration_noise: of_durations.map(str::to_owned),
            prior_noise: noise.to_owned(),
            channels,
        })
    }
}

/// What is upsampled on the way to the samples, in order.
fn upsampled<'g, 'a>(graph: &'g Graph<'a>, audio: &'g str) -> impl Iterator<Item = &'a str> + use<'g, 'a> {
    let upsampling = graph.nodes().iter().filter(move |node| {
        let output = node.outputs.first();
        node.kind == "ConvTranspose" && output.is_some_and(|output| graph.leads_to(output, audio))
    });
    upsampling.filter_map(|node| node.inputs.first().copied())
}

/// The convolution before all upsampling: the one over several frames that `upsampled` comes from.
fn first_convolution<'g, 'a>(graph: &'g Graph<'a>, upsampled: &'a str) -> Option<&'g Node<'a>> {
    let mut open = vec![upsampled];
    let mut found = None;
    for _ in 0..LONGEST_CHAIN {
        let Some(tensor) = open.pop() else { break };
        let Some(node) = graph.maker(tensor) else { continue };
        match node.kind {
            // That over one frame is the speaker's.
            "Conv"
                if node
                    .integers("kernel_shape")
                    .is_some_and(|kernel| kernel.iter().all(|&width| width <= 1)) => {}
            "Conv" if found.is_none() => found = Some(node),
            "LeakyRelu" | "Relu" | "Add" => open.extend(node.inputs.iter().copied()),
            _ => return None,
        }
    }
    found.filter(|_| open.is_empty())
}

/// The sum of mean and noise: the first `Add` on the way of the noise, which is only multiplied before.
fn prior<'a>(graph: &Graph<'a>, noise: &'a str) -> Option<&'a str> {
    let mut tensor = noise;
    for _ in 0..LONGEST_CHAIN {
        let mut users = graph.nodes().iter().filter(|node| node.inputs.contains(&tensor));
        let user = users.next()?;
        if users.next().is_some() {
            return None;
        }
        tensor = user.outputs.first()?;
        match user.kind {
            "Add" => return Some(tensor),
            "Mul" | "Cast" | "Identity" => {}
            _ => return None,
        }
    }
    None
}
