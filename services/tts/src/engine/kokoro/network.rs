//! The network: ids, a style and a speed in; samples, and how long each id is, out.
//!
//! Exports differ in what they call things, and in whether the speed is a whole number and durations are given.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;

use polyphony_inference::ort::value::{DynValue, Tensor, TensorElementType};
use polyphony_inference::{Device, Error, Loaded, Port, SessionSettings};

use super::super::graph::Graph;
use super::super::stage::{Array, Stage, Values};
use super::durations;
use super::voices::STYLE;
use crate::domain::Cancel;

/// The graph, open.
#[derive(Debug, Clone)]
pub(super) struct Network {
    stage: Stage,
    ids: String,
    style: String,
    speed: String,
    /// Whether speeds may be fractions.
    fine: bool,
    audio: String,
    durations: Option<String>,
    random: bool,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    pub(super) samples: Vec<f32>,
    /// Frames of each id; none if the graph does not tell.
    pub(super) durations: Option<Vec<f32>>,
}

/// What inputs are called, export by export.
const IDS: [&str; 2] = ["input_ids", "tokens"];
const STYLES: [&str; 2] = ["style", "ref_s"];
const SPEEDS: [&str; 1] = ["speed"];
/// The longest graph that is read to be looked at.
const LONGEST: u64 = 2 << 30;

// === impl Network ===

impl Network {
    pub(super) fn open(
        runtime: &Loaded,
        path: &Path,
        device: Device,
        (sessions, threads): (NonZeroUsize, NonZeroUsize),
    ) -> Result<Self, Error> {
        let settings = SessionSettings {
            device,
            threads,
            fixed_shapes: false,
        };
        let open = |error: std::io::Error| Error::Open {
            path: path.to_owned(),
            source: error.into(),
        };
        let small = std::fs::metadata(path).map_err(open)?.len() < LONGEST;
        let model = if small {
            std::fs::read(path).map_err(open)?
        } else {
            Vec::new()
        };
        let graph = Graph::outline(&model);
        // What happens within nested graphs is not known.
        let random = graph.as_ref().is_none_or(|graph| {
            graph.is_nested() || graph.nodes().iter().any(|node| node.kind.starts_with("Random"))
        });
        let hidden = graph.as_ref().filter(|graph| graph.outputs().len() == 1);
        let hidden = hidden.and_then(durations::tensor).map(str::to_owned);
        let stage = match &hidden {
            Some(tensor) => {
                let told = Graph::telling(model, tensor);
                Stage::open(runtime, path, Some(&told), settings, sessions)?
            }
            None => {
                drop(model);
                Stage::open(runtime, path, None, settings, sessions)?
            }
        };
        let port =
            |names: &[&str], kinds: &[TensorElementType]| -> Result<(String, TensorElementType), Error> {
                let inputs = stage.pool().inputs();
                let found = inputs.iter().find(|port| names.contains(&port.name.as_str()));
                let fits = found.and_then(|port| {
                    Some((
                        port.name.clone(),
                        port.element.filter(|kind| kinds.contains(kind))?,
                    ))
                });
                fits.ok_or_else(|| {
                    let problem = format!(
                        "it has no input \"{}\" as a Kokoro model has",
                        names.join("\" or \"")
                    );
                    Error::unfit(path, problem)
                })
            };
        let whole = [TensorElementType::Int32, TensorElementType::Int64];
        let (ids, _) = port(&IDS, &whole[1..])?;
        let (style, _) = port(&STYLES, &[TensorElementType::Float32])?;
        let (speed, kind) = port(&SPEEDS, &[TensorElementType::Float32, whole[0], whole[1]])?;
        let outputs = stage.pool().outputs();
        let first = |fits: &dyn Fn(&&Port) -> bool| outputs.iter().find(fits).map(|port| port.name.clone());
        let audio = first(&|port| {
            port.element == Some(TensorElementType::Float32) && Some(&port.name) != hidden.as_ref()
        });
        let audio = audio.ok_or_else(|| Error::unfit(path, "it gives no samples of 32 bits"))?;
        let lengths = first(&|port| {
            port.name != audio
                && (Some(&port.name) == hidden.as_ref()
                    || port.element.is_some_and(|kind| whole.contains(&kind)))
        });
        tracing::debug!(durations = lengths, "opened a Kokoro model");
        Ok(Self {
            ids,
            style,
            speed,
            fine: kind == TensorElementType::Float32,
            audio,
            durations: lengths,
            random,
            stage,
        })
    }

    /// Whether it uses chance that cannot be repeated.
    pub(super) const fn is_random(&self) -> bool {
        self.random
    }

    /// The speeds that it takes.
    pub(super) fn speeds(&self) -> RangeInclusive<f32> {
        if self.fine { 0.5..=2.0 } else { 1.0..=1.0 }
    }

    /// Speaks ids, which have pads at both ends, in a style.
    pub(super) fn run(
        &self,
        ids: &[i64],
        style: Vec<f32>,
        speed: f32,
        cancel: &Cancel,
    ) -> Result<Made, Error> {
        let speed: DynValue = match self.kind(&self.speed) {
            Some(TensorElementType::Int32) => {
                Tensor::from_array(([1], vec![speed.round() as i32]))?.into_dyn()
            }
            Some(TensorElementType::Int64) => {
                Tensor::from_array(([1], vec![speed.round() as i64]))?.into_dyn()
            }
            _ => Tensor::from_array(([1], vec![speed]))?.into_dyn(),
        };
        let values = Values::from([
            (
                self.ids.clone(),
                Tensor::from_array(([1, ids.len()], ids.to_vec()))?.into_dyn(),
            ),
            (
                self.style.clone(),
                Tensor::from_array(([1, STYLE], style))?.into_dyn(),
            ),
            (self.speed.clone(), speed),
        ]);
        let mut made = self.stage.run(&values, &[], true, cancel)?;
        let samples = made.remove(&self.audio).as_ref().and_then(Array::of);
        let samples = samples.ok_or_else(|| Error::unfit(self.stage.pool().path(), "it gives no samples"))?;
        let durations = self.durations.as_ref().and_then(|name| numbers(made.get(name)?));
        Ok(Made {
            samples: samples.values,
            // Those of something else do not count.
            durations: durations.filter(|durations| {
                durations.len() == ids.len() && durations.iter().all(|frames| *frames >= 1.0)
            }),
        })
    }

    fn kind(&self, input: &str) -> Option<TensorElementType> {
        let inputs = self.stage.pool().inputs();
        inputs.iter().find(|port| port.name == input)?.element
    }
}

/// Numbers, whole or not.
fn numbers(value: &DynValue) -> Option<Vec<f32>> {
    if let Ok((_, values)) = value.try_extract_tensor::<i64>() {
        return Some(values.iter().map(|&value| value as f32).collect());
    }
    if let Ok((_, values)) = value.try_extract_tensor::<i32>() {
        return Some(values.iter().map(|&value| value as f32).collect());
    }
    Array::of(value).map(|array| array.values)
}
