//! The synthetic voice moved towards the speaker's: an affine map of cepstra, fitted on the frames that a first search
//! put together and held near to no change at all (ridge regression).
//!
//! The throats of two speakers differ about linearly in the cepstrum (Leggetter and Woodland 1995 adapt models so).

use super::front::WIDTH;

/// `out = in · matrix + the last row`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adaptation {
    rows: [[f32; WIDTH]; SIZE],
}

/// Coefficients and a constant.
const SIZE: usize = WIDTH + 1;
/// How many frames "no change" counts for. Chosen on read speech, see tests/eval/align.py.
const RIDGE: f64 = 100.0;

/// Sums over pairs from which a map is fitted.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    from: [[f64; SIZE]; SIZE],
    to: [[f64; WIDTH]; SIZE],
    square: f64,
    pairs: f64,
}

// === impl Fit ===

impl Fit {
    pub(super) const fn new() -> Self {
        Self {
            from: [[0.0; SIZE]; SIZE],
            to: [[0.0; WIDTH]; SIZE],
            square: 0.0,
            pairs: 0.0,
        }
    }

    /// A frame of synthetic speech, and one of the audio that is the same sound.
    pub(super) fn add(&mut self, said: &[f32; WIDTH], heard: &[f32; WIDTH]) {
        let with_one: [f64; SIZE] =
            std::array::from_fn(|at| said.get(at).map_or(1.0, |value| f64::from(*value)));
        for (row, value) in with_one.iter().enumerate() {
            for (cell, other) in self.from[row].iter_mut().zip(&with_one) {
                *cell += value * other;
            }
            for (cell, other) in self.to[row].iter_mut().zip(heard) {
                *cell += value * f64::from(*other);
            }
        }
        self.square += said.iter().map(|value| f64::from(value * value)).sum::<f64>();
        self.pairs += 1.0;
    }

    /// The map; none if there is nothing to fit it on.
    pub(super) fn solve(mut self) -> Option<Adaptation> {
        if self.pairs < 1.0 {
            return None;
        }
        let ridge = RIDGE * (self.square / (self.pairs * WIDTH as f64)).max(1e-6);
        for at in 0..SIZE {
            self.from[at][at] += ridge;
            if at < WIDTH {
                self.to[at][at] += ridge;
            }
        }
        // Gauss: the matrix is symmetric with a ridge, so no pivot is near 0.
        for pivot in 0..SIZE {
            let head = self.from[pivot][pivot];
            if head.abs() < 1e-12 {
                return None;
            }
            let (from, to) = (self.from[pivot], self.to[pivot]);
            for row in (0..SIZE).filter(|row| *row != pivot) {
                let factor = self.from[row][pivot] / head;
                for (cell, value) in self.from[row].iter_mut().zip(&from) {
                    *cell -= factor * value;
                }
                for (cell, value) in self.to[row].iter_mut().zip(&to) {
                    *cell -= factor * value;
                }
            }
        }
        let rows = std::array::from_fn(|row| self.to[row].map(|value| (value / self.from[row][row]) as f32));
        Some(Adaptation { rows })
    }
}

// === impl Adaptation ===

impl Adaptation {
    pub(super) fn apply(&self, said: &[f32; WIDTH]) -> [f32; WIDTH] {
        let mut out = self.rows[WIDTH];
        for (value, row) in said.iter().zip(&self.rows) {
            for (out, factor) in out.iter_mut().zip(row) {
                *out += value * factor;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(n: usize) -> ([f32; WIDTH], [f32; WIDTH]) {
        let said: [f32; WIDTH] = std::array::from_fn(|at| ((n * 31 + at * 17) % 23) as f32 / 11.0 - 1.0);
        let heard = std::array::from_fn(|at| 1.5 * said[at] - 0.5 * said[(at + 1) % WIDTH] + 0.25);
        (said, heard)
    }

    #[test]
    fn a_map_is_found_from_many_pairs_and_hardly_any_from_few() {
        let error = |count: usize| {
            let mut fit = Fit::new();
            for n in 0..count {
                let (said, heard) = pair(n);
                fit.add(&said, &heard);
            }
            let map = fit.solve().expect("pairs");
            let (said, heard) = pair(7);
            let found = map.apply(&said);
            (0..WIDTH)
                .map(|at| (found[at] - heard[at]).abs())
                .fold(0.0, f32::max)
        };
        assert!(error(100_000) < 0.02, "{}", error(100_000));
        assert!(error(3) > 0.2, "{}", error(3));
        assert_eq!(Fit::new().solve(), None);
    }
}
