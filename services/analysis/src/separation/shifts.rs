//! The random shifts of demucs' "shift trick", repeatable by their seed on every machine and in every version.

/// Draws so many shifts, 0 to `most` samples each, from a seed: splitmix64 (Steele et al. 2014), scaled.
pub(super) fn draw(seed: u64, count: usize, most: usize) -> Vec<usize> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * (most as u128 + 1)) >> 64) as usize
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_shifts_for_ever() {
        assert_eq!(draw(7, 4, 22_050), [8_596, 370, 19_862, 12_854]);
        assert_eq!(draw(7, 2, 22_050), [8_596, 370]);
        assert_eq!(draw(u64::MAX, 3, 0), [0; 3]);
    }

    #[test]
    fn shifts_reach_both_ends() {
        let drawn = draw(1, 1_000, 9);
        assert!(drawn.iter().all(|shift| *shift <= 9));
        assert!((0..=9).all(|shift| drawn.contains(&shift)));
    }
}
