//! The same key goes to the same endpoint, and one endpoint less moves only the keys it had.
//!
//! A ring of 64-bit points: each endpoint stands at many of them, by its weight; a key goes to the first point at or
//! after its own hash. As in Envoy, a point is xxHash64 with seed 0 of `address_n`. Unlike in Envoy, how many points an
//! endpoint has does not depend on its neighbours: Envoy keeps the size of the ring, so that the endpoints which stay
//! gain points when one goes, and keys move between them that had no need to.

use twox_hash::XxHash64;

use super::{Candidate, Choice};

/// Points for one unit of weight: shares then differ by some 6 % (one over the root of it).
const POINTS: u32 = 256;
/// Points on the ring, at most, of 16 bytes each. Only large weights reach it; points per weight then shrink.
const MAX_POINTS: u32 = 65_536;

#[derive(Debug)]
pub(super) struct RingHash {
    /// Hash and index, in order of hash.
    points: Box<[(u64, usize)]>,
}

// === impl RingHash ===

impl RingHash {
    pub(super) fn new(candidates: &[Candidate<'_>]) -> Self {
        let total = candidates
            .iter()
            .map(|candidate| candidate.weight)
            .fold(0, u32::saturating_add);
        let per_weight = (MAX_POINTS / total.max(1)).clamp(1, POINTS);
        let mut points = Vec::with_capacity((total * per_weight) as usize);
        let mut name = String::new();
        for candidate in candidates {
            for nth in 0..candidate.weight * per_weight {
                name.clear();
                name.push_str(candidate.name);
                name.push('_');
                name.push_str(itoa(nth, &mut [0; 10]));
                points.push((XxHash64::oneshot(0, name.as_bytes()), candidate.index));
            }
        }
        points.sort_unstable();
        Self {
            points: points.into(),
        }
    }

    pub(super) fn pick(&self, choice: Choice<'_>) -> Option<usize> {
        if self.points.is_empty() {
            return None;
        }
        let hash = choice.key.map_or(choice.random, |key| XxHash64::oneshot(0, key));
        let start = self.points.partition_point(|&(point, _)| point < hash);
        let at = |step: usize| self.points[(start + step) % self.points.len()].1;
        let other = (0..self.points.len())
            .map(at)
            .find(|&index| Some(index) != choice.avoid);
        Some(other.unwrap_or_else(|| at(0)))
    }
}

/// The decimal digits of a number, without an allocation for each of a thousand points.
fn itoa(mut number: u32, buffer: &mut [u8; 10]) -> &str {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(names: &[String], without: Option<usize>) -> RingHash {
        let candidates = names
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != without);
        let candidates = candidates.map(|(index, name)| Candidate {
            index,
            weight: 1,
            name,
        });
        RingHash::new(&candidates.collect::<Vec<_>>())
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|n| format!("10.0.0.{n}:7001")).collect()
    }

    fn place(ring: &RingHash, key: &str) -> usize {
        let choice = Choice {
            key: Some(key.as_bytes()),
            random: 0,
            avoid: None,
        };
        ring.pick(choice).expect("someone")
    }

    #[test]
    fn the_hash_is_xxhash64_with_seed_0() {
        // Published test vectors of the algorithm.
        assert_eq!(XxHash64::oneshot(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(XxHash64::oneshot(0, b"a"), 0xd24e_c4f1_a98c_6e5b);
    }

    #[test]
    fn a_call_without_the_header_goes_anywhere() {
        let ring = ring(&names(4), None);
        let pick = |random| {
            ring.pick(Choice {
                key: None,
                random,
                avoid: None,
            })
        };
        let step = u64::MAX / 64;
        let picked = (0..64)
            .map(|n| pick(n * step))
            .collect::<std::collections::HashSet<_>>();
        assert_eq!(picked.len(), 4);
        assert_eq!(
            RingHash::new(&[]).pick(Choice {
                key: None,
                random: 0,
                avoid: None
            }),
            None
        );
    }

    #[test]
    fn an_endpoint_to_avoid_gives_way_to_its_neighbour_on_the_ring() {
        let ring = ring(&names(3), None);
        let first = place(&ring, "session");
        let avoid = |avoid| {
            ring.pick(Choice {
                key: Some(b"session"),
                random: 0,
                avoid,
            })
        };
        let second = avoid(Some(first)).expect("someone");
        assert_ne!(first, second);
        assert_eq!(avoid(Some(first)), Some(second));
    }

    #[test]
    fn weights_show_on_the_ring() {
        let candidates = [("a:1", 3), ("b:1", 1)];
        let candidates = candidates
            .iter()
            .enumerate()
            .map(|(index, &(name, weight))| Candidate { index, weight, name });
        let ring = RingHash::new(&candidates.collect::<Vec<_>>());
        let heavy = ring.points.iter().filter(|(_, index)| *index == 0).count();
        assert_eq!((ring.points.len(), heavy), (1024, 768));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn removing_one_of_n_moves_its_keys_and_no_others(n in 2usize..12, gone in 0usize..12) {
            const KEYS: usize = 2_000;
            let (names, gone) = (names(n), gone % n);
            let (before, after) = (ring(&names, None), ring(&names, Some(gone)));
            let mut moved = 0;
            for key in 0..KEYS {
                let key = format!("session-{key}");
                let (was, is) = (place(&before, &key), place(&after, &key));
                prop_assert!(was == gone || was == is, "{key} moved from {was} to {is} though {gone} went");
                moved += usize::from(was == gone);
            }
            prop_assert!((moved as f64) < KEYS as f64 * 1.4 / n as f64, "{moved} of {KEYS} moved, n = {n}");
        }
    }
}
