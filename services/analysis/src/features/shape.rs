//! The shape of a spectrum in one number each, as librosa's `feature.spectral_centroid`, `spectral_bandwidth`,
//! `spectral_rolloff` and `spectral_flatness`.

/// Below the roll-off lies this share of the magnitudes.
const ROLL: f64 = 0.85;
/// Flatness takes powers below this as this.
const FLOOR: f64 = 1e-10;
/// Mantissas multiplied before a logarithm is taken: each is less than 2, so the product is finite.
const MANTISSAS: usize = 512;

/// The mean frequency weighed by magnitude, in hertz; 0 for silence. `bin_hz` is what lies between two bins.
pub fn centroid(magnitude: &[f64], bin_hz: f64) -> f64 {
    let (mut weighed, mut sum) = (0.0, 0.0);
    for (bin, magnitude) in magnitude.iter().enumerate() {
        weighed += bin as f64 * magnitude;
        sum += magnitude;
    }
    if sum > 0.0 { weighed / sum * bin_hz } else { 0.0 }
}

/// The deviation from the centroid weighed by magnitude, in hertz; 0 for silence.
pub fn bandwidth(magnitude: &[f64], bin_hz: f64, centroid: f64) -> f64 {
    let (mut weighed, mut sum) = (0.0, 0.0);
    for (bin, magnitude) in magnitude.iter().enumerate() {
        let away = bin as f64 * bin_hz - centroid;
        weighed += away * away * magnitude;
        sum += magnitude;
    }
    if sum > 0.0 { (weighed / sum).sqrt() } else { 0.0 }
}

/// The frequency below or at which 85 % of the magnitudes lie, in hertz; 0 for silence.
pub fn rolloff(magnitude: &[f64], bin_hz: f64) -> f64 {
    let threshold = ROLL * magnitude.iter().sum::<f64>();
    let mut sum = 0.0;
    for (bin, magnitude) in magnitude.iter().enumerate() {
        sum += magnitude;
        if sum >= threshold {
            return bin as f64 * bin_hz;
        }
    }
    0.0
}

/// The geometric over the arithmetic mean of the power, 0 to 1.
pub fn flatness(power: &[f64]) -> f64 {
    let mut sum = 0.0;
    let mut log2 = 0.0;
    // A logarithm for each bin would cost more than the transform. The exponents add up exactly, and the logarithm of
    // the mantissas is taken of their product.
    for powers in power.chunks(MANTISSAS) {
        let (mut exponents, mut product) = (0, 1.0);
        for power in powers {
            let power = power.clamp(FLOOR, f64::MAX);
            sum += power;
            let bits = power.to_bits();
            exponents += (bits >> 52) as i64 - 1_023;
            product *= f64::from_bits(bits & ((1 << 52) - 1) | 1_023 << 52);
        }
        log2 += exponents as f64 + product.log2();
    }
    let count = power.len() as f64;
    (log2 / count).exp2() / (sum / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_equal_lines_have_their_middle_and_half_their_distance() {
        let mut magnitude = [0.0; 64];
        (magnitude[10], magnitude[30]) = (2.0, 2.0);
        let middle = centroid(&magnitude, 5.0);
        assert!((middle - 100.0).abs() < 1e-9);
        assert!((bandwidth(&magnitude, 5.0, middle) - 50.0).abs() < 1e-9);
        assert!((rolloff(&magnitude, 5.0) - 150.0).abs() < 1e-9);
    }

    #[test]
    fn silence_has_no_shape_and_is_flat() {
        let silence = [0.0; 33];
        assert!(centroid(&silence, 1.0).abs() < 1e-12);
        assert!(bandwidth(&silence, 1.0, 0.0).abs() < 1e-12);
        assert!(rolloff(&silence, 1.0).abs() < 1e-12);
        assert!((flatness(&silence) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn flatness_is_that_of_the_logarithms_one_by_one() {
        let power: Vec<f64> = (0..1_025).map(|n| f64::from(n % 97).powi(7) * 1e-9).collect();
        let floored = || power.iter().map(|power| power.max(FLOOR));
        let count = power.len() as f64;
        let mean_log = floored().map(f64::ln).sum::<f64>() / count;
        let expected = mean_log.exp() / (floored().sum::<f64>() / count);
        assert!((flatness(&power) - expected).abs() < 1e-12);
        assert!(flatness(&[1e300; 3]) > 0.999);
    }
}
