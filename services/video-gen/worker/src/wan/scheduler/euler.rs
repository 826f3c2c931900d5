//! Euler's method: straight along the flow.

use tch::Tensor;

use super::{Step, linspace, shifted};

/// A schedule of Euler steps and where it is.
#[derive(Debug)]
pub struct Euler {
    /// Noise before each step, and 0 at the end.
    sigmas: Vec<f32>,
    next: usize,
}

// === impl Euler ===

impl Euler {
    /// The ends of the schedule are shifted twice, once as the ends and once as points of it: so the reference does.
    pub(super) fn new(steps: usize, shift: f64) -> Self {
        let end = |sigma: f32| {
            let shift = shift as f32;
            f64::from(shift * sigma / (1.0 + (shift - 1.0) * sigma))
        };
        let sigmas = linspace(1000.0 * end(1.0), 1000.0 * end(0.001), steps)
            .map(|time| shifted(time / 1000.0, shift) as f32)
            .chain([0.0])
            .collect();
        Self { sigmas, next: 0 }
    }

    pub(super) fn times(&self) -> Vec<f64> {
        self.sigmas[..self.sigmas.len() - 1]
            .iter()
            .map(|sigma| f64::from(sigma * 1000.0))
            .collect()
    }

    pub(super) fn step(&mut self, flow: &Tensor, latents: &Tensor) -> Step {
        let (now, then) = (self.sigmas[self.next], self.sigmas[self.next + 1]);
        self.next += 1;
        Step {
            latents: latents + flow * f64::from(then - now),
            clean: latents - flow * f64::from(now),
        }
    }
}
