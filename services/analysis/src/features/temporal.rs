//! What is told from the samples of a frame alone, as librosa's `feature.rms` and `feature.zero_crossing_rate`.

use super::frames::Frame;

/// Samples this near to zero are zero.
const ZERO: f32 = 1e-10;

/// The root mean square; padding counts as silence.
pub fn rms(frame: Frame<'_>) -> f32 {
    let sum: f64 = frame
        .samples
        .iter()
        .map(|sample| f64::from(*sample) * f64::from(*sample))
        .sum();
    (sum / frame.samples.len() as f64).sqrt() as f32
}

/// Changes of sign per sample. Zero counts as positive; the edges are taken to go on as they are.
pub fn zero_crossing_rate(frame: Frame<'_>) -> f32 {
    let below = |sample: f32| sample < -ZERO;
    let sound = &frame.samples[frame.sound()];
    let changes = sound
        .iter()
        .zip(sound.iter().skip(1))
        .filter(|(a, b)| below(**a) != below(**b))
        .count();
    (changes as f64 / frame.samples.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(samples: &[f32], sound: (usize, usize)) -> Frame<'_> {
        Frame {
            samples,
            sound,
            power: &[],
            magnitude: &[],
        }
    }

    #[test]
    fn full_scale_has_a_root_mean_square_of_one() {
        assert!((rms(frame(&[1.0, -1.0, 1.0, -1.0], (0, 4))) - 1.0).abs() < 1e-7);
        assert!(rms(frame(&[0.0; 8], (0, 8))).abs() < 1e-12);
    }

    #[test]
    fn what_is_almost_zero_and_the_edge_of_the_padding_are_no_crossings() {
        let samples = [0.0, 0.0, -0.5, 1e-11, -1e-11, 0.5, -0.5, -0.25];
        // The padding is positive, but the recording begins with -0.5.
        assert!((zero_crossing_rate(frame(&samples, (2, 8))) - 2.0 / 8.0).abs() < 1e-7);
    }
}
