//! The less busy of two endpoints drawn at random: almost as even as asking all, at the cost of asking two
//! (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).

use super::Candidate;

#[derive(Debug)]
pub(super) struct LeastRequest {
    /// Index and weight.
    candidates: Box<[(usize, u64)]>,
}

// === impl LeastRequest ===

impl LeastRequest {
    pub(super) fn new(candidates: &[Candidate<'_>]) -> Self {
        let pairs = candidates
            .iter()
            .map(|candidate| (candidate.index, u64::from(candidate.weight.max(1))));
        Self {
            candidates: pairs.collect(),
        }
    }

    pub(super) fn pick(
        &self,
        random: u64,
        avoid: Option<usize>,
        load: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let len = self.candidates.len() as u64;
        if len < 2 {
            return self.candidates.first().map(|&(index, _)| index);
        }
        // Two halves of the random bits draw two different candidates, each pair as likely as any other.
        let first = ((random >> 32) * len) >> 32;
        let step = ((random & 0xffff_ffff) * (len - 1)) >> 32;
        let second = (first + 1 + step) % len;
        let (a, b) = (self.candidates[first as usize], self.candidates[second as usize]);
        if Some(a.0) == avoid {
            return Some(b.0);
        }
        if Some(b.0) == avoid {
            return Some(a.0);
        }
        // Compares (load + 1) / weight without dividing.
        let busy = |(index, _): (usize, u64)| load(index) as u64 + 1;
        let b_is_freer = busy(b) * a.1 < busy(a) * b.1;
        Some(if b_is_freer { b.0 } else { a.0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(weights: &[u32]) -> LeastRequest {
        let candidates = weights.iter().enumerate().map(|(index, &weight)| Candidate {
            index,
            weight,
            name: "",
        });
        LeastRequest::new(&candidates.collect::<Vec<_>>())
    }

    /// A small generator of well-mixed bits (splitmix64), so that the test is the same every time.
    fn bits(n: u64) -> u64 {
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn calls_that_never_end_spread_evenly() {
        let policy = policy(&[1; 10]);
        let mut loads = [0; 10];
        for n in 0..1_000 {
            let index = policy.pick(bits(n), None, |index| loads[index]).expect("someone");
            loads[index] += 1;
        }
        assert!(loads.iter().all(|load| (95..=105).contains(load)), "{loads:?}");
    }

    #[test]
    fn a_stuck_endpoint_gets_no_more_calls() {
        let policy = policy(&[1, 1, 1]);
        let loads = [1_000, 0, 0];
        assert!((0..1_000).all(|n| policy.pick(bits(n), None, |index| loads[index]) != Some(0)));
    }

    #[test]
    fn twice_the_weight_carries_twice_the_load() {
        let policy = policy(&[2, 1]);
        let mut loads = [0; 2];
        for n in 0..900 {
            let index = policy.pick(bits(n), None, |index| loads[index]).expect("someone");
            loads[index] += 1;
        }
        assert_eq!(loads, [600, 300]);
    }

    proptest! {
        #[test]
        fn every_draw_is_in_range_and_avoids_what_it_must(n in 1usize..20, random: u64, avoid in 0usize..20) {
            let picked = policy(&vec![1; n]).pick(random, Some(avoid), |_| 0).expect("someone");
            prop_assert!(picked < n);
            prop_assert!(n == 1 || picked != avoid);
        }
    }
}
