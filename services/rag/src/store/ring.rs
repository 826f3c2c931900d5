//! Which replica keeps which space: a ring of hashes, so that few spaces move when a replica comes or goes.

use twox_hash::XxHash64;

use crate::scope::SpaceKey;

/// The ring.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    /// Points of the ring in order, and the replica each belongs to.
    points: Vec<(u64, usize)>,
}

/// Points of each replica: so many that shares differ by a few parts in a hundred.
const POINTS: usize = 160;
/// Any number does, as long as all replicas have the same.
const SEED: u64 = 0;

// === impl Ring ===

impl Ring {
    pub(super) fn new(replicas: usize) -> Self {
        let mut points: Vec<(u64, usize)> = (0..replicas)
            .flat_map(|replica| {
                (0..POINTS).map(move |point| {
                    let name = format!("replica-{replica}-{point}");
                    (XxHash64::oneshot(SEED, name.as_bytes()), replica)
                })
            })
            .collect();
        points.sort_unstable();
        Self { points }
    }

    pub(super) fn owner(&self, space: SpaceKey) -> usize {
        self.owner_of(space.number())
    }

    pub(super) fn owner_of(&self, space: i64) -> usize {
        let hash = XxHash64::oneshot(SEED, &space.to_le_bytes());
        let at = self.points.partition_point(|(point, _)| *point < hash);
        self.points
            .get(at)
            .or_else(|| self.points.first())
            .map_or(0, |(_, replica)| *replica)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_share_evenly_and_few_spaces_move_when_one_comes() {
        let (three, four) = (Ring::new(3), Ring::new(4));
        let spaces = 1..=10_000;
        let mut shares = [0_usize; 3];
        for space in spaces.clone() {
            shares[three.owner_of(space)] += 1;
        }
        assert!(
            shares.iter().all(|share| (2_600..4_100).contains(share)),
            "{shares:?}"
        );
        let moved = spaces.filter(|&space| three.owner_of(space) != four.owner_of(space));
        let moved: Vec<i64> = moved.collect();
        assert!((1_500..3_500).contains(&moved.len()), "{}", moved.len());
        assert!(
            moved.iter().all(|&space| four.owner_of(space) == 3),
            "only to the one that came"
        );
        assert_eq!(Ring::new(1).owner_of(7), 0);
    }
}
