//! Triangular mel filters on Slaney's scale, each normalised to constant area, as librosa's default and Whisper's.
//!
//! The scale (Slaney, Auditory Toolbox, 1998): linear below 1 kHz with 3 mels in 200 Hz, above it logarithmic with 27
//! mels in a factor of 6.4. Weights are rounded to f32, as those in Whisper's `mel_filters.npz` are.

use crate::Error;

/// Filters over the bins of a power spectrum, kept without their zeros.
#[derive(Debug, Clone)]
pub struct MelFilters {
    filters: Vec<Filter>,
}

#[derive(Debug, Clone)]
struct Filter {
    first: usize,
    weights: Vec<f64>,
}

const HZ_PER_MEL: f64 = 200.0 / 3.0;
const BREAK_HZ: f64 = 1_000.0;
const BREAK_MEL: f64 = BREAK_HZ / HZ_PER_MEL;

// === impl MelFilters ===

impl MelFilters {
    /// `mels` filters between two frequencies in Hz, over a transform of `n_fft` samples at `rate` Hz.
    ///
    /// # Errors
    /// [`Error::Setting`] unless there are 1 to 512 filters over `0 <= low < high <= rate / 2`.
    pub fn slaney(mels: usize, n_fft: usize, rate: f64, low: f64, high: f64) -> Result<Self, Error> {
        if !(1..=512).contains(&mels) {
            return Err(Error::setting("num_mel_bins", "must be 1 to 512"));
        }
        if !(0.0 <= low && low < high && high <= rate / 2.0) {
            return Err(Error::setting(
                "mel range",
                "must lie between 0 and half the sample rate",
            ));
        }
        let (low, high) = (mel(low), mel(high));
        let edge = |n: usize| hz(low + (high - low) * n as f64 / (mels + 1) as f64);
        let bin_hz = rate / n_fft as f64;
        let filters = (0..mels)
            .map(|n| Filter::triangle([edge(n), edge(n + 1), edge(n + 2)], bin_hz, n_fft / 2 + 1))
            .collect();
        Ok(Self { filters })
    }

    /// The number of filters.
    pub const fn mels(&self) -> usize {
        self.filters.len()
    }

    /// The energy that filter `mel` passes.
    pub fn apply(&self, mel: usize, power: &[f64]) -> f64 {
        let filter = &self.filters[mel];
        filter
            .weights
            .iter()
            .zip(&power[filter.first..])
            .map(|(w, p)| w * p)
            .sum()
    }
}

// === impl Filter ===

impl Filter {
    fn triangle([left, centre, right]: [f64; 3], bin_hz: f64, bins: usize) -> Self {
        let area = 2.0 / (right - left);
        let weight = |bin: usize| {
            let hz = bin as f64 * bin_hz;
            let rising = (hz - left) / (centre - left);
            let falling = (right - hz) / (right - centre);
            f64::from((rising.min(falling).max(0.0) * area) as f32)
        };
        let first = (0..bins).find(|bin| weight(*bin) > 0.0).unwrap_or(0);
        let weights = (first..bins)
            .map(weight)
            .take_while(|weight| *weight > 0.0)
            .collect();
        Self { first, weights }
    }
}

fn mel(hz: f64) -> f64 {
    if hz < BREAK_HZ {
        return hz / HZ_PER_MEL;
    }
    BREAK_MEL + 27.0 * (hz / BREAK_HZ).ln() / 6.4_f64.ln()
}

fn hz(mel: f64) -> f64 {
    if mel < BREAK_MEL {
        return mel * HZ_PER_MEL;
    }
    BREAK_HZ * ((mel - BREAK_MEL) * 6.4_f64.ln() / 27.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_its_own_inverse() {
        for freq in [0.0, 440.0, 999.9, 1_000.0, 4_321.0, 8_000.0] {
            assert!((hz(mel(freq)) - freq).abs() < 1e-9);
        }
        assert!((mel(1_000.0) - 15.0).abs() < 1e-12 && (mel(6_400.0) - 42.0).abs() < 1e-12);
    }

    #[test]
    fn every_filter_of_whisper_hears_something() {
        for mels in [80, 128] {
            let filters = MelFilters::slaney(mels, 400, 16_000.0, 0.0, 8_000.0).expect("valid");
            assert!(filters.filters.iter().all(|filter| !filter.weights.is_empty()));
        }
    }
}
