//! Mel bands and their decibels, as librosa's `feature.melspectrogram` and `power_to_db` of it.

use polyphony_audio::Error;
use polyphony_audio::mel::MelFilters;
use polyphony_audio::mfcc::{Frames, Mfcc, MfccSettings};

use super::settings::Settings;

const FLOOR: f64 = 1e-10;
/// Values are raised to so many decibels below the loudest.
const RANGE_DB: f32 = 80.0;

/// Power spectra to mel bands.
#[derive(Debug, Clone)]
pub struct Mel {
    filters: MelFilters,
    /// The bands of the last frame, in power.
    pub power: Vec<f32>,
    /// The same in decibels of at least -100.
    pub decibels: Vec<f32>,
}

/// Mel bands in decibels to cepstral coefficients.
#[derive(Debug, Clone)]
pub struct Cepstra(Mfcc);

// === impl Mel ===

impl Mel {
    /// Slaney's filters from 0 to half the rate.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that were not checked.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let rate = f64::from(settings.rate.hz());
        let filters = MelFilters::slaney(settings.mels, settings.fft_size, rate, 0.0, rate / 2.0)?;
        Ok(Self {
            filters,
            power: vec![0.0; settings.mels],
            decibels: vec![0.0; settings.mels],
        })
    }

    /// Makes the bands of a power spectrum, with decibels or without.
    pub fn make(&mut self, power: &[f64], decibels: bool) {
        for (mel, value) in self.power.iter_mut().enumerate() {
            let energy = self.filters.apply(mel, power);
            *value = energy as f32;
            if decibels {
                self.decibels[mel] = (10.0 * energy.max(FLOOR).log10()) as f32;
            }
        }
    }

    /// The loudest band of the last frame, in power.
    pub fn loudest(&self) -> f32 {
        self.power.iter().copied().fold(0.0, f32::max)
    }
}

/// The level below which nothing counts when the loudest band of all has this power, in decibel.
pub fn least(loudest: f32) -> f32 {
    (10.0 * f64::from(loudest).max(FLOOR).log10()) as f32 - RANGE_DB
}

// === impl Cepstra ===

impl Cepstra {
    /// As many coefficients of as many bands as the settings say.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings that were not checked.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let rate = settings.rate.hz();
        Ok(Self(Mfcc::new(MfccSettings {
            // Only its cosines are used; the bands are made here, once for all features.
            n_fft: settings.fft_size,
            window: settings.fft_size,
            hop: 1,
            mels: settings.mels,
            coefficients: settings.mfccs,
            ..MfccSettings::librosa(rate)
        })?))
    }

    /// Appends the coefficients of one frame whose bands are no lower than `least`.
    pub fn push(&self, decibels: &[f32], least: f32, out: &mut Vec<f32>) {
        let bands = Frames {
            data: decibels.iter().map(|decibels| decibels.max(least)).collect(),
            width: decibels.len(),
        };
        out.extend_from_slice(&self.0.cepstra(&bands).data);
    }
}
