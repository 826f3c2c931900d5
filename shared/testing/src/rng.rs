//! Repeatable chance for fuzzing: the same seed gives the same bytes on every machine. Not for secrets.

/// Marsaglia's xorshift64 with Vigna's multiplier (xorshift64*).
#[derive(Debug, Clone)]
pub struct Rng(u64);

// === impl Rng ===

impl Rng {
    /// A generator; any seed will do.
    pub const fn new(seed: u64) -> Self {
        // The state must not be zero, and near seeds must not give near beginnings.
        Self((seed ^ 0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number in `0..bound`, as good as even.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub const fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing is below 0");
        ((self.next_u64() as u128 * bound as u128) >> 64) as usize
    }

    /// A number in `0.0..1.0`.
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Fills a buffer.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A copy of `bytes` with one to `most` small injuries: a bit flipped, a byte replaced, a piece cut out, doubled or
    /// zeroed, the end cut off.
    pub fn mutate(&mut self, bytes: &[u8], most: usize) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(most.max(1)) {
            if out.is_empty() {
                break;
            }
            let at = self.below(out.len());
            let len = 1 + self.below(16.min(out.len() - at));
            match self.below(6) {
                0 => out[at] ^= 1 << self.below(8),
                1 => out[at] = self.next_u64().to_le_bytes()[0],
                2 => drop(out.drain(at..at + len)),
                3 => {
                    let piece = out[at..at + len].to_vec();
                    out.splice(at..at, piece);
                }
                4 => out[at..at + len].fill(0),
                _ => out.truncate(at),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn numbers_stay_in_range_and_reach_all_of_it() {
        let mut rng = Rng::new(1);
        let mut seen = [0; 6];
        for _ in 0..6000 {
            seen[rng.below(6)] += 1;
            assert!((0.0..1.0).contains(&rng.unit()));
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
    }

    #[test]
    fn injuries_injure() {
        let mut rng = Rng::new(2);
        let sound: Vec<u8> = (0..100).map(|n| n + 100).collect();
        let changed = (0..100).filter(|_| rng.mutate(&sound, 3) != sound).count();
        assert!(changed > 90, "{changed}");
        assert!(rng.mutate(&[], 3).is_empty());
    }
}
