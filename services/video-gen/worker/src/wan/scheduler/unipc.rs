//! UniPC (Zhao et al. 2023, arXiv 2302.04867), of order 2, with `B(h) = exp(h) - 1`, predicting `x0`.
//!
//! Each step first corrects the latents that the last one predicted, with what the network says now, then predicts the next.
//! `lambda` is the logarithm of signal over noise, `h` a step in it.

use tch::Tensor;

use super::{Step, shifted};

/// The order of the solver.
const ORDER: usize = 2;

/// A schedule of UniPC steps and where it is.
#[derive(Debug)]
pub struct UniPc {
    /// Noise before each step, and 0 at the end.
    sigmas: Vec<f32>,
    times: Vec<f64>,
    next: usize,
    /// The last clean latents that were predicted, the newest last.
    clean: Vec<Tensor>,
    /// The latents from which the last prediction was made.
    corrected: Option<Tensor>,
    /// The order of the last prediction.
    order: usize,
}

// === impl UniPc ===

impl UniPc {
    pub(super) fn new(steps: usize, shift: f64) -> Self {
        let mut sigmas: Vec<f64> = (0..steps)
            .map(|index| 1.0 + index as f64 * ((0.001 - 1.0) / steps as f64))
            .map(|sigma| shifted(sigma, shift))
            .collect();
        // At noise alone the logarithm would be infinite.
        if (sigmas[0] - 1.0).abs() < 1e-6 {
            sigmas[0] -= 1e-6;
        }
        Self {
            // The network is told whole times.
            times: sigmas.iter().map(|sigma| (sigma * 1000.0).trunc()).collect(),
            sigmas: sigmas.iter().map(|sigma| *sigma as f32).chain([0.0]).collect(),
            next: 0,
            clean: Vec::new(),
            corrected: None,
            order: 0,
        }
    }

    pub(super) fn times(&self) -> Vec<f64> {
        self.times.clone()
    }

    pub(super) fn step(&mut self, flow: &Tensor, latents: &Tensor) -> Step {
        let clean = latents - flow * f64::from(self.sigmas[self.next]);
        let latents = match &self.corrected {
            Some(before) => self.correct(before, &clean),
            None => latents.shallow_clone(),
        };
        let warm = self.clean.len() + 1;
        if self.clean.len() == ORDER {
            drop(self.clean.remove(0));
        }
        self.clean.push(clean.shallow_clone());
        // Towards the end the order falls again, as it rose at the beginning.
        self.order = ORDER.min(self.times.len() - self.next).min(warm);
        let predicted = self.predict(&latents);
        self.corrected = Some(latents);
        self.next += 1;
        Step {
            latents: predicted,
            clean,
        }
    }

    /// UniC: the latents of this step anew, from those of the step before and what is known at both of its ends.
    fn correct(&self, before: &Tensor, clean: &Tensor) -> Tensor {
        let (from, to) = (self.next - 1, self.next);
        let h = self.lambda(to) - self.lambda(from);
        let (base, weight) = self.linear(before, from, to);
        let last = &self.clean[self.clean.len() - 1];
        let change = clean - last;
        let residual = if self.order == 1 {
            change * 0.5
        } else {
            let ratio = (self.lambda(from - 1) - self.lambda(from)) / h;
            let (b1, b2) = weights(-h);
            // The solution of [[1, 1], [ratio, 1]] rho = [b1, b2].
            let past = (b1 - b2) / (1.0 - ratio);
            let slope = (&self.clean[self.clean.len() - 2] - last) / f64::from(ratio);
            slope * f64::from(past) + change * f64::from(b1 - past)
        };
        base - residual * f64::from(weight)
    }

    /// UniP: the latents of the next step.
    fn predict(&self, latents: &Tensor) -> Tensor {
        let (from, to) = (self.next, self.next + 1);
        let (base, weight) = self.linear(latents, from, to);
        if self.order == 1 {
            return base;
        }
        let h = self.lambda(to) - self.lambda(from);
        let ratio = (self.lambda(from - 1) - self.lambda(from)) / h;
        let last = &self.clean[self.clean.len() - 1];
        let slope = (&self.clean[self.clean.len() - 2] - last) / f64::from(ratio);
        base - slope * f64::from(0.5 * weight)
    }

    /// The step that is exact if `x0` does not change, and the weight of what it does change: `alpha B(h)`.
    fn linear(&self, latents: &Tensor, from: usize, to: usize) -> (Tensor, f32) {
        let h = self.lambda(to) - self.lambda(from);
        let weight = (1.0 - self.sigmas[to]) * (-h).exp_m1();
        let last = &self.clean[self.clean.len() - 1];
        let base = latents * f64::from(self.sigmas[to] / self.sigmas[from]) - last * f64::from(weight);
        (base, weight)
    }

    /// Infinite at the last step, where nothing is noise.
    fn lambda(&self, index: usize) -> f32 {
        (1.0 - self.sigmas[index]).ln() - self.sigmas[index].ln()
    }
}

/// The right sides of the corrector's equations at `-h`: `k! phi_k(h) h / B(h)`.
fn weights(h: f32) -> (f32, f32) {
    let b = h.exp_m1();
    let phi = b / h - 1.0;
    (phi / b, (phi / h - 0.5) * 2.0 / b)
}
