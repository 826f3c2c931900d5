//! How long each id is heard: where a graph knows it, and what is said where it does not.

use super::super::graph::Graph;
use super::super::phonemes::{Symbol, is_mark};

/// At which sample each id ends, the pads at both ends among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ends(pub(super) Vec<usize>);

/// What is more quiet than this share of the loudest is taken for silence.
const QUIET: f32 = 0.02;

/// The tensor of a graph that tells how long each id is: what is rounded, kept at one frame or more, and made whole. None
/// where there is no such thing, or more than one.
pub(super) fn tensor<'a>(graph: &Graph<'a>) -> Option<&'a str> {
    let mut rounded = graph.nodes().iter().filter(|node| node.kind == "Round");
    let mut tensor = *rounded.next()?.outputs.first()?;
    if rounded.next().is_some() {
        return None;
    }
    for kinds in [&["Clip", "Max"][..], &["Cast"]] {
        let next = graph
            .nodes()
            .iter()
            .find(|node| kinds.contains(&node.kind) && node.inputs.contains(&tensor));
        tensor = next.and_then(|node| node.outputs.first()).copied()?;
    }
    Some(tensor)
}

// === impl Ends ===

impl Ends {
    /// By the frames of each id, all of which together last as long as the samples.
    pub(super) fn told(durations: &[f32], samples: usize) -> Self {
        let all: f32 = durations.iter().sum();
        let mut frames = 0.0;
        let ends = durations.iter().map(|duration| {
            frames += duration;
            (f64::from(frames / all.max(1.0)) * samples as f64).round() as usize
        });
        Self(ends.collect())
    }

    /// By what is heard: the silence at both ends is of the pads, the rest is shared out among the phones, of which long
    /// ones and pauses get more, and marks of stress nothing.
    pub(super) fn estimated(part: &[(Symbol, i64)], samples: &[f32], rate: u32) -> Self {
        let block = (rate / 100).max(1) as usize;
        let loud = |block: &[f32]| block.iter().fold(0.0_f32, |loud, sample| loud.max(sample.abs()));
        let blocks: Vec<f32> = samples.chunks(block).map(loud).collect();
        let least = blocks.iter().fold(0.0_f32, |most, loud| most.max(*loud)) * QUIET;
        let heard = |loud: &f32| *loud > least;
        let begin = blocks.iter().position(heard).unwrap_or(0) * block;
        let end = blocks
            .iter()
            .rposition(heard)
            .map_or(samples.len(), |at| (at + 1) * block);
        let end = end.min(samples.len());
        let share = |(symbol, _): &(Symbol, i64)| match symbol.character {
            'ˈ' | 'ˌ' | ' ' => 0,
            'ː' => 1,
            mark if is_mark(mark) => 4,
            // Letters that stand for two sounds.
            'A' | 'I' | 'O' | 'Q' | 'W' | 'Y' => 3,
            _ => 2,
        };
        let all: usize = part.iter().map(share).sum::<usize>().max(1);
        let mut ends = vec![begin];
        let mut shares = 0;
        for symbol in part {
            shares += share(symbol);
            ends.push(begin + (end - begin) * shares / all);
        }
        ends.push(samples.len());
        Self(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_shares_of_the_audio() {
        let ends = Ends::told(&[2.0, 1.0, 5.0, 2.0], 6_000);
        assert_eq!(ends, Ends(vec![1_200, 1_800, 4_800, 6_000]));
    }

    #[test]
    fn estimates_leave_out_the_silence_around() {
        let part: Vec<(Symbol, i64)> = "hˈO wɜ"
            .chars()
            .map(|character| (Symbol::plain(character), 1))
            .collect();
        let mut samples = vec![0.0; 3_000];
        samples[500..2_300].fill(0.5);
        let ends = Ends::estimated(&part, &samples, 10_000).0;
        assert_eq!(ends, [500, 900, 900, 1_500, 1_500, 1_900, 2_300, 3_000]);
        // Silence throughout, and nothing at all.
        assert_eq!(Ends::estimated(&part, &[0.0; 900], 10_000).0.last(), Some(&900));
        assert_eq!(Ends::estimated(&part, &[], 10_000).0, [0; 8]);
    }
}
