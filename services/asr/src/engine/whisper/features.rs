//! Whisper's features of a recording, a window at a time.
//!
//! Whisper normalises by the loudest value of the whole recording, so there are two passes: one that finds it and one
//! for each window. That costs 10 ms for 30 s and holds one window; the features of an hour would take 115 MB.
//! Equal to openai-whisper's `log_mel_spectrogram(audio, padding=30 s)` and `pad_or_trim`: a window that is not full
//! is filled with zeros, not with the features of silence.

use polyphony_audio::mel::{MelFilters, Padding, Stft, WHISPER_HOP, WHISPER_SAMPLES};

use super::error::WhisperError;
use crate::domain::Cancel;

/// Frames of a window: 30 s.
pub(super) const WINDOW_FRAMES: usize = WHISPER_SAMPLES / WHISPER_HOP;
/// Frames a second.
pub(super) const FRAME_RATE: f64 = 100.0;

const FFT: usize = 400;
const FLOOR: f64 = 1e-10;

/// Makes features; holds the filters and the plan of the transform.
#[derive(Debug, Clone)]
pub(super) struct Extractor {
    stft: Stft,
    filters: MelFilters,
    power: Vec<f64>,
}

/// The features of one recording.
#[derive(Debug)]
pub(super) struct Recording<'a> {
    extractor: Extractor,
    samples: &'a [f32],
    loudest: f32,
}

// === impl Extractor ===

impl Extractor {
    pub(super) fn new(mels: usize) -> Result<Self, WhisperError> {
        let stft = Stft::hann(FFT, WHISPER_HOP, Padding::Reflect)?;
        Ok(Self {
            power: vec![0.0; stft.bins()],
            filters: MelFilters::slaney(mels, FFT, 16_000.0, 0.0, 8_000.0)?,
            stft,
        })
    }

    /// Prepares a recording, mono at 16 kHz. Stops when cancelled: an hour takes about a second.
    pub(super) fn recording<'a>(
        &self,
        samples: &'a [f32],
        cancel: &Cancel,
    ) -> Result<Recording<'a>, WhisperError> {
        let mut extractor = self.clone();
        let mut loudest = FLOOR.log10() as f32;
        for frame in 0..samples.len() / WHISPER_HOP {
            if frame % WINDOW_FRAMES == 0 && cancel.is_cancelled() {
                return Err(polyphony_inference::Error::Cancelled.into());
            }
            extractor.frame(samples, frame, |_, value| loudest = loudest.max(value));
        }
        Ok(Recording {
            extractor,
            samples,
            loudest,
        })
    }

    /// Gives each mel bin of a frame, as log10 of its energy.
    fn frame(&mut self, samples: &[f32], frame: usize, mut give: impl FnMut(usize, f32)) {
        // Silence follows the recording, as in openai-whisper; it is not stored.
        let len = samples.len() + WHISPER_SAMPLES;
        let sounds = self.stft.power(samples, len, frame, &mut self.power);
        for mel in 0..self.filters.mels() {
            let energy = if sounds {
                self.filters.apply(mel, &self.power)
            } else {
                0.0
            };
            give(mel, energy.max(FLOOR).log10() as f32);
        }
    }
}

// === impl Recording ===

impl Recording<'_> {
    /// The frames that it has: 10 ms each, only whole ones.
    pub(super) const fn frames(&self) -> usize {
        self.samples.len() / WHISPER_HOP
    }

    /// `[mels][3000]` values from frame `start` on, `count` of them from the recording, then zeros.
    pub(super) fn window(&mut self, start: usize, count: usize) -> Vec<f32> {
        let Self {
            extractor,
            samples,
            loudest,
        } = self;
        let mut data = vec![0.0; extractor.filters.mels() * WINDOW_FRAMES];
        for column in 0..count.min(WINDOW_FRAMES) {
            extractor.frame(samples, start + column, |mel, value| {
                data[mel * WINDOW_FRAMES + column] = (value.max(*loudest - 8.0) + 4.0) / 4.0;
            });
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_part_of_the_whole_and_ends_in_zeros() {
        let samples: Vec<f32> = (0..32_000_u16)
            .map(|n| (f32::from(n) * 0.05).sin() * f32::from(n) / 32_000.0)
            .collect();
        let extractor = Extractor::new(80).expect("80 bins");
        let mut recording = extractor
            .recording(&samples, &Cancel::default())
            .expect("features");
        assert_eq!(recording.frames(), 200);
        let whole = recording.window(0, 200);
        let later = recording.window(50, 150);
        for mel in 0..80 {
            let row = |data: &[f32], from: usize, to: usize| data[mel * WINDOW_FRAMES..][from..to].to_vec();
            assert_eq!(row(&whole, 50, 200), row(&later, 0, 150));
            assert!(row(&later, 150, WINDOW_FRAMES).iter().all(|value| *value == 0.0));
        }
    }
}
