//! Each endpoint in its turn, by weight, and the heavy ones not all at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Candidate;

/// A schedule that is walked round and round.
#[derive(Debug)]
pub(super) struct RoundRobin {
    schedule: Box<[usize]>,
    next: AtomicUsize,
}

// === impl RoundRobin ===

impl RoundRobin {
    /// Lays the schedule by smooth weighted round robin: in each step every endpoint gains its weight, the richest is
    /// taken and pays the sum of all. Weights 3, 1 give A A B A and not A A A B.
    pub(super) fn new(candidates: &[Candidate<'_>]) -> Self {
        let divisor = candidates
            .iter()
            .fold(0, |gcd, candidate| common_divisor(gcd, candidate.weight))
            .max(1);
        let weights = candidates
            .iter()
            .map(|candidate| i64::from(candidate.weight / divisor));
        let weights = weights.collect::<Vec<_>>();
        let total: i64 = weights.iter().sum();
        let mut credit = vec![0; weights.len()];
        let schedule = (0..total).map(|_| {
            let mut richest = 0;
            for at in 0..weights.len() {
                credit[at] += weights[at];
                if credit[at] > credit[richest] {
                    richest = at;
                }
            }
            credit[richest] -= total;
            candidates[richest].index
        });
        Self {
            schedule: schedule.collect(),
            next: AtomicUsize::new(0),
        }
    }

    pub(super) fn pick(&self, avoid: Option<usize>) -> Option<usize> {
        let len = self.schedule.len();
        if len == 0 {
            return None;
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = |step: usize| self.schedule[start.wrapping_add(step) % len];
        let other = (0..len).map(turn).find(|&index| Some(index) != avoid);
        Some(other.unwrap_or_else(|| turn(0)))
    }
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[u32], n: usize) -> Vec<usize> {
        let candidates = weights.iter().enumerate().map(|(index, &weight)| Candidate {
            index,
            weight,
            name: "",
        });
        let policy = RoundRobin::new(&candidates.collect::<Vec<_>>());
        (0..n).map(|_| policy.pick(None).expect("someone")).collect()
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(picks(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(picks(&[64, 64], 4), [0, 1, 0, 1]);
    }

    #[test]
    fn weights_are_kept_exactly_and_spread() {
        assert_eq!(picks(&[3, 1], 4), [0, 0, 1, 0]);
        let many = picks(&[5, 3, 2], 1_000);
        for (index, share) in [500, 300, 200].into_iter().enumerate() {
            assert_eq!(many.iter().filter(|&&pick| pick == index).count(), share);
        }
    }

    #[test]
    fn an_endpoint_to_avoid_is_taken_only_if_alone() {
        let one = [Candidate {
            index: 7,
            weight: 1,
            name: "",
        }];
        assert_eq!(RoundRobin::new(&one).pick(Some(7)), Some(7));
        let two = [0, 1].map(|index| Candidate {
            index,
            weight: 1,
            name: "",
        });
        let policy = RoundRobin::new(&two);
        assert!((0..10).all(|_| policy.pick(Some(0)) == Some(1)));
        assert_eq!(RoundRobin::new(&[]).pick(None), None);
    }
}
