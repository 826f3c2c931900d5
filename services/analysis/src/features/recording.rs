//! A whole recording from its bytes to its features, block by block: its spectrogram is never held.
//!
//! Where frames need to know the whole it is heard twice. Its samples are kept for that if they are few, about six
//! minutes of them; a longer recording is decoded again.

use std::time::Duration;

use polyphony_audio::decode::Decoder;
use polyphony_audio::resample::Resampler;
use polyphony_error::Fault;
use polyphony_inference::Cancel;

use super::extract::{Extractor, Whole};
use super::key::Key;
use super::loudness::{Loudness, LoudnessMeter};
use super::matrix::Matrix;
use super::settings::{Feature, Settings};
use super::survey::{Known, Survey};
use super::tempo::Tempo;
use crate::engine::Error as EngineError;

/// What was found in a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Loudness, if it was asked for.
    pub loudness: Option<Loudness>,
    /// Tempo and beats, if they were asked for.
    pub tempo: Option<Tempo>,
    /// The key, if it was asked for and there is one.
    pub key: Option<Key>,
    /// What changes over time, in the order of the settings.
    pub matrices: Vec<Matrix>,
    /// The length of the recording.
    pub duration: Duration,
    /// How sharp it was taken to be, in semitones, if that mattered.
    pub tuning: Option<f64>,
}

/// Samples that are kept: 32 MiB of them.
const MOST_KEPT: usize = 8 << 20;
/// Samples worked on between two looks whether anybody still waits.
const PIECE: usize = 1 << 14;

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The audio cannot be used.
    #[error("the audio cannot be used")]
    Audio(#[source] polyphony_audio::Error),
    /// The work failed, was refused or is no longer wanted.
    #[error("features cannot be made")]
    Work(#[source] EngineError),
}

/// How a recording is played.
#[derive(Debug, Clone, Copy)]
struct Playing<'a> {
    settings: &'a Settings,
    most_values: u64,
    cancel: &'a Cancel,
    /// Whether its loudness is measured on the way.
    loudness: bool,
}

/// What was heard, as long as it is not too much.
#[derive(Debug)]
struct Tape {
    samples: Vec<f32>,
    is_whole: bool,
}

/// What is known of a recording that was played to its end.
#[derive(Debug, Clone, Copy)]
struct Played {
    duration: Duration,
    loudness: Option<Loudness>,
}

/// Measures a recording that `open` opens anew each time. `most_values` bounds what all matrices hold together.
///
/// # Errors
/// [`Error::Audio`] for bytes that cannot be decoded; [`Error::Work`] with a fault of RESOURCE_EXHAUSTED beyond
/// `most_values`, and when cancelled.
pub fn measure<'a>(
    open: impl Fn() -> Result<Decoder<'a>, polyphony_audio::Error>,
    settings: &Settings,
    most_values: u64,
    cancel: &Cancel,
) -> Result<Measured, Error> {
    let mut playing = Playing {
        settings,
        most_values,
        cancel,
        loudness: settings.has(Feature::Loudness),
    };
    let mut known = Known::nothing(settings);
    let mut first = None;
    let mut tape = Tape::default();
    if let Some(mut survey) = Survey::new(settings)? {
        let played = playing.play(open()?, |samples| {
            survey.push(samples);
            tape.record(samples);
        })?;
        first = Some(played);
        known = survey.finish();
        playing.loudness = false;
    }
    let mut extractor = Extractor::new(settings, Some(known))?;
    let last = match first {
        Some(played) if tape.is_whole => {
            for samples in tape.samples.chunks(PIECE) {
                playing.look()?;
                extractor.push(samples);
            }
            played
        }
        _ => playing.play(open()?, |samples| extractor.push(samples))?,
    };
    let Whole { matrices, tempo, key } = extractor.finish(cancel)?;
    let Played { duration, loudness } = first.unwrap_or(last);
    let is_tuned = settings.features.iter().any(|feature| feature.is_tuned());
    Ok(Measured {
        loudness,
        tempo,
        key,
        matrices,
        duration,
        tuning: is_tuned.then_some(known.tuning),
    })
}

// === impl Playing ===

impl Playing<'_> {
    /// Decodes all, brings it to the rate of the settings, and hands it to `hear`, mono.
    fn play(self, mut decoder: Decoder<'_>, mut hear: impl FnMut(&[f32])) -> Result<Played, Error> {
        let rate = self.settings.rate;
        // Loudness alone is measured in the recording's own rate and channels.
        let frames = self
            .settings
            .features
            .iter()
            .any(|feature| *feature != Feature::Loudness);
        let mut meter: Option<LoudnessMeter> = None;
        let mut resampler: Option<Resampler> = None;
        let mut samples = Vec::new();
        let (mut heard, mut given, mut own) = (0, 0, rate);
        while let Some(block) = decoder.next_block()? {
            self.look()?;
            (own, heard) = (block.spec().rate, heard + block.frames());
            if self.loudness {
                let meter = match &mut meter {
                    Some(meter) => meter,
                    none => none.insert(LoudnessMeter::new(block.spec())?),
                };
                meter.push(block.samples())?;
            }
            if !frames {
                continue;
            }
            let resampler = match &mut resampler {
                Some(resampler) => resampler,
                none => none.insert(Resampler::new(own, rate)?),
            };
            samples.clear();
            resampler.push(block.into_mono().samples(), &mut samples)?;
            given += samples.len() as u64;
            self.check(given)?;
            hear(&samples);
        }
        samples.clear();
        if let Some(mut resampler) = resampler {
            resampler.finish(&mut samples)?;
            hear(&samples);
        }
        Ok(Played {
            duration: own.duration(heard),
            loudness: meter.map(|meter| meter.finish()).transpose()?,
        })
    }

    /// Whether anybody still waits.
    fn look(&self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        Ok(())
    }

    /// Whether the matrices of so many samples fit into an answer.
    fn check(&self, samples: u64) -> Result<(), EngineError> {
        let Settings { summary, hop, .. } = *self.settings;
        let frames = if summary { 2 } else { 1 + samples / hop as u64 };
        let most = self.most_values;
        if frames * self.settings.width() as u64 <= most {
            return Ok(());
        }
        let text = format!(
            "the features of this recording are more than {most} values, which is what an answer holds \
             (analysis.server.limits.max_send_message); ask for summary_only, a longer hop_length or fewer features, \
             or use StreamingFeatures"
        );
        Err(Fault::exhausted(
            "FEATURES_TOO_LARGE",
            "analysis.server.limits.max_send_message",
            text,
            None,
        )
        .into())
    }
}

// === impl Tape ===

impl Tape {
    fn record(&mut self, samples: &[f32]) {
        if self.samples.len() + samples.len() > MOST_KEPT {
            *self = Self {
                samples: Vec::new(),
                is_whole: false,
            };
        }
        if self.is_whole {
            self.samples.extend_from_slice(samples);
        }
    }
}

impl Default for Tape {
    fn default() -> Self {
        Self {
            samples: Vec::new(),
            is_whole: true,
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Work(error)
    }
}

impl From<polyphony_audio::Error> for Error {
    fn from(error: polyphony_audio::Error) -> Self {
        Self::Audio(error)
    }
}
