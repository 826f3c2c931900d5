//! From noise to latents in steps: which times, and what a step does with the flow.
//!
//! The flow is that of rectified flow matching: latents at noise `sigma` are `(1 - sigma) x0 + sigma noise`, and the flow
//! points from `x0` to the noise. Coefficients are worked out in FP32, as the reference does: near the beginning they are
//! differences of almost equal numbers, and other digits would give another video.

use tch::Tensor;

use crate::protocol::Sampler;

mod euler;
mod unipc;

use euler::Euler;
use unipc::UniPc;

/// A schedule and where it is.
#[derive(Debug)]
pub enum Scheduler {
    /// UniPC.
    UniPc(UniPc),
    /// Euler.
    Euler(Euler),
}

/// What a step gives.
#[derive(Debug)]
pub struct Step {
    /// The latents after it.
    pub latents: Tensor,
    /// What the latents would be without any noise, as it looks now.
    pub clean: Tensor,
}

// === impl Scheduler ===

impl Scheduler {
    /// The schedule of `steps` steps, at least one. `shift` is more than 0; above 1 more of the steps are at high noise.
    pub fn new(sampler: Sampler, steps: u32, shift: f32) -> Self {
        let (steps, shift) = (usize::try_from(steps.max(1)).unwrap_or(1), f64::from(shift));
        match sampler {
            Sampler::Unipc => Self::UniPc(UniPc::new(steps, shift)),
            Sampler::Euler => Self::Euler(Euler::new(steps, shift)),
        }
    }

    /// The times of all steps, 1,000 to 0, as the transformer is told them.
    pub fn times(&self) -> Vec<f64> {
        match self {
            Self::UniPc(solver) => solver.times(),
            Self::Euler(solver) => solver.times(),
        }
    }

    /// Goes a step along the flow; both tensors are FP32.
    pub fn step(&mut self, flow: &Tensor, latents: &Tensor) -> Step {
        match self {
            Self::UniPc(solver) => solver.step(flow, latents),
            Self::Euler(solver) => solver.step(flow, latents),
        }
    }
}

/// How a share of noise is shifted.
fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

/// Points from `first` to `last`, both among them.
fn linspace(first: f64, last: f64, count: usize) -> impl Iterator<Item = f64> {
    let step = (last - first) / (count - 1).max(1) as f64;
    (0..count).map(move |index| {
        if index > 0 && index + 1 == count {
            last
        } else {
            first + step * index as f64
        }
    })
}
