//! Utterances of a whole recording, padded with a look at the neighbours, as `get_speech_timestamps` does.

use std::ops::Range;

use crate::Error;
use crate::endpoint::Rules;
use crate::endpoint::machine::{Machine, Turn};

/// The parts of a recording of `samples` in which somebody speaks, given the probability of each frame.
///
/// Padding does not make two parts overlap: they share what is between them.
///
/// # Errors
/// [`Error::Setting`] that names the rule out of range.
pub fn segments(probabilities: &[f32], samples: u64, rules: &Rules) -> Result<Vec<Range<u64>>, Error> {
    rules.check()?;
    let mut machine = Machine::new(rules);
    for probability in probabilities {
        machine.push(*probability);
    }
    machine.finish(samples);
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut start = 0;
    while let Some(turn) = machine.next_turn() {
        match turn {
            Turn::Begin(at) => start = at,
            Turn::End(at, _) => found.push(start..at),
            Turn::Pause(_) => {}
        }
    }
    pad(&mut found, samples, rules);
    Ok(found)
}

fn pad(found: &mut [Range<u64>], samples: u64, rules: &Rules) {
    let (before, after) = (
        rules.rate.frames(rules.pad_before),
        rules.rate.frames(rules.pad_after),
    );
    if let Some(first) = found.first_mut() {
        first.start = first.start.saturating_sub(before);
    }
    for at in 1..found.len() {
        let gap = found[at].start - found[at - 1].end;
        if gap < before + after {
            found[at - 1].end += gap / 2;
            found[at].start -= gap / 2;
        } else {
            found[at - 1].end += after;
            found[at].start -= before;
        }
    }
    if let Some(last) = found.last_mut() {
        last.end = (last.end + after).min(samples);
    }
}
