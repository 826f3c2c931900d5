//! What encoders of speakers hear: mel energies every 10 ms, of those frames that are asked for, normalised over them.
//!
//! Energies of a frame depend on its own samples alone, so they are made once for windows that overlap. Two recipes:
//! Kaldi's for WeSpeaker and 3D-Speaker, whose mean over time is taken away, and NeMo's for TitaNet, where each bin is
//! brought to mean 0 and deviation 1.

use std::f64::consts::PI;
use std::ops::Range;

use polyphony_audio::Error;
use polyphony_audio::fbank::{Fbank, FbankSettings, Window};
use polyphony_audio::mel::{MelFilters, Padding, Stft};

/// Mel bins of every recipe.
pub(super) const MELS: usize = 80;
/// Samples from one frame to the next.
pub(super) const HOP: usize = 160;

/// Makes energies by a recipe.
#[derive(Debug, Clone)]
pub(super) enum Extractor {
    /// Kaldi's `compute-fbank-feats`.
    Kaldi(Box<Fbank>),
    /// NeMo's `AudioToMelSpectrogramPreprocessor`.
    Nemo(Box<NemoMel>),
}

/// NeMo's features: preemphasis over all samples, a symmetric Hann window of 25 ms in a transform of 512, centred frames
/// with silent edges, Slaney's mel filters, the natural logarithm of the energy and 2^-24.
#[derive(Debug, Clone)]
pub(super) struct NemoMel {
    stft: Stft,
    filters: MelFilters,
    power: Vec<f64>,
}

/// Energies that were made lately, frame by frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    frames: Range<usize>,
    values: Vec<f32>,
}

const NEMO_FFT: usize = 512;
const NEMO_WINDOW: usize = 400;
const NEMO_PREEMPHASIS: f32 = 0.97;
const NEMO_GUARD: f64 = 1.0 / 16_777_216.0;
/// Added to a deviation, so that a bin that never changes is not divided by nothing.
const NEMO_TINY: f64 = 1e-5;

// === impl Extractor ===

impl Extractor {
    /// Kaldi's recipe, with what samples are multiplied by.
    ///
    /// # Errors
    /// None in practice: the settings are constants.
    pub(super) fn kaldi(window: Window, scale: f64) -> Result<Self, Error> {
        let settings = FbankSettings {
            scale,
            ..FbankSettings::speech(window)
        };
        Ok(Self::Kaldi(Box::new(Fbank::new(settings)?)))
    }

    /// NeMo's recipe.
    ///
    /// # Errors
    /// None in practice: the settings are constants.
    pub(super) fn nemo() -> Result<Self, Error> {
        let edge = (NEMO_FFT - NEMO_WINDOW) / 2;
        let mut window = vec![0.0; NEMO_FFT];
        for (n, value) in window[edge..edge + NEMO_WINDOW].iter_mut().enumerate() {
            *value = 0.5 - 0.5 * (2.0 * PI * n as f64 / (NEMO_WINDOW - 1) as f64).cos();
        }
        let stft = Stft::with_window(window, HOP, Padding::Zero)?;
        Ok(Self::Nemo(Box::new(NemoMel {
            power: vec![0.0; stft.bins()],
            filters: MelFilters::slaney(MELS, NEMO_FFT, 16_000.0, 0.0, 8_000.0)?,
            stft,
        })))
    }

    /// Frames in so many samples.
    pub(super) const fn frames(&self, samples: usize) -> usize {
        match self {
            Self::Kaldi(fbank) => fbank.frames(samples),
            Self::Nemo(_) => samples / HOP,
        }
    }

    /// Appends the energies of some frames of a recording, which has them all.
    fn energies(&mut self, audio: &[f32], frames: Range<usize>, into: &mut Vec<f32>) {
        match self {
            Self::Kaldi(fbank) => {
                // The last frame is 25 ms long.
                let end = (frames.end + 1) * HOP + HOP / 2;
                fbank.features(&audio[frames.start * HOP..end], into);
            }
            Self::Nemo(mel) => mel.energies(audio, frames, into),
        }
    }
}

// === impl NemoMel ===

impl NemoMel {
    fn energies(&mut self, audio: &[f32], frames: Range<usize>, into: &mut Vec<f32>) {
        // A transform reaches back by less than two hops.
        let first = frames.start.saturating_sub(2);
        let from = first * HOP;
        let to = audio.len().min((frames.end + 2) * HOP);
        let mut before = if from == 0 { 0.0 } else { audio[from - 1] };
        let emphasised: Vec<f32> = audio[from..to]
            .iter()
            .map(|sample| sample - NEMO_PREEMPHASIS * std::mem::replace(&mut before, *sample))
            .collect();
        for frame in frames {
            let heard = self
                .stft
                .power(&emphasised, emphasised.len(), frame - first, &mut self.power);
            for mel in 0..MELS {
                let energy = if heard {
                    self.filters.apply(mel, &self.power)
                } else {
                    0.0
                };
                into.push((energy + NEMO_GUARD).ln() as f32);
            }
        }
    }
}

// === impl Recent ===

impl Recent {
    /// The energies of these stretches of frames one after another, which the recording has. Quickest when each call goes
    /// on where the last one was.
    pub(super) fn gather(
        &mut self,
        extractor: &mut Extractor,
        audio: &[f32],
        stretches: &[Range<usize>],
    ) -> Vec<f32> {
        let (Some(first), Some(last)) = (stretches.first(), stretches.last()) else {
            return Vec::new();
        };
        if !(self.frames.start..=self.frames.end).contains(&first.start) {
            self.values.clear();
            self.frames = first.start..first.start;
        }
        if self.frames.end < last.end {
            extractor.energies(audio, self.frames.end..last.end, &mut self.values);
            self.frames.end = last.end;
        }
        let mut gathered = Vec::new();
        for stretch in stretches {
            let (from, to) = (stretch.start - self.frames.start, stretch.end - self.frames.start);
            gathered.extend_from_slice(&self.values[from * MELS..to * MELS]);
        }
        gathered
    }
}

/// Takes the mean over time away from each bin.
pub(super) fn take_mean(features: &mut [f32]) {
    let means = means(features);
    for row in features.chunks_exact_mut(MELS) {
        for (value, mean) in row.iter_mut().zip(&means) {
            *value -= *mean as f32;
        }
    }
}

/// Brings each bin to mean 0 and deviation 1.
pub(super) fn standardise(features: &mut [f32]) {
    let means = means(features);
    let count = features.len() / MELS;
    let mut squares = [0.0_f64; MELS];
    for row in features.chunks_exact(MELS) {
        for ((square, value), mean) in squares.iter_mut().zip(row).zip(&means) {
            *square += (f64::from(*value) - mean).powi(2);
        }
    }
    let deviations =
        squares.map(|square| (square / count.saturating_sub(1).max(1) as f64).sqrt() + NEMO_TINY);
    for row in features.chunks_exact_mut(MELS) {
        for ((value, mean), deviation) in row.iter_mut().zip(&means).zip(&deviations) {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}

fn means(features: &[f32]) -> [f64; MELS] {
    let mut sums = [0.0_f64; MELS];
    for row in features.chunks_exact(MELS) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(*value);
        }
    }
    sums.map(|sum| sum / (features.len() / MELS).max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(samples: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state) / 4_294_967_296.0 - 0.5) as f32
        };
        (0..samples).map(next).collect()
    }

    #[test]
    fn frames_are_the_same_wherever_one_begins() {
        let audio = noise(32_000);
        for mut extractor in [
            Extractor::kaldi(Window::Povey, 1.0).expect("settings"),
            Extractor::nemo().expect("settings"),
        ] {
            let all = extractor.frames(audio.len());
            let whole = Recent::default().gather(&mut extractor, &audio, std::slice::from_ref(&(0..all)));
            assert_eq!(whole.len(), all * MELS);
            let mut recent = Recent::default();
            for stretches in [
                vec![3..9, 20..40],
                vec![30..35, 60..all],
                std::iter::once(0..2).collect(),
            ] {
                let some = recent.gather(&mut extractor, &audio, &stretches);
                let expected: Vec<f32> = stretches
                    .iter()
                    .flat_map(|stretch| whole[stretch.start * MELS..stretch.end * MELS].to_vec())
                    .collect();
                assert_eq!(some.len(), expected.len());
                for (a, b) in some.iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-5, "{a} for {b}");
                }
            }
        }
    }

    #[test]
    fn normalised_features_have_no_mean_and_one_deviation() {
        let mut some: Vec<f32> = noise(50 * MELS).iter().map(|value| value * 3.0 + 7.0).collect();
        let mut standard = some.clone();
        take_mean(&mut some);
        standardise(&mut standard);
        for bin in 0..MELS {
            let column = |of: &[f32]| of.iter().skip(bin).step_by(MELS).copied().collect::<Vec<f32>>();
            let mean = |column: &[f32]| column.iter().sum::<f32>() / column.len() as f32;
            assert!(mean(&column(&some)).abs() < 1e-4);
            let squares: Vec<f32> = column(&standard).iter().map(|value| value * value).collect();
            assert!((mean(&squares) - 49.0 / 50.0).abs() < 1e-3);
        }
    }
}
