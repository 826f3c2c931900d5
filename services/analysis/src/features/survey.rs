//! The first hearing of a recording: what frames need to know of the whole.

use polyphony_audio::Error;

use super::contrast::{Contrast, Extremes};
use super::frames::{Frame, Framer, Spectra};
use super::mel::Mel;
use super::settings::{Feature, Settings};
use super::tuning::Tuning;

/// What only the whole recording can tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The loudest mel band of all frames, in power.
    pub loudest: f32,
    /// The greatest peak and the greatest valley of all octaves of all frames.
    pub extremes: (f64, f64),
    /// How sharp it is, in semitones.
    pub tuning: f64,
}

/// Hears a recording for the first time.
#[derive(Debug)]
pub struct Survey {
    framer: Framer,
    ears: Ears,
}

#[derive(Debug)]
struct Ears {
    mel: Option<Mel>,
    contrast: Option<Contrast>,
    tuning: Option<Tuning>,
    known: Known,
}

// === impl Known ===

impl Known {
    /// What is known before anything was heard.
    pub fn nothing(settings: &Settings) -> Self {
        Self {
            loudest: 0.0,
            extremes: Extremes::SILENCE.greatest(),
            tuning: settings.tuning.map_or(0.0, f64::from),
        }
    }
}

// === impl Survey ===

impl Survey {
    /// A survey for these settings; none where frames need to know nothing.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that were not checked.
    pub fn new(settings: &Settings) -> Result<Option<Self>, Error> {
        let any = |features: &[Feature]| features.iter().any(|feature| settings.has(*feature));
        let mel = any(&[Feature::Mfcc, Feature::OnsetStrength, Feature::Tempo])
            .then(|| Mel::new(settings))
            .transpose()?;
        let rate = f64::from(settings.rate.hz());
        let contrast = any(&[Feature::SpectralContrast]).then(|| Contrast::new(settings.fft_size, rate));
        let tuning = (any(&[Feature::Chroma, Feature::Key]) && settings.tuning.is_none())
            .then(|| Tuning::new(settings.fft_size, rate));
        if mel.is_none() && contrast.is_none() && tuning.is_none() {
            return Ok(None);
        }
        let spectra = if contrast.is_some() {
            Spectra::Magnitude
        } else {
            Spectra::Power
        };
        Ok(Some(Self {
            framer: Framer::new(settings.fft_size, settings.hop, spectra)?,
            ears: Ears {
                mel,
                contrast,
                tuning,
                known: Known::nothing(settings),
            },
        }))
    }

    /// Takes samples, mono at the settings' rate.
    pub fn push(&mut self, samples: &[f32]) {
        self.framer.push(samples, |frame| self.ears.hear(frame));
    }

    /// What is known now that all was heard.
    pub fn finish(mut self) -> Known {
        self.framer.finish(|frame| self.ears.hear(frame));
        let mut known = self.ears.known;
        if let Some(tuning) = &self.ears.tuning {
            known.tuning = tuning.estimate();
        }
        known
    }
}

// === impl Ears ===

impl Ears {
    fn hear(&mut self, frame: Frame<'_>) {
        if let Some(mel) = &mut self.mel {
            mel.make(frame.power, false);
            self.known.loudest = self.known.loudest.max(mel.loudest());
        }
        if let Some(contrast) = &mut self.contrast {
            let (peak, valley) = contrast.extremes(frame.magnitude).greatest();
            let known = &mut self.known.extremes;
            *known = (known.0.max(peak), known.1.max(valley));
        }
        if let Some(tuning) = &mut self.tuning {
            tuning.push(frame.power);
        }
    }
}
