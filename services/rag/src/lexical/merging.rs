//! Which segments of an index of words become one.
//!
//! Every segment costs a search the same again, so there are few: each is more than [`RATIO`] times as large as all smaller
//! ones together, which makes some log₃ n of them, and a passage is written again some log₃ n times. tantivy's own policy lets seven
//! small ones stand, and never takes deleted passages out of a segment, though they count in how rare a word is.

use tantivy::index::{SegmentId, SegmentMeta};
use tantivy::merge_policy::{MergeCandidate, MergePolicy};

/// Merges geometrically.
#[derive(Debug)]
pub(super) struct Merging;

const RATIO: u64 = 2;
/// A segment of which less than this share is alive is written anew.
const ALIVE: f64 = 0.8;

// === impl Merging ===

impl MergePolicy for Merging {
    fn compute_merge_candidates(&self, segments: &[SegmentMeta]) -> Vec<MergeCandidate> {
        let sizes = segments.iter().map(|segment| {
            let (alive, all) = (segment.num_docs(), segment.max_doc());
            (segment.id(), u64::from(alive), u64::from(all))
        });
        let merged = chosen(sizes.collect());
        merged
            .into_iter()
            .filter(|segments| !segments.is_empty())
            .map(MergeCandidate)
            .collect()
    }
}

/// Segments that become one, each group by itself, of segments with the passages alive in them and all.
fn chosen(mut segments: Vec<(SegmentId, u64, u64)>) -> Vec<Vec<SegmentId>> {
    segments.sort_unstable_by_key(|(id, alive, _)| (*alive, *id));
    let (mut smaller, mut together) = (0, 0);
    for (at, (_, alive, _)) in segments.iter().enumerate() {
        if at > 0 && smaller * RATIO >= *alive {
            together = at + 1;
        }
        smaller += alive;
    }
    let rest = segments.split_off(together);
    let anew = rest
        .into_iter()
        .filter(|(_, alive, all)| (*alive as f64) < *all as f64 * ALIVE)
        .map(|(id, ..)| vec![id]);
    let together = segments.into_iter().map(|(id, ..)| id).collect();
    std::iter::once(together).chain(anew).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> SegmentId {
        SegmentId::from_uuid_string(&format!("{number:032x}")).expect("an id")
    }

    /// Merges until nothing is chosen; gives the sizes and how many passages were written again.
    fn settle(sizes: &mut Vec<u64>) -> u64 {
        let mut written = 0;
        loop {
            let segments = sizes.iter().enumerate().map(|(at, size)| (id(at), *size, *size));
            let group = chosen(segments.collect()).remove(0);
            if group.is_empty() {
                return written;
            }
            let size = (0..sizes.len()).filter(|at| group.contains(&id(*at)));
            let size: u64 = size.map(|at| sizes[at]).sum();
            let mut at = 0;
            sizes.retain(|_| {
                at += 1;
                !group.contains(&id(at - 1))
            });
            sizes.push(size);
            written += size;
        }
    }

    #[test]
    fn segments_stay_few_and_are_seldom_written_again() {
        let (mut sizes, mut written) = (Vec::new(), 0);
        let (batches, each) = (2_000, 50);
        for _ in 0..batches {
            sizes.push(each);
            written += settle(&mut sizes);
            assert!(sizes.len() <= 8, "{sizes:?}");
        }
        assert_eq!(sizes.iter().sum::<u64>(), batches * each);
        assert!(written < 12 * batches * each, "{written}");
    }

    #[test]
    fn a_segment_that_is_mostly_dead_is_written_anew() {
        let segments = vec![(id(0), 70, 100), (id(1), 1_000, 1_100), (id(2), 10_000, 10_000)];
        assert_eq!(chosen(segments), [vec![], vec![id(0)]]);
        assert_eq!(chosen(vec![(id(0), 0, 5)]), [vec![], vec![id(0)]]);
    }
}
