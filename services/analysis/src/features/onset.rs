//! How strongly notes begin: the rise of mel bands from one frame to the next, as librosa's `onset.onset_strength`
//! (Böck and Widmer 2013 without the maximum filter).

use std::collections::VecDeque;

use super::tuning::median;

/// The rise from one frame to the next over all bands.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rise {
    /// Its mean, in decibel: librosa's onset strength.
    pub mean: f32,
    /// Its median, in decibel: what librosa tracks beats in.
    pub median: f32,
}

/// Compares each frame with the one before it.
#[derive(Debug, Clone)]
pub struct Onsets {
    before: Vec<f32>,
    /// How many frames later a rise is told, so that it is at the middle of the sound that rose.
    delay: usize,
    seen: usize,
    waiting: VecDeque<Rise>,
    scratch: Vec<f32>,
}

// === impl Onsets ===

impl Onsets {
    /// For transforms of `size` samples every `hop`.
    pub fn new(size: usize, hop: usize) -> Self {
        Self {
            before: Vec::new(),
            delay: 1 + size / (2 * hop),
            seen: 0,
            waiting: VecDeque::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes the bands of a frame in decibel, and gives the strength of the onset at that frame. Bands are raised to
    /// `least` on both sides of the comparison.
    pub fn push(&mut self, decibels: &[f32], least: f32) -> Rise {
        if self.seen > 0 {
            let rise = |(now, before): (&f32, &f32)| (now.max(least) - before.max(least)).max(0.0);
            self.scratch.clear();
            self.scratch.extend(decibels.iter().zip(&self.before).map(rise));
            let sum: f64 = self.scratch.iter().map(|rise| f64::from(*rise)).sum();
            self.waiting.push_back(Rise {
                mean: (sum / self.scratch.len() as f64) as f32,
                median: median(&mut self.scratch) as f32,
            });
        }
        self.before.clear();
        self.before.extend_from_slice(decibels);
        self.seen += 1;
        if self.seen <= self.delay {
            return Rise::default();
        }
        self.waiting.pop_front().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_told_where_its_sound_is_and_a_fall_is_none() {
        let mut onsets = Onsets::new(8, 4); // two frames late
        let frames = [[0.0, 0.0, 0.0], [6.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 3.0]];
        let found: Vec<(f32, f32)> = frames
            .iter()
            .chain([&[0.0; 3]; 2])
            .map(|frame| onsets.push(frame, -80.0))
            .map(|rise| (rise.mean, rise.median))
            .collect();
        assert_eq!(
            found,
            [
                (0.0, 0.0),
                (0.0, 0.0),
                (3.0, 3.0),
                (0.0, 0.0),
                (1.0, 0.0),
                (0.0, 0.0)
            ]
        );
    }

    #[test]
    fn what_lies_below_the_least_does_not_rise() {
        let mut onsets = Onsets::new(2, 64);
        onsets.push(&[-90.0], -50.0);
        assert_eq!(onsets.push(&[-45.0], -50.0).mean, 5.0);
    }
}
