//! The network: ids in; how long each is, and then the samples, window by window.
//!
//! A graph that can be cut as [`Plan`] says runs in parts ([`Parted`]); one that cannot be cut runs as it is.

use std::num::NonZeroUsize;
use std::path::Path;

use polyphony_inference::ort::value::Tensor;
use polyphony_inference::{Device, Error, Loaded, SessionSettings};

use super::super::graph::Graph;
use super::super::stage::{Array, Stage, Values};
use super::parted::Parted;
use super::plan::{self, Plan};
use crate::domain::Cancel;

/// A voice's graph, open. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Network {
    form: Form,
    speakers: bool,
    random: bool,
}

/// How the graph runs.
#[derive(Debug, Clone)]
enum Form {
    /// In one piece; the tensor that tells how long each id is, if there is one.
    Whole(Stage, Option<String>, String),
    Parted(Box<Parted>),
}

/// What is put in.
#[derive(Debug, Clone)]
pub(super) struct Input<'a> {
    pub(super) ids: &'a [i64],
    pub(super) speaker: Option<i64>,
    pub(super) noise: f32,
    pub(super) length: f32,
    pub(super) duration_noise: f32,
    pub(super) seed: Option<u64>,
}

/// What comes out.
pub(super) enum Output {
    /// Samples from the beginning at which each id ends; none if the graph does not tell.
    Ends(Option<Vec<usize>>),
    Audio(Vec<f32>),
}

/// Samples of a frame of graphs that run whole, as Piper assumes it.
const USUAL_HOP: usize = 256;

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
        let model = std::fs::read(path).map_err(|error| Error::Open {
            path: path.to_owned(),
            source: error.into(),
        })?;
        let graph = Graph::read(&model);
        let durations = graph.as_ref().and_then(plan::durations).map(str::to_owned);
        let random = graph.as_ref().is_none_or(plan::is_random);
        // On a GPU the whole is quicker than the way back and forth.
        let parted = graph.as_ref().filter(|_| device == Device::Cpu).and_then(|graph| {
            let plan = Plan::find(graph)?;
            Parted::open(runtime, path, graph, plan, settings, sessions)
                .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a voice cannot be cut, it runs whole"))
                .ok()
        });
        if let Some(parted) = parted {
            let speakers = parted.takes("sid");
            return Ok(Self {
                form: Form::Parted(Box::new(parted)),
                speakers,
                random: false,
            });
        }
        let telling = graph
            .as_ref()
            .zip(durations.as_deref())
            .and_then(|(graph, durations)| {
                let audio = *graph.outputs().first()?;
                let part = graph.split(&[&[audio, durations]], &[])?.pop()?;
                graph.model(&part, |_| None)
            });
        let durations = durations.filter(|_| telling.is_some());
        let stage = Stage::open(runtime, path, telling.as_deref(), settings, sessions)?;
        let unfit = || {
            Error::unfit(
                path,
                "it has not the inputs input, input_lengths and scales of a Piper voice",
            )
        };
        let takes = |name: &str| stage.pool().inputs().iter().any(|port| port.name == name);
        if !["input", "input_lengths", "scales"].into_iter().all(takes) {
            return Err(unfit());
        }
        let audio = stage
            .pool()
            .outputs()
            .first()
            .map(|port| port.name.clone())
            .ok_or_else(unfit)?;
        Ok(Self {
            speakers: takes("sid"),
            form: Form::Whole(stage, durations, audio),
            random,
        })
    }

    /// Whether it knows how long each id is.
    pub(super) fn tells_durations(&self) -> bool {
        !matches!(&self.form, Form::Whole(_, None, _))
    }

    /// Whether it runs on windows.
    pub(super) fn is_parted(&self) -> bool {
        matches!(&self.form, Form::Parted(_))
    }

    /// Whether it uses chance that cannot be repeated.
    pub(super) const fn is_random(&self) -> bool {
        self.random
    }

    /// Whether it has several speakers.
    pub(super) const fn speakers(&self) -> bool {
        self.speakers
    }

    /// Speaks ids. Nothing is held while `out` runs.
    pub(super) fn run(
        &self,
        input: &Input<'_>,
        cancel: &Cancel,
        out: &mut dyn FnMut(Output),
    ) -> Result<(), Error> {
        match &self.form {
            Form::Whole(stage, durations, audio) => {
                let mut made = stage.run(&input.values()?, &[], true, cancel)?;
                let audio = made.remove(audio).as_ref().and_then(Array::of);
                let audio = audio.ok_or_else(|| Error::unfit(stage.pool().path(), "it gives no samples"))?;
                let ends = durations.as_ref().and_then(|name| Array::of(made.get(name)?));
                let frames: f32 = ends.as_ref().map_or(0.0, |ends| ends.values.iter().sum());
                let hop = if frames >= 1.0 {
                    audio.length() / frames as usize
                } else {
                    USUAL_HOP
                };
                out(Output::Ends(
                    ends.map(|durations| cumulated(&durations.values, hop)),
                ));
                out(Output::Audio(audio.values));
                Ok(())
            }
            Form::Parted(parted) => parted.run(input, cancel, out),
        }
    }
}

// === impl Input ===

impl Input<'_> {
    pub(super) fn values(&self) -> Result<Values, Error> {
        let count = self.ids.len();
        let scales = vec![self.noise, self.length, self.duration_noise];
        let mut values = Values::from([
            (
                "input".to_owned(),
                Tensor::from_array(([1, count], self.ids.to_vec()))?.into_dyn(),
            ),
            (
                "input_lengths".to_owned(),
                Tensor::from_array(([1], vec![count as i64]))?.into_dyn(),
            ),
            ("scales".to_owned(), Tensor::from_array(([3], scales))?.into_dyn()),
        ]);
        if let Some(speaker) = self.speaker {
            values.insert(
                "sid".to_owned(),
                Tensor::from_array(([1], vec![speaker]))?.into_dyn(),
            );
        }
        Ok(values)
    }
}

/// Where each id ends, in samples.
pub(super) fn cumulated(durations: &[f32], hop: usize) -> Vec<usize> {
    let mut end = 0;
    let ends = durations.iter().map(|&frames| {
        end += frames.max(0.0) as usize * hop;
        end
    });
    ends.collect()
}
