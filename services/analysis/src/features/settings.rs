//! What to measure and how finely: the request after defaults, checked once.

use polyphony_audio::pcm::SampleRate;
use polyphony_error::Fault;

use super::contrast;

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Loudness, its range and the true peak (EBU R128). Of the whole.
    Loudness,
    /// Tempo and beats. Of the whole.
    Tempo,
    /// The key. Of the whole.
    Key,
    /// How strongly notes begin; 1 row.
    OnsetStrength,
    /// Pitch classes from C, each frame's strongest is 1; 12 rows.
    Chroma,
    /// Mel bands, in power.
    MelSpectrogram,
    /// Mel-frequency cepstral coefficients.
    Mfcc,
    /// Root mean square; 1 row.
    Rms,
    /// Changes of sign per sample; 1 row.
    ZeroCrossingRate,
    /// The mean frequency, in hertz; 1 row.
    SpectralCentroid,
    /// The deviation from it, in hertz; 1 row.
    SpectralBandwidth,
    /// Below it lies 85 % of the spectrum, in hertz; 1 row.
    SpectralRolloff,
    /// 1 for noise, 0 for a tone; 1 row.
    SpectralFlatness,
    /// Peaks over valleys of octaves, in decibel; 7 rows.
    SpectralContrast,
}

/// What to measure and how finely.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What, each once.
    pub features: Vec<Feature>,
    /// What the audio is resampled to first, except for loudness.
    pub rate: SampleRate,
    /// Samples of a transform, a power of two, 256 to 16,384.
    pub fft_size: usize,
    /// Samples from one frame to the next, 64 to 8,192.
    pub hop: usize,
    /// Mel bands, 1 to 256.
    pub mels: usize,
    /// Cepstral coefficients, 1 to 128, and to `mels` when they are asked for.
    pub mfccs: usize,
    /// The tempo to expect, in beats a minute, 30 to 300.
    pub start_bpm: f32,
    /// How far the recording's A4 lies from 440 Hz, in semitones, -0.5 to 0.5. None: it is estimated.
    pub tuning: Option<f32>,
    /// Whether means and deviations are wanted instead of frames.
    pub summary: bool,
}

/// The most frames a second that tempo is found in: the work for each second grows with their square.
const MOST_TEMPO_FRAMES: usize = 500;

// === impl Feature ===

impl Feature {
    /// All, in the order of the contract.
    pub const ALL: [Self; 14] = [
        Self::Loudness,
        Self::Tempo,
        Self::Key,
        Self::OnsetStrength,
        Self::Chroma,
        Self::MelSpectrogram,
        Self::Mfcc,
        Self::Rms,
        Self::ZeroCrossingRate,
        Self::SpectralCentroid,
        Self::SpectralBandwidth,
        Self::SpectralRolloff,
        Self::SpectralFlatness,
        Self::SpectralContrast,
    ];

    /// Values in a frame. None for what belongs to the whole.
    pub const fn rows(self, settings: &Settings) -> Option<usize> {
        match self {
            Self::Loudness | Self::Tempo | Self::Key => None,
            Self::Chroma => Some(12),
            Self::MelSpectrogram => Some(settings.mels),
            Self::Mfcc => Some(settings.mfccs),
            Self::SpectralContrast => Some(contrast::BANDS),
            Self::OnsetStrength
            | Self::Rms
            | Self::ZeroCrossingRate
            | Self::SpectralCentroid
            | Self::SpectralBandwidth
            | Self::SpectralRolloff
            | Self::SpectralFlatness => Some(1),
        }
    }

    /// Whether its frames depend on the tuning.
    pub(crate) const fn is_tuned(self) -> bool {
        matches!(self, Self::Chroma | Self::Key)
    }
}

// === impl Settings ===

impl Settings {
    /// librosa's defaults for these features.
    ///
    /// # Errors
    /// None in truth; 22,050 Hz is a sample rate.
    pub fn new(features: Vec<Feature>) -> Result<Self, polyphony_audio::Error> {
        Ok(Self {
            features,
            rate: SampleRate::new(22_050)?,
            fft_size: 2_048,
            hop: 512,
            mels: 128,
            mfccs: 20,
            start_bpm: 120.0,
            tuning: None,
            summary: false,
        })
    }

    /// Whether this is measured.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Values in a frame of all features together.
    pub fn width(&self) -> usize {
        self.features
            .iter()
            .filter_map(|feature| feature.rows(self))
            .sum()
    }

    /// Whether every number is in its range and every feature can be made of the others. Fields are named as in the
    /// request.
    ///
    /// # Errors
    /// A fault of invalid input that names every field that is wrong.
    pub fn check(&self) -> Result<(), Fault> {
        let mut found = Vec::new();
        let mut refuse = |field: &'static str, text: String| found.push(Fault::invalid(field, text));
        if self.features.is_empty() {
            refuse("config.features", "must name at least one feature".to_owned());
        }
        for (at, feature) in self.features.iter().enumerate() {
            if self.features[..at].contains(feature) {
                refuse("config.features", format!("names {feature:?} twice"));
                break;
            }
        }
        if !self.fft_size.is_power_of_two() || !(256..=16_384).contains(&self.fft_size) {
            refuse(
                "config.fft_size",
                "must be a power of two, 256 to 16384".to_owned(),
            );
        } else if let Some(text) = self.contrast_problem() {
            refuse("config.fft_size", text);
        }
        if !(64..=8_192).contains(&self.hop) {
            refuse("config.hop_length", "must be 64 to 8192".to_owned());
        } else if self.has(Feature::Tempo) && self.rate.hz() as usize / self.hop > MOST_TEMPO_FRAMES {
            let least = self.rate.hz() as usize / MOST_TEMPO_FRAMES + 1;
            refuse(
                "config.hop_length",
                format!("must be at least {least} at this sample rate for the tempo"),
            );
        }
        if !(1..=256).contains(&self.mels) {
            refuse("config.mel_count", "must be 1 to 256".to_owned());
        }
        if !(1..=128).contains(&self.mfccs) {
            refuse("config.mfcc_count", "must be 1 to 128".to_owned());
        } else if self.has(Feature::Mfcc) && self.mfccs > self.mels {
            refuse(
                "config.mfcc_count",
                format!("must be at most mel_count, {}", self.mels),
            );
        }
        if !(30.0..=300.0).contains(&self.start_bpm) {
            refuse("config.start_tempo_bpm", "must be 30 to 300".to_owned());
        }
        if self.tuning.is_some_and(|tuning| !(-0.5..=0.5).contains(&tuning)) {
            refuse("config.tuning_semitones", "must be -0.5 to 0.5".to_owned());
        }
        let mut found = found.into_iter();
        let Some(mut first) = found.next() else {
            return Ok(());
        };
        first.violations.extend(found.flat_map(|fault| fault.violations));
        Err(first)
    }

    fn contrast_problem(&self) -> Option<String> {
        if !self.has(Feature::SpectralContrast) {
            return None;
        }
        if f64::from(self.rate.hz()) <= contrast::LEAST_RATE {
            return Some(format!(
                "SPECTRAL_CONTRAST needs a sample_rate_hertz above {}",
                contrast::LEAST_RATE
            ));
        }
        let least = contrast::least_fft(self.rate);
        (self.fft_size < least).then(|| {
            format!("must be at least {least} at this sample rate for SPECTRAL_CONTRAST, so that no octave is empty")
        })
    }
}
