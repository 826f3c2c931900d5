//! The features of a stream: frames while it sounds, and what belongs to the whole at its end.
//!
//! Nothing of it depends on how it was cut. Two things differ from a recording's, because they would need its end:
//! cepstra, onsets and contrast raise values to 80 dB below the loudest *so far*, so they are a recording's from the
//! loudest frame on; and unless the tuning was given, chroma and key are held back for 30 s and then follow the tuning
//! of those, so they are a recording's for as long as that.

use std::time::Duration;

use polyphony_audio::Error;
use polyphony_inference::Cancel;

use super::extract::{Extractor, Whole};
use super::matrix::Matrix;
use super::settings::{Feature, Settings};
use super::survey::{Known, Survey};
use crate::engine;

/// How much is heard before the tuning is decided.
pub const TUNING_TIME: Duration = Duration::from_secs(30);

/// Makes features of samples as they come. Holds at most 30 s of them.
#[derive(Debug)]
pub struct FeatureStream {
    settings: Settings,
    taken: u64,
    prompt: Extractor,
    tuned: Tuned,
}

/// The part that waits for the tuning.
#[derive(Debug)]
enum Tuned {
    /// Nothing depends on it, or it was given.
    Unneeded,
    /// So many samples are held.
    Waiting { held: Vec<f32>, most: usize },
    /// It is known.
    Known { extractor: Box<Extractor>, tuning: f64 },
}

// === impl FeatureStream ===

impl FeatureStream {
    /// A stream of these settings, which were checked.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that were not.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let waits = settings.tuning.is_none() && settings.features.iter().any(|feature| feature.is_tuned());
        let tuned = if waits {
            Tuned::Waiting {
                held: Vec::new(),
                most: settings.rate.frames(TUNING_TIME) as usize,
            }
        } else {
            Tuned::Unneeded
        };
        let prompt = part(settings, |feature| !waits || !feature.is_tuned());
        Ok(Self {
            settings: settings.clone(),
            taken: 0,
            prompt: Extractor::new(&prompt, None)?,
            tuned,
        })
    }

    /// Samples taken so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// How sharp it was taken to be, in semitones, if that mattered and is decided.
    pub const fn tuning(&self) -> Option<f64> {
        match &self.tuned {
            Tuned::Known { tuning, .. } => Some(*tuning),
            Tuned::Unneeded | Tuned::Waiting { .. } => None,
        }
    }

    /// Takes samples, mono at the settings' rate, and gives the frames that are now made, in the order of the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that were not checked.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<Matrix>, Error> {
        self.taken += samples.len() as u64;
        self.prompt.push(samples);
        let mut matrices = self.prompt.take();
        match &mut self.tuned {
            Tuned::Unneeded => {}
            Tuned::Known { extractor, .. } => {
                extractor.push(samples);
                matrices.extend(extractor.take());
            }
            Tuned::Waiting { held, most } => {
                let (early, late) = samples.split_at((*most - held.len()).min(samples.len()));
                held.extend_from_slice(early);
                if held.len() == *most {
                    matrices.extend(self.tune(late)?);
                }
            }
        }
        self.sort(&mut matrices);
        Ok(matrices)
    }

    /// The last frames, and what belongs to the whole.
    ///
    /// # Errors
    /// [`engine::Error::Cancelled`]; [`engine::Error::Engine`] for settings that were not checked.
    pub fn finish(mut self, cancel: &Cancel) -> Result<(Whole, Option<f64>), engine::Error> {
        let mut early = Vec::new();
        if matches!(self.tuned, Tuned::Waiting { .. }) {
            early = self
                .tune(&[])
                .map_err(|error| engine::Error::engine(super::NAME, error))?;
        }
        let tuning = self.tuning();
        let settings = self.settings;
        let mut whole = self.prompt.finish(cancel)?;
        if let Tuned::Known { extractor, .. } = self.tuned {
            let rest = extractor.finish(cancel)?;
            whole.key = rest.key;
            early.extend(rest.matrices);
        }
        whole.matrices.extend(join(early));
        sort(&settings, &mut whole.matrices);
        Ok((whole, tuning.or_else(|| settings.tuning.map(f64::from))))
    }

    /// Decides the tuning of what is held, and makes its frames and those of `late`.
    fn tune(&mut self, late: &[f32]) -> Result<Vec<Matrix>, Error> {
        let tuned = part(&self.settings, Feature::is_tuned);
        let Tuned::Waiting { held, .. } = std::mem::replace(&mut self.tuned, Tuned::Unneeded) else {
            return Ok(Vec::new());
        };
        let mut known = Known::nothing(&tuned);
        if let Some(mut survey) = Survey::new(&tuned)? {
            survey.push(&held);
            known = survey.finish();
        }
        let mut extractor = Extractor::new(&tuned, Some(known))?;
        extractor.push(&held);
        extractor.push(late);
        let matrices = extractor.take();
        self.tuned = Tuned::Known {
            extractor: Box::new(extractor),
            tuning: known.tuning,
        };
        Ok(matrices)
    }

    fn sort(&self, matrices: &mut [Matrix]) {
        sort(&self.settings, matrices);
    }
}

/// The settings with some features only.
fn part(settings: &Settings, wanted: impl Fn(Feature) -> bool) -> Settings {
    Settings {
        features: settings
            .features
            .iter()
            .copied()
            .filter(|feature| wanted(*feature))
            .collect(),
        ..settings.clone()
    }
}

/// In the order of the settings.
fn sort(settings: &Settings, matrices: &mut [Matrix]) {
    let place = |feature: Feature| settings.features.iter().position(|wanted| *wanted == feature);
    matrices.sort_by_key(|matrix| place(matrix.feature));
}

/// Puts what follows one another together.
fn join(matrices: Vec<Matrix>) -> Vec<Matrix> {
    let mut joined: Vec<Matrix> = Vec::new();
    for matrix in matrices {
        match joined.iter_mut().find(|before| before.feature == matrix.feature) {
            Some(before) => before.values.extend(matrix.values),
            None => joined.push(matrix),
        }
    }
    joined
}
