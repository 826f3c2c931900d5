//! The key of a piece: the one of 24 whose profile goes best with its mean chroma (Krumhansl and Schmuckler; the
//! profiles are those that Krumhansl and Kessler measured in 1982, as in Krumhansl, Cognitive Foundations of Musical Pitch, 1990).

use super::chroma::CLASSES;

/// How well each pitch class fits a major key, from its tonic.
const MAJOR: [f64; CLASSES] = [
    6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88,
];
/// The same for a minor key.
const MINOR: [f64; CLASSES] = [
    6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17,
];

/// Major or minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Major.
    Major,
    /// Minor.
    Minor,
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its tonic, 0 to 11 from C.
    pub tonic: u8,
    /// Major or minor.
    pub mode: Mode,
    /// How well it goes with the chroma, -1 to 1.
    pub correlation: f32,
}

/// Adds up chroma.
#[derive(Debug, Clone, Default)]
pub struct MeanChroma {
    sum: [f64; CLASSES],
}

// === impl MeanChroma ===

impl MeanChroma {
    /// Takes one frame.
    pub fn push(&mut self, classes: &[f32; CLASSES]) {
        for (sum, class) in self.sum.iter_mut().zip(classes) {
            *sum += f64::from(*class);
        }
    }

    /// The key; none where no pitch class stands out, as in silence.
    pub fn key(&self) -> Option<Key> {
        // A correlation does not change with the scale, so the sum does for the mean.
        let mut best: Option<Key> = None;
        for (mode, profile) in [(Mode::Major, &MAJOR), (Mode::Minor, &MINOR)] {
            for tonic in 0..CLASSES {
                let turned: [f64; CLASSES] =
                    std::array::from_fn(|class| profile[(class + CLASSES - tonic) % CLASSES]);
                let correlation = pearson(&self.sum, &turned)? as f32;
                if best.is_none_or(|best| correlation > best.correlation) {
                    best = Some(Key {
                        tonic: tonic as u8,
                        mode,
                        correlation,
                    });
                }
            }
        }
        best
    }
}

/// Pearson's correlation; none where one side does not vary.
pub(crate) fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let count = a.len().min(b.len()) as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / count, b.iter().sum::<f64>() / count);
    let (mut both, mut all_a, mut all_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        all_a += a * a;
        all_b += b * b;
    }
    let norm = (all_a * all_b).sqrt();
    // Sums of what is all the same leave rounding errors, not zeros.
    (norm > 1e-12 * count * (mean_a * mean_b).abs()).then(|| (both / norm).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_their_keys() {
        let scale = |notes: &[usize]| {
            let mut chroma = MeanChroma::default();
            let classes = std::array::from_fn(|class| if notes.contains(&class) { 1.0 } else { 0.1 });
            chroma.push(&classes);
            chroma.key().map(|key| (key.tonic, key.mode))
        };
        // Triads tell apart a key and its relative, whose scales are the same.
        assert_eq!(scale(&[0, 4, 7]), Some((0, Mode::Major)));
        assert_eq!(scale(&[9, 0, 4]), Some((9, Mode::Minor)));
        assert_eq!(scale(&[6, 10, 1]), Some((6, Mode::Major)));
    }

    #[test]
    fn silence_and_noise_of_all_classes_alike_have_no_key() {
        let mut chroma = MeanChroma::default();
        assert_eq!(chroma.key(), None);
        for _ in 0..1_000 {
            chroma.push(&[0.3; CLASSES]);
        }
        assert_eq!(chroma.key(), None);
    }
}
