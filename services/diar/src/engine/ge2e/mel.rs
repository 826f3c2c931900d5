//! The features of the GE2E encoder: mel energies, not their logarithms.
//!
//! Resemblyzer's `wav_to_mel_spectrogram`, which is librosa's: 16 kHz, a periodic Hann window of 400, hop 160, centred
//! frames with silent edges, power spectrum, 40 Slaney mel filters. Being energies they grow with loudness, and the
//! encoder hears it: Resemblyzer raises a recording to -30 dBFS, silence included. Here the level of the speech alone is
//! set, which tells voices apart better where people sit far from the microphone.

use polyphony_audio::Error;
use polyphony_audio::mel::{MelFilters, Padding, Stft};

/// Filters.
pub(super) const MELS: usize = 40;
/// Samples from one frame to the next: 10 ms.
pub(super) const HOP: usize = 160;
const FFT: usize = 400;

/// Makes features. Holds its window, filters and scratch.
#[derive(Debug, Clone)]
pub(super) struct Extractor {
    stft: Stft,
    filters: MelFilters,
    power: Vec<f64>,
}

// === impl Extractor ===

impl Extractor {
    /// One of its kind.
    ///
    /// # Errors
    /// None in practice: the settings are constants.
    pub(super) fn new() -> Result<Self, Error> {
        let stft = Stft::hann(FFT, HOP, Padding::Zero)?;
        Ok(Self {
            power: vec![0.0; stft.bins()],
            filters: MelFilters::slaney(MELS, FFT, 16_000.0, 0.0, 8_000.0)?,
            stft,
        })
    }

    /// Appends the features of `count` frames from frame `first` on of a recording, 16 kHz mono, each multiplied by
    /// `gain`. Frames beyond the end are silent.
    pub(super) fn frames(
        &mut self,
        audio: &[f32],
        first: usize,
        count: usize,
        gain: f32,
        into: &mut Vec<f32>,
    ) {
        into.reserve(count * MELS);
        for frame in first..first + count {
            if self.stft.power(audio, audio.len(), frame, &mut self.power) {
                for mel in 0..MELS {
                    into.push(self.filters.apply(mel, &self.power) as f32 * gain);
                }
            } else {
                into.resize(into.len() + MELS, 0.0);
            }
        }
    }
}
