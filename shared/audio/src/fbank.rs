//! Log-mel energies as Kaldi's `compute-fbank-feats` makes them, which encoders of speakers and many recognisers eat.
//!
//! For each frame by itself: the mean is taken away, each sample less 0.97 of the one before, a window, the power
//! spectrum of the next power of two, triangles on HTK's mel scale (not normalised, the highest bin left out), the natural
//! logarithm of at least 2^-23. No dither. There are only frames that lie within the samples (`snip_edges`).
//! Not here: means over time, which depend on what the features are for, and [Whisper's recipe](crate::mel).

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::Error;

/// How features are made. [`FbankSettings::speech`] are Kaldi's defaults with 80 bins.
#[derive(Debug, Clone, PartialEq)]
pub struct FbankSettings {
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples in a frame, 2 to 65,536.
    pub frame: usize,
    /// Samples from one frame to the next, 1 or more.
    pub hop: usize,
    /// Mel bins, 1 to 512.
    pub mels: usize,
    /// The lowest frequency that is heard, in Hz.
    pub low: f64,
    /// The highest, in Hz, at most half the sample rate.
    pub high: f64,
    /// What frames are multiplied by.
    pub window: Window,
    /// What samples are multiplied by: 32,768 where a model was made with integer samples.
    pub scale: f64,
}

/// What frames are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// A Hann window to the power of 0.85, Kaldi's default.
    Povey,
    /// 0.54 - 0.46 cos.
    Hamming,
}

/// Makes features. Holds its tables and scratch. Cloning shares the plan.
#[derive(Clone)]
pub struct Fbank {
    settings: FbankSettings,
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    /// The first bin of each triangle, and its weights.
    filters: Vec<(usize, Vec<f64>)>,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

const PREEMPHASIS: f64 = 0.97;
const FLOOR: f64 = f32::EPSILON as f64;

// === impl FbankSettings ===

impl FbankSettings {
    /// 80 bins from 20 Hz up, 25 ms every 10 ms, of samples from -1 to 1 at 16 kHz.
    pub fn speech(window: Window) -> Self {
        Self {
            sample_rate: 16_000,
            frame: 400,
            hop: 160,
            mels: 80,
            low: 20.0,
            high: 8_000.0,
            window,
            scale: 1.0,
        }
    }
}

// === impl Fbank ===

impl Fbank {
    /// Prepares the tables.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting that is out of its range.
    pub fn new(settings: FbankSettings) -> Result<Self, Error> {
        let FbankSettings { frame, hop, mels, .. } = settings;
        let rate = f64::from(settings.sample_rate);
        if !(2..=65_536).contains(&frame) {
            return Err(Error::setting("frame_length", "must be 2 to 65536 samples"));
        }
        if hop == 0 {
            return Err(Error::setting("frame_shift", "must be 1 or more samples"));
        }
        if !(1..=512).contains(&mels) {
            return Err(Error::setting("num_mel_bins", "must be 1 to 512"));
        }
        if !(0.0 <= settings.low && settings.low < settings.high && settings.high <= rate / 2.0) {
            return Err(Error::setting(
                "mel range",
                "must lie between 0 and half the sample rate",
            ));
        }
        let size = frame.next_power_of_two();
        let fft = RealFftPlanner::new().plan_fft_forward(size);
        Ok(Self {
            window: settings.window.values(frame),
            filters: triangles(&settings, rate / size as f64, size / 2),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
            settings,
        })
    }

    /// Values in a frame.
    pub const fn mels(&self) -> usize {
        self.settings.mels
    }

    /// How many frames lie within so many samples.
    pub const fn frames(&self, samples: usize) -> usize {
        if samples < self.settings.frame {
            return 0;
        }
        1 + (samples - self.settings.frame) / self.settings.hop
    }

    /// Appends the features of all frames of `samples`, frame by frame.
    pub fn features(&mut self, samples: &[f32], into: &mut Vec<f32>) {
        into.reserve(self.frames(samples.len()) * self.mels());
        let hop = self.settings.hop;
        for at in 0..self.frames(samples.len()) {
            self.load(&samples[at * hop..][..self.window.len()]);
            let done = self
                .fft
                .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
            // It can only fail on lengths, which `new` has made.
            debug_assert!(done.is_ok());
            for (first, weights) in &self.filters {
                let bins = self.spectrum[*first..].iter();
                let energy: f64 = weights.iter().zip(bins).map(|(w, bin)| w * bin.norm_sqr()).sum();
                into.push(energy.max(FLOOR).ln() as f32);
            }
        }
    }

    /// Fills the transform's input with a frame.
    fn load(&mut self, samples: &[f32]) {
        let scale = self.settings.scale;
        let mean = samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / samples.len() as f64;
        let sample = |at: usize| (f64::from(samples[at]) - mean) * scale;
        // The first has nothing before it and is taken to follow itself.
        let mut before = sample(0);
        for (at, (slot, window)) in self.frame.iter_mut().zip(&self.window).enumerate() {
            let now = sample(at);
            *slot = (now - PREEMPHASIS * before) * window;
            before = now;
        }
        for slot in &mut self.frame[samples.len()..] {
            *slot = 0.0;
        }
    }
}

impl fmt::Debug for Fbank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fbank")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

// === impl Window ===

impl Window {
    fn values(self, size: usize) -> Vec<f64> {
        let turn = 2.0 * PI / (size - 1) as f64;
        let value = |n: usize| {
            let cos = (turn * n as f64).cos();
            match self {
                Self::Povey => (0.5 - 0.5 * cos).powf(0.85),
                Self::Hamming => 0.54 - 0.46 * cos,
            }
        };
        (0..size).map(value).collect()
    }
}

/// The triangles over `bins` bins of `bin_hz` each.
fn triangles(settings: &FbankSettings, bin_hz: f64, bins: usize) -> Vec<(usize, Vec<f64>)> {
    let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
    let low = mel(settings.low);
    let step = (mel(settings.high) - low) / (settings.mels + 1) as f64;
    let triangle = |n: usize| {
        let left = low + n as f64 * step;
        let weight = |bin: usize| {
            let away = (mel(bin as f64 * bin_hz) - left) / step;
            away.min(2.0 - away)
        };
        let first = (0..bins).find(|bin| weight(*bin) > 0.0).unwrap_or(bins);
        let weights = (first..bins)
            .map(weight)
            .take_while(|weight| *weight > 0.0)
            .collect();
        (first, weights)
    };
    (0..settings.mels).map(triangle).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_within_the_samples_are_made() {
        let mut fbank = Fbank::new(FbankSettings::speech(Window::Povey)).expect("settings");
        for (samples, frames) in [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98)] {
            let mut made = Vec::new();
            fbank.features(&vec![0.1; samples], &mut made);
            assert_eq!(
                (made.len(), fbank.frames(samples)),
                (frames * 80, frames),
                "{samples}"
            );
        }
    }

    #[test]
    fn silence_is_at_the_floor() {
        let mut fbank = Fbank::new(FbankSettings::speech(Window::Hamming)).expect("settings");
        let mut made = Vec::new();
        fbank.features(&[0.25; 400], &mut made);
        assert!(made.iter().all(|value| *value == FLOOR.ln() as f32), "{made:?}");
    }

    #[test]
    fn impossible_settings_are_refused_by_name() {
        let good = FbankSettings::speech(Window::Povey);
        for wrong in [
            FbankSettings {
                frame: 1,
                ..good.clone()
            },
            FbankSettings {
                hop: 0,
                ..good.clone()
            },
            FbankSettings {
                mels: 0,
                ..good.clone()
            },
            FbankSettings {
                high: 8_001.0,
                ..good
            },
        ] {
            assert!(matches!(Fbank::new(wrong), Err(Error::Setting { .. })));
        }
    }
}
