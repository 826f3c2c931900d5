//! A graph in five parts, on windows: what it costs to hear the beginning early is small.
//!
//! Text and prior run once. The flow runs on a few long segments, since it sees far; the decoder on windows
//! of frames, short ones first, several at once. Each has as much of its neighbours as it can see, so that what comes
//! out is what the whole would give.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use polyphony_inference::{Error, Loaded, SessionSettings};

use super::super::graph::Graph;
use super::super::stage::{Array, Stage, Values, element};
use super::network::{Input, Output, cumulated};
use super::plan::Plan;
use super::reach;
use super::windows::{self, Seen};
use crate::domain::Cancel;

#[derive(Debug, Clone)]
pub(super) struct Parted {
    plan: Plan,
    /// From ids to how long each is.
    text: Stage,
    /// From there to the prior of each frame.
    expand: Stage,
    /// From there to the latent.
    flow: Stage,
    /// From there to what is upsampled the second time.
    upper: Stage,
    /// From there to the samples.
    lower: Stage,
    /// Frames to either side that the parts see.
    flow_reach: usize,
    upper_reach: usize,
    lower_reach: usize,
    /// Columns of the middle for a frame.
    step: usize,
    /// Samples of a frame.
    hop: usize,
    /// Windows that are made at once.
    width: usize,
}

/// The latent of a sentence, as far as it is made.
struct Latent {
    columns: Mutex<Array>,
}

// === impl Parted ===

impl Parted {
    pub(super) fn open(
        runtime: &Loaded,
        path: &Path,
        graph: &Graph<'_>,
        plan: Plan,
        settings: SessionSettings,
        sessions: NonZeroUsize,
    ) -> Result<Self, Error> {
        let unfit = |problem: &str| Error::unfit(path, problem);
        let ends: [&[&str]; 5] = [
            &[&plan.durations],
            &[&plan.prior],
            &[&plan.latent],
            &[&plan.middle],
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
        let [text, expand, flow, upper, lower] =
            <[Stage; 5]>::try_from(stages).map_err(|_| unfit("it has not five parts"))?;
        let mut parted = Self {
            plan,
            text,
            expand,
            flow,
            upper,
            lower,
            flow_reach: 0,
            upper_reach: 0,
            lower_reach: 0,
            step: 0,
            hop: 0,
            width: sessions.get(),
        };
        parted.probe()?;
        Ok(parted)
    }

    pub(super) fn takes(&self, name: &str) -> bool {
        let stages = [&self.text, &self.expand, &self.flow, &self.upper, &self.lower];
        stages
            .iter()
            .any(|stage| stage.pool().inputs().iter().any(|port| port.name == name))
    }

    /// Finds out how far the parts see, and how long a frame is.
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
        let frames = prior.length();
        let plan = &self.plan;
        let flow = reach::probe(
            &self.flow,
            &values,
            (&plan.prior, plan.channels),
            &plan.latent,
            frames,
        )?;
        let upper = reach::probe(
            &self.upper,
            &values,
            (&plan.latent, plan.channels),
            &plan.middle,
            frames,
        )?;
        let lower = reach::probe(
            &self.lower,
            &values,
            (&plan.middle, upper.channels),
            &plan.audio,
            frames,
        )?;
        if flow.unit != 1 || upper.unit * lower.unit < 2 {
            let problem = "its frames change their number on the way";
            return Err(Error::unfit(self.flow.pool().path(), problem));
        }
        (self.flow_reach, self.upper_reach) = (flow.reach, upper.reach);
        self.lower_reach = lower.reach.div_ceil(upper.unit);
        (self.step, self.hop) = (upper.unit, upper.unit * lower.unit);
        tracing::debug!(
            self.flow_reach,
            self.upper_reach,
            self.lower_reach,
            self.hop,
            "a voice runs on windows"
        );
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

    /// Speaks ids. Nothing is held while `out` runs.
    pub(super) fn run(
        &self,
        input: &Input<'_>,
        cancel: &Cancel,
        out: &mut dyn FnMut(Output),
    ) -> Result<(), Error> {
        let (values, prior, durations) = self.prior(input, cancel)?;
        out(Output::Ends(Some(cumulated(&durations, self.hop))));
        let latent = Latent::new(prior.shape.clone());
        let seen = Seen {
            frames: prior.length(),
            flow: self.flow_reach,
            decoder: self.upper_reach + self.lower_reach,
        };
        windows::in_order(
            &windows::jobs(seen, self.width),
            self.width,
            cancel,
            &|segment| {
                let made = self.segment(&values, &prior, segment.clone(), cancel)?;
                latent.put(&made, segment.start);
                Ok(())
            },
            &|window| self.window(&values, &latent, window, seen.frames, cancel),
            &mut |samples| out(Output::Audio(samples)),
        )
    }

    /// The latent of a segment of frames.
    fn segment(
        &self,
        values: &Values,
        prior: &Array,
        segment: Range<usize>,
        cancel: &Cancel,
    ) -> Result<Array, Error> {
        let frames = prior.length();
        let seen = around(&segment, self.flow_reach, frames);
        let main = (self.plan.prior.as_str(), prior.columns(seen.clone()));
        let latent = column_run(
            &self.flow,
            values,
            main,
            &self.plan.latent,
            seen.clone(),
            frames,
            cancel,
        )?;
        if latent.length() != seen.len() {
            return Err(self.lacking());
        }
        Ok(latent.columns(segment.start - seen.start..segment.end - seen.start))
    }

    /// The samples of a window of frames.
    fn window(
        &self,
        values: &Values,
        latent: &Latent,
        window: Range<usize>,
        frames: usize,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, Error> {
        let (plan, step) = (&self.plan, self.step);
        let below = around(&window, self.lower_reach, frames);
        let above = around(&below, self.upper_reach, frames);
        let main = (plan.latent.as_str(), latent.get(above.clone()));
        let middle = column_run(
            &self.upper,
            values,
            main,
            &plan.middle,
            above.clone(),
            frames,
            cancel,
        )?;
        if middle.length() != above.len() * step {
            return Err(self.lacking());
        }
        let middle = middle.columns((below.start - above.start) * step..(below.end - above.start) * step);
        let main = (plan.middle.as_str(), middle);
        let audio = column_run(
            &self.lower,
            values,
            main,
            &plan.audio,
            below.clone(),
            frames,
            cancel,
        )?;
        let own = (window.start - below.start) * self.hop..(window.end - below.start) * self.hop;
        audio
            .values
            .get(own)
            .map(<[f32]>::to_vec)
            .ok_or_else(|| self.lacking())
    }

    fn lacking(&self) -> Error {
        Error::unfit(self.flow.pool().path(), "a window gives no samples")
    }
}

/// A range of frames with what is seen to either side.
fn around(range: &Range<usize>, reach: usize, frames: usize) -> Range<usize> {
    range.start.saturating_sub(reach)..(range.end + reach).min(frames)
}

/// What a part gives for some frames.
fn column_run(
    stage: &Stage,
    values: &Values,
    main: (&str, Array),
    output: &str,
    range: Range<usize>,
    frames: usize,
    cancel: &Cancel,
) -> Result<Array, Error> {
    let mut made = reach::run(stage, values, main, range, frames, cancel)?;
    let made = made.remove(output).as_ref().and_then(Array::of);
    made.ok_or_else(|| Error::unfit(stage.pool().path(), "a window gives no numbers"))
}

// === impl Latent ===

impl Latent {
    fn new(shape: Vec<usize>) -> Self {
        let values = vec![0.0; shape.iter().product()];
        Self {
            columns: Mutex::new(Array::new(shape, values)),
        }
    }

    fn put(&self, part: &Array, at: usize) {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        columns.set_columns(at, part);
    }

    fn get(&self, range: Range<usize>) -> Array {
        let columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        columns.columns(range)
    }
}

/// Ten minutes of a usual voice: more is not speech.
const MOST_FRAMES: usize = 60_000;

/// Numbers of the normal distribution: mean 0, variance 1 (Box and Muller, 1958).
fn normal(chance: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(count + 1);
    while numbers.len() < count {
        let radius = (-2.0 * (1.0 - chance.f32()).ln()).sqrt();
        let (sine, cosine) = (std::f32::consts::TAU * chance.f32()).sin_cos();
        numbers.extend([radius * cosine, radius * sine]);
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
