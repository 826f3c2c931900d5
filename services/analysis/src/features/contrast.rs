//! Spectral contrast: how far peaks stand above valleys in each octave (Jiang et al. 2002), as librosa's
//! `feature.spectral_contrast`: six octaves from 200 Hz and what lies below, the mean of the highest and the lowest
//! 2 % of each, in decibel.

use polyphony_audio::pcm::SampleRate;

/// Rows: what lies below 200 Hz, and six octaves; the last goes up to half the sample rate.
pub const BANDS: usize = 7;
/// The last octave begins at 6,400 Hz, which must lie below half the sample rate.
pub const LEAST_RATE: f64 = 12_800.0;

const LOWEST: f64 = 200.0;
const QUANTILE: f64 = 0.02;
const FLOOR: f64 = 1e-10;

/// The bins of a band, and how many of them are its peaks and its valleys.
#[derive(Debug, Clone, Copy)]
struct Band {
    first: usize,
    end: usize,
    share: usize,
}

/// Tells peaks from valleys.
#[derive(Debug, Clone)]
pub struct Contrast {
    bands: [Band; BANDS],
    /// The bits of magnitudes: those of numbers that are not negative are in the same order, and quicker to sort.
    sorted: Vec<u64>,
}

/// Peaks and valleys of a frame, as means of magnitudes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extremes {
    /// Of each band.
    pub peaks: [f64; BANDS],
    /// Of each band.
    pub valleys: [f64; BANDS],
}

/// The smallest transform with which no band is empty at a rate.
pub fn least_fft(rate: SampleRate) -> usize {
    let is_enough = |size: &usize| {
        bands(*size, f64::from(rate.hz()))
            .iter()
            .all(|band| band.first + band.share <= band.end)
    };
    (8..=14).map(|log2| 1 << log2).find(is_enough).unwrap_or(1 << 14)
}

/// Decibels of at least `least`.
pub(crate) fn decibels(value: f64, least: f64) -> f64 {
    (10.0 * value.max(FLOOR).log10()).max(least)
}

// === impl Contrast ===

impl Contrast {
    /// For transforms of `size` samples at `rate` Hz.
    pub fn new(size: usize, rate: f64) -> Self {
        Self {
            bands: bands(size, rate),
            sorted: Vec::with_capacity(size / 2 + 1),
        }
    }

    /// Peaks and valleys of one spectrum.
    pub fn extremes(&mut self, magnitude: &[f64]) -> Extremes {
        let mut found = Extremes {
            peaks: [0.0; BANDS],
            valleys: [0.0; BANDS],
        };
        for (n, band) in self.bands.iter().enumerate() {
            let Some(bins) = magnitude.get(band.first..band.end) else {
                continue;
            };
            let share = band.share.min(bins.len());
            if share == 0 {
                continue;
            }
            self.sorted.clear();
            self.sorted.extend(bins.iter().map(|bin| bin.to_bits()));
            let mean =
                |bits: &[u64]| bits.iter().map(|bits| f64::from_bits(*bits)).sum::<f64>() / share as f64;
            self.sorted.select_nth_unstable(share - 1);
            found.valleys[n] = mean(&self.sorted[..share]);
            let from = bins.len() - share;
            self.sorted.select_nth_unstable(from);
            found.peaks[n] = mean(&self.sorted[from..]);
        }
        found
    }
}

// === impl Extremes ===

impl Extremes {
    /// Nothing was heard.
    pub const SILENCE: Self = Self {
        peaks: [0.0; BANDS],
        valleys: [0.0; BANDS],
    };

    /// The greatest peak and the greatest valley.
    pub fn greatest(&self) -> (f64, f64) {
        let greatest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        (greatest(&self.peaks), greatest(&self.valleys))
    }

    /// Peaks over valleys in decibel; both are raised to 80 dB below the greatest of their kind.
    pub fn contrast(&self, (peak, valley): (f64, f64)) -> [f64; BANDS] {
        let least = |greatest| decibels(greatest, f64::NEG_INFINITY) - 80.0;
        let (least_peak, least_valley) = (least(peak), least(valley));
        std::array::from_fn(|n| decibels(self.peaks[n], least_peak) - decibels(self.valleys[n], least_valley))
    }
}

/// librosa's edges: a band also has the bin before its first, and all but the last give their own last away.
fn bands(size: usize, rate: f64) -> [Band; BANDS] {
    let bins = size / 2 + 1;
    let hz = |bin: usize| bin as f64 * rate / size as f64;
    std::array::from_fn(|n| {
        let low = if n == 0 {
            0.0
        } else {
            LOWEST * f64::from(1 << (n - 1))
        };
        let high = LOWEST * f64::from(1 << n);
        let inside = |bin: &usize| hz(*bin) >= low && hz(*bin) <= high;
        let mut found = (0..bins).filter(inside);
        let Some(first) = found.next() else {
            return Band {
                first: 0,
                end: 0,
                share: 1,
            };
        };
        let last = found.next_back().unwrap_or(first);
        let first = if n > 0 { first - 1 } else { first };
        let is_last = n == BANDS - 1;
        let last = if is_last { bins - 1 } else { last };
        let count = last + 1 - first;
        Band {
            first,
            end: if is_last { last + 1 } else { last },
            share: ((QUANTILE * count as f64).round_ties_even() as usize).max(1),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_an_octave_stands_out_of_it_and_no_other() {
        let mut contrast = Contrast::new(2_048, 22_050.0);
        let mut magnitude = vec![1.0; 1_025];
        magnitude[100] = 1_000.0; // 1,077 Hz, in the fourth band of 800 to 1,600 Hz
        let found = contrast.extremes(&magnitude);
        let rows = found.contrast(found.greatest());
        for (n, row) in rows.iter().enumerate() {
            let expected = if n == 3 { 10.0 * 500.5f64.log10() } else { 0.0 };
            assert!((row - expected).abs() < 1e-9, "band {n}: {row}");
        }
    }

    #[test]
    fn every_band_has_bins_at_the_least_transform_and_one_has_none_below_it() {
        for hz in [16_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
            let rate = SampleRate::new(hz).expect("a rate");
            let least = least_fft(rate);
            let empty = |size| {
                bands(size, f64::from(hz))
                    .iter()
                    .any(|band| band.first + band.share > band.end)
            };
            assert!(!empty(least), "{hz}");
            assert!(least == 256 || empty(least / 2), "{hz}");
        }
    }
}
