//! What the models say of a recording, before anything is decided: where somebody speaks, and the voice of each window.
//!
//! It depends on the audio alone, not on what the caller asked for, and costs nearly all of the time; so it is what is
//! kept by the digest of the audio.

use std::ops::Range;

use super::encoder::{Encoder, Sound, WINDOW, frame_of};
use super::mel::HOP;
use crate::clustering::Vectors;
use crate::domain::Cancel;
use crate::engine::activity::{self, Activity, FRAME};
use crate::engine::cache::Weigh;

/// From one window to the next, in samples: at most so many.
pub(super) const STEP: u64 = 8_000;
/// A pause of at most so many samples does not end a run of windows.
const BRIDGE: u64 = 4_800;
/// The level to which speech is brought: -20 dBFS.
const LEVEL: f32 = 0.1;
/// Sound is not made louder than by 40 dB: below that there is only noise.
const LOUDEST: f32 = 100.0;

/// What is known of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Analysis {
    /// Samples of the recording.
    pub samples: u64,
    /// The probability that somebody speaks, for each frame of 32 ms.
    pub probabilities: Vec<f32>,
    /// Where somebody speaks, in samples.
    pub speech: Vec<Range<u64>>,
    /// The same with short pauses bridged, and which windows lie in each stretch.
    pub regions: Vec<Region>,
    /// The windows' centres, in samples.
    pub centres: Vec<u64>,
    /// How much speech each window stands for, in seconds.
    pub weights: Vec<f32>,
    /// The windows' voices, of length 1.
    pub voices: Vectors,
}

/// A stretch of speech, perhaps with short pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    /// Where, in samples.
    pub span: Range<u64>,
    /// Its windows.
    pub windows: Range<usize>,
}

// === impl Analysis ===

impl Analysis {
    /// Runs the models over a recording.
    ///
    /// # Errors
    /// [`polyphony_inference::Error::Run`] and [`polyphony_inference::Error::Cancelled`].
    pub(super) fn of(
        audio: &[f32],
        activity: &Activity,
        encoder: &Encoder,
        cancel: &Cancel,
    ) -> Result<Self, crate::engine::trouble::Trouble> {
        let probabilities = activity.probabilities(audio, cancel)?;
        let speech = activity::stretches(&probabilities, audio.len())?;
        let sound = Sound {
            audio,
            gain: gain(audio, &probabilities),
        };
        let mut analysis = Self {
            samples: audio.len() as u64,
            probabilities,
            regions: Vec::new(),
            centres: Vec::new(),
            weights: Vec::new(),
            voices: Vectors::new(super::DIMENSIONS),
            speech,
        };
        for span in activity::bridged(analysis.speech.clone(), BRIDGE) {
            analysis.lay(span);
        }
        let starts: Vec<usize> = analysis
            .centres
            .iter()
            .map(|centre| analysis.start(*centre))
            .collect();
        analysis.voices = encoder.embed(sound, &starts, cancel)?;
        Ok(analysis)
    }

    /// Lays windows over a stretch, the first at its beginning and the last at its end, evenly between.
    fn lay(&mut self, span: Range<u64>) {
        let (length, window) = (span.end - span.start, (WINDOW * HOP) as u64);
        let first = self.centres.len();
        let steps = length.saturating_sub(window).div_ceil(STEP);
        if steps == 0 {
            self.centres.push(span.start + length / 2);
        } else {
            let room = length - window;
            let centre = |at| span.start + window / 2 + room * at / steps;
            self.centres.extend((0..=steps).map(centre));
        }
        let windows = first..self.centres.len();
        let weight = length as f32 / 16_000.0 / windows.len() as f32;
        self.weights.extend(windows.clone().map(|_| weight));
        self.regions.push(Region { span, windows });
    }

    /// The first frame of the window around a sample; it does not leave the recording if it can.
    fn start(&self, centre: u64) -> usize {
        let half = (WINDOW * HOP / 2) as u64;
        let last = frame_of(self.samples).saturating_sub(WINDOW);
        frame_of(centre.saturating_sub(half)).min(last)
    }
}

impl Weigh for Analysis {
    fn bytes(&self) -> usize {
        let windows = self.centres.len() * (size_of::<u64>() + size_of::<f32>());
        let stretches = self.regions.len() * size_of::<Region>() + self.speech.len() * 16;
        self.probabilities.len() * size_of::<f32>() + windows + stretches + self.voices.bytes()
    }
}

/// The factor of energies that brings the speech of a recording to [`LEVEL`].
pub(super) fn gain(audio: &[f32], probabilities: &[f32]) -> f32 {
    let energy = |least: f32| {
        let (mut sum, mut count) = (0.0_f64, 0_usize);
        for (frame, probability) in audio.chunks(FRAME).zip(probabilities) {
            if *probability >= least {
                sum += frame.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
                count += frame.len();
            }
        }
        (count > 0).then(|| (sum / count as f64) as f32)
    };
    // What is surely speech, if there is some.
    to_level(energy(0.5).or_else(|| energy(activity::rules().threshold)))
}

/// The factor that brings speech of this mean energy to [`LEVEL`].
pub(super) fn to_level(energy: Option<f32>) -> f32 {
    let Some(energy) = energy.filter(|energy| energy.is_finite() && *energy > 0.0) else {
        return 1.0;
    };
    (LEVEL * LEVEL / energy).min(LOUDEST * LOUDEST)
}
