//! CREPE's scale: 360 bins of 20 cents, from 31.7 Hz to 2 kHz.

use std::ops::Range;

/// Bins of a frame.
pub const BINS: usize = 360;
/// Half of a bin, in cents.
pub(super) const HALF_BIN: f64 = CENTS / 2.0;

const CENTS: f64 = 20.0;
/// The middle of the first bin, in cents above 10 Hz.
const FIRST: f64 = 1_997.379_408_437_619;
/// How many bins on each side belong to a peak.
const REACH: usize = 4;

/// The bins that a range of frequencies touches: torchcrepe rounds the lower down and the upper up. Never empty for
/// frequencies within CREPE's.
pub(super) fn of_range(min_hz: f32, max_hz: f32) -> Range<usize> {
    let bin = |hz: f32| (1_200.0 * (f64::from(hz) / 10.0).log2() - FIRST) / CENTS;
    let start = (bin(min_hz).floor().max(0.0) as usize).min(BINS - 1);
    let end = (bin(max_hz).ceil().max(0.0) as usize).clamp(start + 1, BINS);
    start..end
}

/// The frequency of a place, in cents from the middle of a bin.
pub(super) fn hertz(bin: usize, cents: f64) -> f32 {
    (10.0 * ((FIRST + CENTS * bin as f64 + cents) / 1_200.0).exp2()) as f32
}

/// Where a peak lies, in cents from the middle of `peak`: the mean of the bins around it, weighted by their activations
/// (equation 3 of Kim et al. 2018). `activations` are those of allowed bins, `peak` counts from the first of them.
pub(super) fn place(activations: &[f32], peak: usize) -> f64 {
    let around = peak.saturating_sub(REACH)..(peak + REACH + 1).min(activations.len());
    let (mut sum, mut total) = (0.0, 0.0);
    for bin in around {
        let weight = f64::from(activations[bin]);
        sum += weight * (bin as f64 - peak as f64);
        total += weight;
    }
    // Nothing rings at all, so nothing pulls.
    if total > 0.0 { CENTS * sum / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_torchcrepes() {
        assert_eq!(of_range(50.0, 1_100.0), 39..308);
        assert_eq!(of_range(32.0, 1_975.0), 0..358);
        assert_eq!(of_range(440.0, 440.1), 227..228);
    }

    #[test]
    fn concert_pitch_lies_between_its_bins() {
        assert!((hertz(227, 0.0) - 437.3).abs() < 1.0, "{}", hertz(227, 0.0));
        assert!((hertz(0, 0.0) - 31.7).abs() < 0.01);
        assert!(hertz(10, 20.0) - hertz(11, 0.0) < 1e-4);
    }

    #[test]
    fn a_peak_leans_to_its_heavier_side() {
        let mut activations = [0.0; 20];
        activations[9] = 0.5;
        activations[10] = 1.0;
        assert!((place(&activations, 10) + 20.0 / 3.0).abs() < 1e-6);
        assert!(place(&[0.0; 20], 3).abs() < f64::EPSILON);
        assert!(
            place(&[1.0], 0).abs() < f64::EPSILON,
            "at the edge of what is allowed"
        );
    }
}
