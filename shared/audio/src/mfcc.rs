//! Mel-frequency cepstral coefficients, equal to librosa's `feature.mfcc`, and the mel spectrogram in decibels below it.
//!
//! The recipe: a Hann window of `window` samples in the middle of a transform of `n_fft`, centred frames, power
//! spectrum, Slaney mel filters ([`MelFilters`]), decibels of at least `1e-10` and at most `top_db` below the loudest
//! value of the excerpt, an orthonormal DCT of type II (Davis and Mermelstein 1980), and, if asked for, sinusoidal
//! liftering. Not here: means, deltas and other normalisation, which depend on what the features are for.

use std::f64::consts::PI;

use crate::Error;
use crate::mel::{MelFilters, Padding, Stft};

/// How coefficients are made. [`MfccSettings::librosa`] are librosa's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct MfccSettings {
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples in a transform, 2 to 65,536.
    pub n_fft: usize,
    /// Samples in the Hann window, 2 to `n_fft`; it lies in the middle of the transform.
    pub window: usize,
    /// Samples from one frame to the next, 1 to `n_fft`.
    pub hop: usize,
    /// What lies beyond the edges.
    pub padding: Padding,
    /// Mel filters, 1 to 512.
    pub mels: usize,
    /// The lowest frequency that is heard, in Hz.
    pub low: f64,
    /// The highest, in Hz, at most half the sample rate.
    pub high: f64,
    /// Coefficients to keep, 1 to `mels`.
    pub coefficients: usize,
    /// Values are raised to this many decibels below the loudest of the excerpt. None: only to the floor of -100 dB.
    pub top_db: Option<f64>,
    /// The parameter of sinusoidal liftering, as librosa's `lifter`; 0: none.
    pub lifter: f64,
}

/// Makes coefficients. Holds its window, filters, tables and scratch, so that a call allocates only the result.
#[derive(Debug, Clone)]
pub struct Mfcc {
    settings: MfccSettings,
    stft: Stft,
    filters: MelFilters,
    /// `coefficients * mels` weights of the transform, liftering included.
    dct: Vec<f64>,
    power: Vec<f64>,
}

/// One row of values for each frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frames {
    /// `frames * width` values, frame by frame.
    pub data: Vec<f32>,
    /// Values in a frame.
    pub width: usize,
}

const FLOOR: f64 = 1e-10;

// === impl MfccSettings ===

impl MfccSettings {
    /// librosa's defaults for `feature.mfcc` at a sample rate: 20 coefficients of 128 mels, transforms of 2,048 samples
    /// every 512, edges padded with silence, 80 dB.
    pub fn librosa(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            n_fft: 2048,
            window: 2048,
            hop: 512,
            padding: Padding::Zero,
            mels: 128,
            low: 0.0,
            high: f64::from(sample_rate) / 2.0,
            coefficients: 20,
            top_db: Some(80.0),
            lifter: 0.0,
        }
    }
}

// === impl Mfcc ===

impl Mfcc {
    /// Prepares the tables.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting that is out of its range.
    pub fn new(settings: MfccSettings) -> Result<Self, Error> {
        let MfccSettings {
            n_fft,
            window,
            mels,
            coefficients,
            lifter,
            ..
        } = settings;
        if !(2..=n_fft).contains(&window) {
            return Err(Error::setting("win_length", "must be 2 to n_fft"));
        }
        if !(1..=mels).contains(&coefficients) {
            return Err(Error::setting("n_mfcc", "must be 1 to the number of mel filters"));
        }
        if !(lifter.is_finite() && lifter >= 0.0) {
            return Err(Error::setting("lifter", "must be 0 or more"));
        }
        if settings.top_db.is_some_and(|db| db.is_nan() || db < 0.0) {
            return Err(Error::setting("top_db", "must be 0 or more"));
        }
        let rate = f64::from(settings.sample_rate);
        let stft = Stft::with_window(centred_hann(window, n_fft), settings.hop, settings.padding)?;
        let filters = MelFilters::slaney(mels, n_fft, rate, settings.low, settings.high)?;
        Ok(Self {
            dct: cosines(coefficients, mels, lifter),
            power: vec![0.0; stft.bins()],
            stft,
            filters,
            settings,
        })
    }

    /// With what it was made.
    pub const fn settings(&self) -> &MfccSettings {
        &self.settings
    }

    /// The number of frames of `len` samples.
    pub const fn frames(&self, len: usize) -> usize {
        self.stft.frames(len)
    }

    /// The mel spectrogram in decibels: `mels` values a frame, as librosa's `power_to_db(melspectrogram(y))`.
    pub fn decibels(&mut self, samples: &[f32]) -> Frames {
        let (frames, width) = (self.stft.frames(samples.len()), self.settings.mels);
        let mut data = vec![0.0f32; frames * width];
        let mut loudest = f64::NEG_INFINITY;
        for (frame, row) in data.chunks_exact_mut(width).enumerate() {
            loudest = self.row(samples, frame, row).max(loudest);
        }
        if let Some(top_db) = self.settings.top_db {
            let least = (loudest - top_db) as f32;
            for value in &mut data {
                *value = value.max(least);
            }
        }
        Frames { data, width }
    }

    /// The coefficients: `coefficients` values a frame, as librosa's `feature.mfcc`, transposed.
    pub fn coefficients(&mut self, samples: &[f32]) -> Frames {
        if self.settings.top_db.is_some() {
            let decibels = self.decibels(samples);
            return self.cepstra(&decibels);
        }
        // Without `top_db` no frame depends on another, so the spectrogram is never held whole.
        let (frames, width) = (self.stft.frames(samples.len()), self.settings.coefficients);
        let mut data = vec![0.0f32; frames * width];
        let mut row = vec![0.0f32; self.settings.mels];
        for (frame, cepstrum) in data.chunks_exact_mut(width).enumerate() {
            self.row(samples, frame, &mut row);
            self.transform(&row, cepstrum);
        }
        Frames { data, width }
    }

    /// The coefficients of a spectrogram that [`decibels`](Self::decibels) made.
    ///
    /// # Panics
    /// If its frames are of another width.
    pub fn cepstra(&self, decibels: &Frames) -> Frames {
        assert_eq!(
            decibels.width, self.settings.mels,
            "a spectrogram of these settings"
        );
        let width = self.settings.coefficients;
        let mut data = vec![0.0f32; decibels.len() * width];
        for (cepstrum, row) in data.chunks_exact_mut(width).zip(decibels.rows()) {
            self.transform(row, cepstrum);
        }
        Frames { data, width }
    }

    /// Writes one frame of the spectrogram, with no regard to `top_db`, and tells its loudest value.
    fn row(&mut self, samples: &[f32], frame: usize, row: &mut [f32]) -> f64 {
        let sound = self.stft.power(samples, samples.len(), frame, &mut self.power);
        let mut loudest = f64::NEG_INFINITY;
        for (mel, value) in row.iter_mut().enumerate() {
            let energy = if sound {
                self.filters.apply(mel, &self.power)
            } else {
                0.0
            };
            let decibels = 10.0 * energy.max(FLOOR).log10();
            loudest = loudest.max(decibels);
            *value = decibels as f32;
        }
        loudest
    }

    fn transform(&self, row: &[f32], cepstrum: &mut [f32]) {
        for (value, weights) in cepstrum.iter_mut().zip(self.dct.chunks_exact(row.len())) {
            let sum: f64 = weights
                .iter()
                .zip(row)
                .map(|(weight, decibels)| weight * f64::from(*decibels))
                .sum();
            *value = sum as f32;
        }
    }
}

// === impl Frames ===

impl Frames {
    /// The number of frames.
    pub const fn len(&self) -> usize {
        if self.width == 0 {
            return 0;
        }
        self.data.len() / self.width
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each frame in turn.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.width.max(1))
    }

    /// One frame.
    ///
    /// # Panics
    /// If there is no such frame.
    pub fn row(&self, frame: usize) -> &[f32] {
        &self.data[frame * self.width..(frame + 1) * self.width]
    }
}

/// A periodic Hann window with silence on both sides, as `librosa.util.pad_center` places it.
fn centred_hann(window: usize, n_fft: usize) -> Vec<f64> {
    let mut padded = vec![0.0; n_fft];
    let left = (n_fft - window) / 2;
    for (n, value) in padded[left..left + window].iter_mut().enumerate() {
        *value = 0.5 - 0.5 * (2.0 * PI * n as f64 / window as f64).cos();
    }
    padded
}

/// The orthonormal DCT-II as a matrix, each row weighed by the lifter.
fn cosines(coefficients: usize, mels: usize, lifter: f64) -> Vec<f64> {
    let count = mels as f64;
    (0..coefficients)
        .flat_map(|k| {
            let scale = if k == 0 { 1.0 / count } else { 2.0 / count }.sqrt();
            let lift = if lifter > 0.0 {
                1.0 + lifter / 2.0 * (PI * (k + 1) as f64 / lifter).sin()
            } else {
                1.0
            };
            (0..mels).map(move |n| lift * scale * (PI * k as f64 * (n as f64 + 0.5) / count).cos())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(samples: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state) / 4_294_967_296.0 - 0.5) as f32
        };
        (0..samples).map(|_| next()).collect()
    }

    #[test]
    fn without_a_ceiling_frames_do_not_depend_on_what_else_is_in_the_excerpt() {
        let settings = MfccSettings {
            top_db: None,
            padding: Padding::None,
            ..MfccSettings::librosa(16_000)
        };
        let mut mfcc = Mfcc::new(settings).expect("settings");
        let samples = noise(16_000);
        let all = mfcc.coefficients(&samples);
        let one = mfcc.coefficients(&samples[5 * 512..5 * 512 + 2048]);
        assert_eq!((all.len(), one.len()), (28, 1));
        assert_eq!(all.row(5), one.row(0));
        let whole = mfcc.decibels(&samples);
        assert_eq!(mfcc.cepstra(&whole), all);
    }

    #[test]
    fn silence_lies_on_the_floor_and_has_no_shape() {
        let mut mfcc = Mfcc::new(MfccSettings::librosa(16_000)).expect("settings");
        let cepstra = mfcc.coefficients(&[0.0; 4_000]);
        for row in cepstra.rows() {
            assert!((f64::from(row[0]) + 100.0 * 128f64.sqrt()).abs() < 1e-3);
            assert!(row[1..].iter().all(|value| value.abs() < 1e-3));
        }
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let base = MfccSettings::librosa(16_000);
        let refused = |settings: MfccSettings| Mfcc::new(settings).expect_err("is refused").to_string();
        assert!(refused(MfccSettings { window: 4096, ..base }).starts_with("win_length"));
        assert!(
            refused(MfccSettings {
                coefficients: 129,
                ..base
            })
            .starts_with("n_mfcc")
        );
        assert!(refused(MfccSettings { lifter: -1.0, ..base }).starts_with("lifter"));
        assert!(
            refused(MfccSettings {
                top_db: Some(-1.0),
                ..base
            })
            .starts_with("top_db")
        );
        assert!(refused(MfccSettings { hop: 0, ..base }).starts_with("hop_length"));
        assert!(
            refused(MfccSettings {
                high: 9_000.0,
                ..base
            })
            .starts_with("mel range")
        );
    }
}
