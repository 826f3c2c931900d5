//! Longer or shorter pauses: silence is put into them or cut out of their middle, where it is heard least.

use std::ops::Range;

/// Changes the pauses of one stream of audio, whose places are known before its audio.
#[derive(Debug)]
pub(super) struct Pauses {
    /// In order of place.
    edits: Vec<Edit>,
    /// Samples that came.
    taken: usize,
    /// The first edit that is not done yet.
    next: usize,
}

/// What is done at a place of the input.
#[derive(Debug, Clone, Copy)]
struct Edit {
    at: usize,
    drop: usize,
    insert: usize,
}

// === impl Pauses ===

impl Pauses {
    /// Makes each of `pauses`, in samples, in order and without overlap, `scale` times as long.
    pub(super) fn new(pauses: &[Range<usize>], scale: f32) -> Self {
        let change = |pause: &Range<usize>| {
            let wanted = (pause.len() as f32 * scale).round() as usize;
            let drop = pause.len().saturating_sub(wanted);
            Edit {
                at: pause.start + (pause.len() - drop) / 2,
                drop,
                insert: wanted.saturating_sub(pause.len()),
            }
        };
        let edits = pauses
            .iter()
            .map(change)
            .filter(|edit| edit.drop + edit.insert > 0);
        Self {
            edits: edits.collect(),
            taken: 0,
            next: 0,
        }
    }

    /// Takes samples and gives what they become.
    pub(super) fn push(&mut self, samples: Vec<f32>) -> Vec<f32> {
        let begin = self.taken;
        self.taken += samples.len();
        if self.next == self.edits.len() {
            return samples;
        }
        let mut out = Vec::with_capacity(samples.len());
        let mut at = begin;
        while let Some(edit) = self.edits.get(self.next).filter(|edit| edit.at < self.taken) {
            out.extend_from_slice(&samples[at - begin..edit.at.max(at) - begin]);
            if edit.at >= begin {
                out.resize(out.len() + edit.insert, 0.0);
            }
            let end = edit.at + edit.drop;
            at = end.clamp(at, self.taken);
            if end > self.taken {
                // The rest of it comes with the next samples.
                return out;
            }
            self.next += 1;
        }
        out.extend_from_slice(&samples[at - begin..]);
        out
    }

    /// Where a sample of the input is in the output.
    pub(super) fn moved(&self, at: usize) -> usize {
        let (mut more, mut less) = (0, 0);
        for edit in self.edits.iter().take_while(|edit| edit.at < at) {
            more += edit.insert;
            less += edit.drop.min(at - edit.at);
        }
        at + more - less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(scale: f32, size: usize) -> Vec<f32> {
        let input: Vec<f32> = (0..20).map(|at| at as f32).collect();
        let mut pauses = Pauses::new(&[4..8, 12..20], scale);
        input
            .chunks(size)
            .flat_map(|block| pauses.push(block.to_vec()))
            .collect()
    }

    #[test]
    fn pauses_are_cut_in_their_middle() {
        let expected = [0., 1., 2., 3., 4., 7., 8., 9., 10., 11., 12., 13., 18., 19.];
        for size in [1, 3, 7, 20] {
            assert_eq!(changed(0.5, size), expected, "{size}");
        }
        assert_eq!(changed(0.0, 20), [0., 1., 2., 3., 8., 9., 10., 11.]);
    }

    #[test]
    fn silence_is_put_into_their_middle() {
        for size in [1, 3, 7, 20] {
            let longer = changed(2.0, size);
            assert_eq!(longer.len(), 32, "{size}");
            assert_eq!(longer[4..12], [4., 5., 0., 0., 0., 0., 6., 7.], "{size}");
        }
    }

    #[test]
    fn places_move_with_their_sound() {
        let shorter = Pauses::new(&[4..8, 12..20], 0.5);
        let moved: Vec<_> = [0, 4, 8, 12, 20].map(|at| shorter.moved(at)).to_vec();
        assert_eq!(moved, [0, 4, 6, 10, 14]);
        let longer = Pauses::new(&[4..8, 12..20], 2.0);
        let moved: Vec<_> = [0, 4, 8, 12, 20].map(|at| longer.moved(at)).to_vec();
        assert_eq!(moved, [0, 4, 12, 16, 32]);
    }
}
