//! What each frame of the audio costs in each state: how far its cepstrum is from that of the synthetic speech.
//!
//! Both sides have their mean over speech taken off and are divided by the root of their deviation: coefficients then
//! count neither by their size alone nor all alike. Distances are given in units in which two frames that have nothing
//! to do with each other are about 1.3 apart, so that the prices of gaps and of steps are the same for all voices.

use std::ops::Range;

use super::front::WIDTH;
use super::voice::Kind;
use crate::trellis::Costs;

/// Frames and states that can be compared.
#[derive(Debug, Clone)]
pub(super) struct Compared {
    /// Row by row.
    audio: Vec<[f32; WIDTH]>,
    /// One row for each coefficient, so that states are compared several at a time.
    states: [Vec<f32>; WIDTH],
    kinds: Vec<Kind>,
    /// The states that are not spoken, in order.
    others: Vec<u32>,
    /// What a gap costs in each frame.
    gaps: Vec<f32>,
    /// What any sound costs.
    wild: f32,
    /// Distances are multiplied by this.
    unit: f32,
}

/// The mean and what to multiply with, for each coefficient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normal {
    mean: [f32; WIDTH],
    factor: [f32; WIDTH],
    /// The sum of all variances afterwards.
    variance: f32,
}

/// Sums over rows of cepstra.
#[derive(Debug, Clone, Default)]
pub(super) struct Moments {
    sum: [f64; WIDTH],
    square: [f64; WIDTH],
    count: f64,
}

/// What any sound costs where there is speech: less than what does not match, more than what does.
const WILD: f32 = 0.95;
/// What speech behind the last known word costs.
const REST: f32 = 0.85;
/// The distance of frames that have nothing to do with each other, and how their mean relates to their mean square.
const APART: f32 = 1.3;
const MEAN: f32 = 0.975;

// === impl Moments ===

impl Moments {
    /// Takes a row of cepstra.
    pub(super) fn add(&mut self, row: &[f32]) {
        self.count += 1.0;
        for (at, value) in row.iter().enumerate() {
            self.sum[at] += f64::from(*value);
            self.square[at] += f64::from(*value) * f64::from(*value);
        }
    }

    /// The mean, and what to divide by.
    pub(super) fn normal(&self) -> Normal {
        let count = self.count.max(1.0);
        let mean = self.sum.map(|sum| sum / count);
        let mut variance = 0.0;
        let mut factor = [1.0_f32; WIDTH];
        for at in 0..WIDTH {
            let deviation = (self.square[at] / count - mean[at] * mean[at]).max(1e-6).sqrt();
            factor[at] = (1.0 / deviation.sqrt()) as f32;
            // (deviation / √deviation)²
            variance += deviation;
        }
        Normal {
            mean: mean.map(|mean| mean as f32),
            factor,
            variance: variance as f32,
        }
    }
}

// === impl Normal ===

impl Normal {
    /// A row with the mean taken off, divided by the root of the deviation.
    pub(super) fn apply(&self, row: &[f32]) -> [f32; WIDTH] {
        std::array::from_fn(|at| (row[at] - self.mean[at]) * self.factor[at])
    }
}

// === impl Compared ===

impl Compared {
    /// Of rows that are normal, and what gaps cost in each frame.
    pub(super) fn new(
        audio: Vec<[f32; WIDTH]>,
        states: &[[f32; WIDTH]],
        kinds: Vec<Kind>,
        gaps: Vec<f32>,
        unit: f32,
    ) -> Self {
        let others = kinds
            .iter()
            .enumerate()
            .filter(|(_, kind)| **kind != Kind::Spoken);
        let mut compared = Self {
            audio,
            states: std::array::from_fn(|_| Vec::new()),
            others: others.map(|(state, _)| state as u32).collect(),
            kinds,
            gaps,
            wild: WILD,
            unit,
        };
        compared.set(states);
        compared
    }

    /// What to multiply distances with.
    pub(super) fn unit(heard: &Normal, said: &Normal) -> f32 {
        APART / (MEAN * (heard.variance + said.variance).sqrt()).max(1e-3)
    }

    /// As this, of other rows.
    pub(super) fn like(
        &self,
        audio: Vec<[f32; WIDTH]>,
        states: &[[f32; WIDTH]],
        kinds: Vec<Kind>,
        gaps: Vec<f32>,
    ) -> Self {
        Self::new(audio, states, kinds, gaps, self.unit)
    }

    /// Compares with other states, as many as before.
    pub(super) fn set(&mut self, states: &[[f32; WIDTH]]) {
        self.states = std::array::from_fn(|at| states.iter().map(|row| row[at]).collect());
    }

    /// A frame of the audio.
    pub(super) fn frame(&self, frame: usize) -> &[f32; WIDTH] {
        &self.audio[frame]
    }

    /// What a gap costs in a frame.
    pub(super) fn gap(&self, frame: usize) -> f32 {
        self.gaps[frame]
    }

    /// How much of each frame is speech, by what a gap costs there.
    pub(super) fn speech(&self) -> Vec<f32> {
        let least = self.gaps.iter().copied().fold(f32::INFINITY, f32::min);
        self.gaps.iter().map(|gap| gap - least).collect()
    }

    /// How a state is matched.
    pub(super) fn kind(&self, state: usize) -> Kind {
        self.kinds[state]
    }

    /// The number of states.
    pub(super) const fn states(&self) -> usize {
        self.kinds.len()
    }

    /// What one frame costs in one state.
    pub(super) fn cost(&self, frame: usize, state: usize) -> f32 {
        let mut cost = [0.0];
        self.fill(frame, state..state + 1, &mut cost);
        cost[0]
    }

    fn other(&self, frame: usize, state: usize) -> f32 {
        match self.kinds[state] {
            // Silence is no sound.
            Kind::Wild => self.wild.max(2.0 * self.wild - self.gaps[frame]),
            Kind::Rest => self.gaps[frame].min(REST),
            Kind::Gap | Kind::Spoken => self.gaps[frame],
        }
    }
}

impl Costs for Compared {
    fn frames(&self) -> usize {
        self.audio.len()
    }

    fn fill(&self, frame: usize, states: Range<usize>, costs: &mut [f32]) {
        let audio = &self.audio[frame];
        // A stretch at a time, so that the sums stay in the cache.
        const STRETCH: usize = 256;
        let mut sums = [0.0_f32; STRETCH];
        for (stretch, out) in costs.chunks_mut(STRETCH).enumerate() {
            let from = states.start + stretch * STRETCH;
            let sums = &mut sums[..out.len()];
            sums.fill(0.0);
            for (coefficient, row) in audio.iter().zip(&self.states) {
                for (sum, value) in sums.iter_mut().zip(&row[from..]) {
                    let apart = coefficient - value;
                    *sum += apart * apart;
                }
            }
            for (cost, sum) in out.iter_mut().zip(sums) {
                *cost = sum.sqrt() * self.unit;
            }
        }
        let first = self
            .others
            .partition_point(|state| (*state as usize) < states.start);
        for state in self.others[first..].iter().map(|state| *state as usize) {
            if state >= states.end {
                break;
            }
            costs[state - states.start] = self.other(frame, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lose_their_mean_and_half_of_their_deviation() {
        let rows: Vec<Vec<f32>> = (0..100)
            .map(|n| {
                (0..WIDTH)
                    .map(|at| (if n % 2 == 0 { 1.0 } else { -1.0 }) * (at + 1) as f32 + 7.0)
                    .collect()
            })
            .collect();
        let mut moments = Moments::default();
        rows.iter().for_each(|row| moments.add(row));
        let normal = moments.normal();
        let row = normal.apply(&rows[0]);
        for (at, value) in row.iter().enumerate() {
            assert!((value - ((at + 1) as f32).sqrt()).abs() < 1e-3, "{at}: {value}");
        }
    }

    #[test]
    fn distances_are_those_of_the_formula() {
        let normal = Normal {
            mean: [0.0; WIDTH],
            factor: [1.0; WIDTH],
            variance: 2.0,
        };
        let states: Vec<[f32; WIDTH]> = (0..600).map(|n| [n as f32; WIDTH]).collect();
        let mut kinds = vec![Kind::Spoken; 600];
        kinds[300] = Kind::Gap;
        let compared = Compared::new(
            vec![[1.0; WIDTH]],
            &states,
            kinds,
            vec![0.25],
            Compared::unit(&normal, &normal),
        );
        let unit = APART / (MEAN * 2.0);
        let mut costs = vec![0.0; 580];
        compared.fill(0, 10..590, &mut costs);
        for (state, cost) in (10..590).zip(&costs) {
            let expected = if state == 300 {
                0.25
            } else {
                (state as f32 - 1.0).abs() * (WIDTH as f32).sqrt() * unit
            };
            assert!(
                (cost - expected).abs() < 1e-3 * expected,
                "state {state}: {cost} for {expected}"
            );
        }
    }
}
