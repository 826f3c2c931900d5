//! How far a recording is from concert pitch, as librosa's `estimate_tuning` inside of `chroma_stft`.
//!
//! Peaks of each power spectrum between 150 and 4,000 Hz, no lower than a tenth of its maximum, are placed between the
//! bins by a parabola. Of the louder half of all peaks, the commonest distance to the nearest semitone, to a hundredth,
//! is the tuning.

use super::chroma::octaves;

/// Steps of the answer in a semitone.
const STEPS: usize = 100;
const LOWEST_HZ: f64 = 150.0;
const HIGHEST_HZ: f64 = 4_000.0;
/// Peaks must reach this share of their spectrum's maximum.
const SHARE: f64 = 0.1;
/// Peaks that are kept: about five hours of music with librosa's frames. Later ones change nothing.
const MOST_PEAKS: usize = 8 << 20;

/// Gathers peaks.
#[derive(Debug, Clone)]
pub struct Tuning {
    bin_hz: f64,
    /// The bins that are looked at.
    first: usize,
    end: usize,
    /// The height of each peak, and which step of a semitone it is on.
    heights: Vec<f32>,
    steps: Vec<u8>,
}

// === impl Tuning ===

impl Tuning {
    /// For transforms of `size` samples at `rate` Hz.
    pub fn new(size: usize, rate: f64) -> Self {
        let bin_hz = rate / size as f64;
        let highest = HIGHEST_HZ.min(rate / 2.0);
        let bins = size / 2 + 1;
        Self {
            bin_hz,
            first: ((LOWEST_HZ / bin_hz).ceil() as usize).max(1),
            // The last bin has no neighbour.
            end: ((highest / bin_hz).ceil() as usize).min(bins - 1),
            heights: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Takes the peaks of a spectrum.
    pub fn push(&mut self, power: &[f64]) {
        let least = SHARE * power.iter().copied().fold(0.0, f64::max);
        let above = |bin: usize| if power[bin] > least { power[bin] } else { 0.0 };
        for bin in self.first..self.end {
            let (before, here, after) = (above(bin - 1), above(bin), above(bin + 1));
            if here <= before || here < after || self.heights.len() == MOST_PEAKS {
                continue;
            }
            let curve = power[bin + 1] + power[bin - 1] - 2.0 * here;
            let slope = (power[bin + 1] - power[bin - 1]) / 2.0;
            let shift = if slope.abs() >= curve.abs() {
                0.0
            } else {
                -slope / curve
            };
            let semitones = 12.0 * octaves((bin as f64 + shift) * self.bin_hz, 0.0);
            self.heights.push((here + 0.5 * slope * shift) as f32);
            self.steps.push(step(semitones));
        }
    }

    /// The tuning in semitones, -0.5 to 0.49; 0 where nothing was heard.
    pub fn estimate(&self) -> f64 {
        if self.heights.is_empty() {
            return 0.0;
        }
        let threshold = median(&mut self.heights.clone());
        let mut counts = [0u32; STEPS];
        for (height, step) in self.heights.iter().zip(&self.steps) {
            if f64::from(*height) >= threshold {
                counts[usize::from(*step)] += 1;
            }
        }
        let mut best = 0;
        for (step, count) in counts.iter().enumerate() {
            // Of equals the first, as librosa.
            if *count > counts[best] {
                best = step;
            }
        }
        edge(best)
    }
}

/// Where step `step` begins, in semitones.
fn edge(step: usize) -> f64 {
    step as f64 / STEPS as f64 - 0.5
}

/// The step that a pitch is on.
fn step(semitones: f64) -> u8 {
    let mut away = semitones.rem_euclid(1.0);
    if away >= 0.5 {
        away -= 1.0;
    }
    let guess = ((away + 0.5) * STEPS as f64)
        .floor()
        .clamp(0.0, (STEPS - 1) as f64) as usize;
    // Multiplying may round over an edge.
    let step = if away < edge(guess) {
        guess.saturating_sub(1)
    } else if guess + 1 < STEPS && away >= edge(guess + 1) {
        guess + 1
    } else {
        guess
    };
    step as u8
}

/// The middle value, or the mean of the two in the middle. `values` has some, and is left in another order.
pub(crate) fn median(values: &mut [f32]) -> f64 {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    let upper = f64::from(*upper);
    if !is_even {
        return upper;
    }
    let lower = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (f64::from(lower) + upper) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_all_as_sharp_give_that_tuning() {
        let (size, rate) = (16_384, 22_050.0);
        for sharp in [-0.312, 0.0, 0.173, 0.444] {
            let mut tuning = Tuning::new(size, rate);
            for semitone in [36, 40, 43, 48, 52] {
                let hz = 27.5 * ((f64::from(semitone) + sharp + 0.005) / 12.0).exp2();
                let at = hz / rate * size as f64;
                // A parabola with its top exactly there.
                let power: Vec<f64> = (0..=size / 2)
                    .map(|bin| (100.0 - (bin as f64 - at).powi(2)).max(0.0))
                    .collect();
                tuning.push(&power);
            }
            let found = tuning.estimate();
            assert!((found - sharp).abs() <= 0.010_001, "{sharp}: {found}");
        }
    }

    #[test]
    fn silence_is_in_tune() {
        let mut tuning = Tuning::new(2_048, 22_050.0);
        tuning.push(&[0.0; 1_025]);
        assert!(tuning.estimate().abs() < 1e-12);
    }

    #[test]
    fn every_edge_belongs_to_the_step_that_it_begins() {
        for n in 0..STEPS {
            assert_eq!(usize::from(step(edge(n) + 7.0 + 1e-12)), n);
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert!((median(&mut [3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&mut [4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
