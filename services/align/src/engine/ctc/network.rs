//! The graph: samples in, the scores of each letter every 20 ms out; long recordings in windows that overlap.
//!
//! `input_values` `[1, samples]` (and `attention_mask` where a graph has it) gives `logits` `[1, frames, letters]`.
//! A recording that fits into one window is run as it is, as transformers runs it. A longer one is cut on the grid of
//! frames; each window hears some of its neighbours, and what it says of those is dropped.

use std::num::NonZeroUsize;
use std::path::Path;

use half::f16;
use polyphony_inference::ort::session::SessionInputValue;
use polyphony_inference::ort::value::{Tensor, TensorElementType};
use polyphony_inference::{Device, Loaded, Port, SessionPool, SessionSettings, TerminateOn};

use super::error::CtcError;
use super::settings::Settings;
use crate::domain::Cancel;

/// The graph, loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pool: SessionPool,
    element: TensorElementType,
    masked: bool,
}

/// Scores, frame by frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Logits {
    pub(super) values: Vec<f32>,
    pub(super) columns: usize,
}

// === impl Network ===

impl Network {
    pub(super) fn open(
        runtime: &Loaded,
        path: &Path,
        device: Device,
        (sessions, threads): (NonZeroUsize, NonZeroUsize),
    ) -> Result<Self, CtcError> {
        let settings = SessionSettings {
            device,
            threads,
            fixed_shapes: false,
        };
        let pool = SessionPool::open(runtime, path, settings, sessions)?;
        let find = |ports: &[Port], name: &str| ports.iter().find(|port| port.name == name).cloned();
        let unfit =
            |problem: &str| CtcError::from(polyphony_inference::Error::unfit(path, problem.to_owned()));
        let input = find(pool.inputs(), "input_values").ok_or_else(|| unfit("it has no \"input_values\""))?;
        find(pool.outputs(), "logits").ok_or_else(|| unfit("it has no \"logits\""))?;
        let masked = find(pool.inputs(), "attention_mask").is_some();
        if pool.inputs().len() > 1 + usize::from(masked) {
            return Err(unfit("it has inputs that no CTC export has"));
        }
        let element = input.element.unwrap_or(TensorElementType::Float32);
        if ![TensorElementType::Float32, TensorElementType::Float16].contains(&element) {
            return Err(unfit("\"input_values\" is neither of 32 nor of 16 bits"));
        }
        Ok(Self {
            pool,
            element,
            masked,
        })
    }

    /// Runs samples as they are.
    pub(super) fn run(
        &self,
        samples: &[f32],
        settings: &Settings,
        cancel: &Cancel,
    ) -> Result<Logits, CtcError> {
        let samples = if settings.normalize {
            normal(samples)
        } else {
            samples.to_vec()
        };
        let length = samples.len();
        let shape = [1, length];
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = vec![match self.element {
            TensorElementType::Float16 => {
                let halves: Vec<f16> = samples.into_iter().map(f16::from_f32).collect();
                ("input_values", Tensor::from_array((shape, halves))?.into())
            }
            _ => ("input_values", Tensor::from_array((shape, samples))?.into()),
        }];
        if self.masked {
            inputs.push((
                "attention_mask",
                Tensor::from_array((shape, vec![1_i64; length]))?.into(),
            ));
        }
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let stoppable = TerminateOn::new(|| cancel.is_cancelled());
        let logits = stoppable.run(|options| {
            let mut outputs = session.run_with_options(inputs, options)?;
            Ok(outputs.remove("logits"))
        })?;
        let logits = logits.ok_or_else(|| CtcError::Output("no \"logits\"".to_owned()))?;
        let odd = |shape: &[i64]| CtcError::Output(format!("logits of shape {shape:?}"));
        let (shape, values) = match self.element {
            TensorElementType::Float16 if logits.try_extract_tensor::<f16>().is_ok() => {
                let (shape, values) = logits.try_extract_tensor::<f16>()?;
                (
                    shape.to_vec(),
                    values.iter().map(|value| value.to_f32()).collect(),
                )
            }
            _ => {
                let (shape, values) = logits.try_extract_tensor::<f32>()?;
                (shape.to_vec(), values.to_vec())
            }
        };
        let [1, frames, columns] = shape.as_slice() else {
            return Err(odd(&shape));
        };
        if *columns as usize != settings.columns || *frames < 0 {
            return Err(odd(&shape));
        }
        Ok(Logits {
            values,
            columns: settings.columns,
        })
    }
}

// === impl Logits ===

impl Logits {
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }
}

/// A mean of 0 and a variance of 1, as `Wav2Vec2FeatureExtractor` with `do_normalize`.
fn normal(samples: &[f32]) -> Vec<f32> {
    let count = samples.len().max(1) as f64;
    let mean = samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / count;
    let variance = samples
        .iter()
        .map(|sample| (f64::from(*sample) - mean).powi(2))
        .sum::<f64>()
        / count;
    let factor = 1.0 / (variance + 1e-7).sqrt();
    samples
        .iter()
        .map(|sample| ((f64::from(*sample) - mean) * factor) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_samples_have_no_mean_and_one_variance() {
        let samples: Vec<f32> = (0..1_000).map(|n| (n as f32 * 0.1).sin() * 0.2 + 0.5).collect();
        let normal = normal(&samples);
        let mean = normal.iter().sum::<f32>() / 1_000.0;
        let variance = normal.iter().map(|sample| sample * sample).sum::<f32>() / 1_000.0;
        assert!(
            mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3,
            "{mean} {variance}"
        );
    }
}
