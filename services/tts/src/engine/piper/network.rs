//! The network: ids in; how long each is, and then the samples, window by window.
//!
//! A graph that can be cut as [`Plan`] says runs in four parts. The last two run on windows of frames, several at once,
//! each with as much of its neighbours as it can see, so that what comes out is what the whole would give. A graph that
//! cannot be cut runs as it is.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

use polyphony_inference::ort::value::Tensor;
use polyphony_inference::{Device, Error, Loaded, SessionSettings};

use super::super::graph::Graph;
use super::super::stage::{Array, Stage, Values, element};
use super::plan::{self, Plan};
use super::windows;
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

#[derive(Debug, Clone)]
struct Parted {
    plan: Plan,
    text: Stage,
    expand: Stage,
    flow: Stage,
    decoder: Stage,
    /// Frames to either side that the flow and the decoder see.
    flow_reach: usize,
    decoder_reach: usize,
    /// Samples of a frame.
    hop: usize,
    /// Windows that are made at once.
    width: usize,
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

// === impl Parted ===

impl Parted {
    fn open(
        runtime: &Loaded,
        path: &Path,
        graph: &Graph<'_>,
        plan: Plan,
        settings: SessionSettings,
        sessions: NonZeroUsize,
    ) -> Result<Self, Error> {
        let unfit = |problem: &str| Error::unfit(path, problem);
        let ends: [&[&str]; 4] = [
            &[&plan.durations],
            &[&plan.prior],
            &[&plan.latent],
            &[&plan.audio],
        ];
        let given: Vec<&str> = plan
            .duration_noise
            .as_deref()
            .into_iter()
            .chain([plan.prior_noise.as_str()])
            .collect();
        let parts = graph
            .split(&ends, &given)
            .ok_or_else(|| unfit("its parts do not hang together"))?;
        let mut stages: Vec<Stage> = Vec::new();
        for part in &parts {
            let known = |name: &str| {
                if given.contains(&name) {
                    return Some(1);
                }
                let ports = stages.iter().flat_map(|stage| stage.pool().outputs());
                ports
                    .filter(|port| port.name == name)
                    .find_map(|port| element(port.element?))
            };
            let model = graph
                .model(part, known)
                .ok_or_else(|| unfit("a part wants what has no known type"))?;
            stages.push(Stage::open(runtime, path, Some(&model), settings, sessions)?);
        }
        let [text, expand, flow, decoder] =
            <[Stage; 4]>::try_from(stages).map_err(|_| unfit("it has not four parts"))?;
        let mut parted = Self {
            plan,
            text,
            expand,
            flow,
            decoder,
            flow_reach: 0,
            decoder_reach: 0,
            hop: 0,
            width: sessions.get(),
        };
        parted.probe()?;
        Ok(parted)
    }

    fn takes(&self, name: &str) -> bool {
        let stages = [&self.text, &self.expand, &self.flow, &self.decoder];
        stages
            .iter()
            .any(|stage| stage.pool().inputs().iter().any(|port| port.name == name))
    }

    /// Finds out how far flow and decoder see, and how long a frame is.
    fn probe(&mut self) -> Result<(), Error> {
        let speaker = self.takes("sid").then_some(0);
        let input = Input {
            ids: &[1, 0, 1, 0, 1, 0, 2],
            speaker,
            noise: 0.5,
            length: 1.0,
            duration_noise: 0.5,
            seed: Some(0),
        };
        let cancel = Cancel::default();
        let (values, prior, _) = self.prior(&input, &cancel)?;
        let (flow_reach, unit) =
            windows::reach(&self.flow, &values, &self.plan.prior, &self.plan.latent, &prior)?;
        let latent = Array::new(
            vec![1, self.plan.channels, prior.length()],
            vec![0.0; self.plan.channels * prior.length()],
        );
        let (decoder_reach, hop) = windows::reach(
            &self.decoder,
            &values,
            &self.plan.latent,
            &self.plan.audio,
            &latent,
        )?;
        if unit != 1 || hop < 2 {
            return Err(Error::unfit(
                self.flow.pool().path(),
                "its frames change their number on the way",
            ));
        }
        (self.flow_reach, self.decoder_reach, self.hop) = (flow_reach, decoder_reach, hop);
        tracing::debug!(flow_reach, decoder_reach, hop, "a voice runs on windows");
        Ok(())
    }

    /// All that is known before the flow, the prior of each frame, and the frames of each id.
    fn prior(&self, input: &Input<'_>, cancel: &Cancel) -> Result<(Values, Array, Vec<f32>), Error> {
        let unfit = |problem: &str| Error::unfit(self.text.pool().path(), problem);
        let mut chance = input
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let mut values = input.values()?;
        if let Some(name) = &self.plan.duration_noise {
            let noise = Array::new(
                vec![1, 2, input.ids.len()],
                normal(&mut chance, 2 * input.ids.len()),
            );
            values.insert(name.clone(), noise.value()?);
        }
        values.extend(self.text.run(&values, &[], true, cancel)?);
        let durations = values.get(&self.plan.durations).and_then(Array::of);
        let durations = durations.ok_or_else(|| unfit("it gives no durations"))?.values;
        let frames = durations.iter().sum::<f32>().max(1.0) as usize;
        if frames > MOST_FRAMES || durations.len() != input.ids.len() {
            return Err(unfit("it gives durations that cannot be"));
        }
        let channels = self.plan.channels;
        let noise = Array::new(vec![1, channels, frames], normal(&mut chance, channels * frames));
        values.insert(self.plan.prior_noise.clone(), noise.value()?);
        values.extend(self.expand.run(&values, &[], true, cancel)?);
        let prior = values.remove(&self.plan.prior).as_ref().and_then(Array::of);
        let prior = prior.filter(|prior| prior.shape == [1, channels, frames]);
        Ok((
            values,
            prior.ok_or_else(|| unfit("it gives no prior of the expected shape"))?,
            durations,
        ))
    }

    fn run(&self, input: &Input<'_>, cancel: &Cancel, out: &mut dyn FnMut(Output)) -> Result<(), Error> {
        let (values, prior, durations) = self.prior(input, cancel)?;
        out(Output::Ends(Some(cumulated(&durations, self.hop))));
        let frames = prior.length();
        let make = |window: Range<usize>| self.window(&values, &prior, window, cancel);
        windows::in_order(frames, self.width, cancel, &make, &mut |samples| {
            out(Output::Audio(samples))
        })
    }

    /// The samples of a window of frames.
    fn window(
        &self,
        values: &Values,
        prior: &Array,
        window: Range<usize>,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Error> {
        let lacking = || Error::unfit(self.flow.pool().path(), "a window gives no samples");
        let frames = prior.length();
        let seen = |window: &Range<usize>, reach: usize| {
            window.start.saturating_sub(reach)..(window.end + reach).min(frames)
        };
        let decoded = seen(&window, self.decoder_reach);
        let flowed = seen(&decoded, self.flow_reach);
        let feed = |stage: &Stage, main: (&str, Array), range: Range<usize>| {
            windows::run(stage, values, main, range, frames, cancel)
        };
        let part = prior.columns(flowed.clone());
        let mut made = feed(&self.flow, (&self.plan.prior, part), flowed.clone())?;
        let latent = made
            .remove(&self.plan.latent)
            .as_ref()
            .and_then(Array::of)
            .ok_or_else(lacking)?;
        if latent.length() != flowed.len() {
            return Err(lacking());
        }
        let latent = latent.columns(decoded.start - flowed.start..decoded.end - flowed.start);
        let mut made = feed(&self.decoder, (&self.plan.latent, latent), decoded.clone())?;
        let audio = made
            .remove(&self.plan.audio)
            .as_ref()
            .and_then(Array::of)
            .ok_or_else(lacking)?
            .values;
        let own = (window.start - decoded.start) * self.hop..(window.end - decoded.start) * self.hop;
        audio.get(own).map(<[f32]>::to_vec).ok_or_else(lacking)
    }
}

/// Ten minutes of a usual voice: more is not speech.
const MOST_FRAMES: usize = 60_000;

// === impl Input ===

impl Input<'_> {
    fn values(&self) -> Result<Values, Error> {
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
fn cumulated(durations: &[f32], hop: usize) -> Vec<usize> {
    let mut end = 0;
    let ends = durations.iter().map(|&frames| {
        end += frames.max(0.0) as usize * hop;
        end
    });
    ends.collect()
}

/// Numbers of the normal distribution: mean 0, variance 1 (Box and Muller, 1958).
fn normal(chance: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        let radius = (-2.0 * (1.0 - chance.f64()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * chance.f64()).sin_cos();
        numbers.extend([(radius * cosine) as f32, (radius * sine) as f32]);
    }
    numbers.truncate(count);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_repeatable() {
        let noise = normal(&mut fastrand::Rng::with_seed(7), 20_001);
        assert_eq!(noise, normal(&mut fastrand::Rng::with_seed(7), 20_001));
        let mean = noise.iter().sum::<f32>() / 20_001.0;
        let variance = noise.iter().map(|number| (number - mean).powi(2)).sum::<f32>() / 20_001.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03,
            "{mean} {variance}"
        );
        let far = noise.iter().filter(|number| number.abs() > 2.0).count();
        assert!((700..1_150).contains(&far), "{far}");
    }
}
