//! Chroma: how strong each of the twelve pitch classes is, from C, as librosa's `feature.chroma_stft` (after Ellis 2007).
//!
//! Each bin of the power spectrum is shared among the classes by a bell a semitone wide around its own, broader where
//! bins lie further apart, and weighed by how near it is to the fifth octave. A frame's strongest class is 1.

/// Pitch classes.
pub const CLASSES: usize = 12;

/// The reference of the scale: A4.
const A4: f64 = 440.0;
/// The octave that counts most, from A0, and how broad its weight is.
const CENTRE: f64 = 5.0;
const BREADTH: f64 = 2.0;
/// Below this a frame is silent: the least normal `f32`, as in librosa.
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// Shares bins among pitch classes.
#[derive(Debug, Clone)]
pub struct Chroma {
    /// For each bin its twelve weights, so that a bin is read once.
    weights: Vec<[f32; CLASSES]>,
}

/// Octaves above the A of 27.5 Hz when A4 lies `tuning` semitones from 440 Hz.
pub(crate) fn octaves(hz: f64, tuning: f64) -> f64 {
    (hz / (A4 * (tuning / 12.0).exp2() / 16.0)).log2()
}

// === impl Chroma ===

impl Chroma {
    /// For transforms of `size` samples at `rate` Hz of a recording that is `tuning` semitones sharp.
    pub fn new(size: usize, rate: f64, tuning: f64) -> Self {
        let semitone = |bin: usize| 12.0 * octaves(bin as f64 * rate / size as f64, tuning);
        // No pitch is at 0 Hz: it is put an octave and a half below the first bin, half a turn away.
        let at = |bin: usize| {
            if bin == 0 {
                semitone(1) - 18.0
            } else {
                semitone(bin)
            }
        };
        let weights = (0..=size / 2)
            .map(|bin| {
                let width = (at(bin + 1) - at(bin)).max(1.0);
                column(at(bin), width)
            })
            .collect();
        Self { weights }
    }

    /// The classes of one power spectrum, from C; all 0 for silence.
    pub fn classes(&self, power: &[f64]) -> [f32; CLASSES] {
        let mut raw = [0.0f64; CLASSES];
        for (power, weights) in power.iter().zip(&self.weights) {
            for (class, weight) in raw.iter_mut().zip(weights) {
                *class += power * f64::from(*weight);
            }
        }
        let strongest = raw.iter().copied().fold(0.0, f64::max);
        let scale = if strongest < TINY { 1.0 } else { strongest };
        raw.map(|class| (class / scale) as f32)
    }
}

/// The weights of a bin at `at` semitones above the lowest A, whose neighbour is `width` away.
fn column(at: f64, width: f64) -> [f32; CLASSES] {
    let mut bells = [0.0f64; CLASSES];
    for (class, bell) in bells.iter_mut().enumerate() {
        let away = (at - class as f64 + 6.0).rem_euclid(12.0) - 6.0;
        *bell = (-0.5 * (2.0 * away / width).powi(2)).exp();
    }
    let length = bells.iter().map(|bell| bell * bell).sum::<f64>().sqrt();
    let octave = (-0.5 * ((at / 12.0 - CENTRE) / BREADTH).powi(2)).exp();
    // Classes are counted from A up to here, and from C from here on.
    std::array::from_fn(|class| (bells[(class + 3) % CLASSES] / length * octave) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_in_its_class_whatever_its_octave() {
        let (size, rate) = (8_192, 22_050.0);
        let chroma = Chroma::new(size, rate, 0.0);
        for (hz, class) in [(440.0, 9), (880.0, 9), (523.25, 0), (1_046.5, 0), (698.46, 5)] {
            let mut power = vec![0.0; size / 2 + 1];
            power[(hz / rate * size as f64).round() as usize] = 3.0;
            let classes = chroma.classes(&power);
            assert!((classes[class] - 1.0).abs() < 1e-6, "{hz}: {classes:?}");
        }
        assert_eq!(chroma.classes(&vec![0.0; size / 2 + 1]), [0.0; CLASSES]);
    }

    #[test]
    fn half_a_semitone_sharp_is_between_two_classes_unless_that_is_the_tuning() {
        let (size, rate) = (8_192, 22_050.0);
        let mut power = vec![0.0; size / 2 + 1];
        power[(440.0 * (0.5f64 / 12.0).exp2() / rate * size as f64).round() as usize] = 1.0;
        let between = Chroma::new(size, rate, 0.0).classes(&power);
        assert!(between[9] > 0.8 && between[10] > 0.8);
        let tuned = Chroma::new(size, rate, 0.5).classes(&power);
        assert!(tuned[9] > 0.99 && tuned[10] < 0.2, "{tuned:?}");
    }
}
