//! Who speaks in each frame, when it is known which people of windows are one person.
//!
//! As pyannote.audio 3.1 does it: how many speak is the mean over the windows that cover a frame, rounded; who they are is
//! told by how many of the windows hear them there. Unlike there, nobody speaks whom no window hears.

use super::analysis::Analysis;
use super::layout::Layout;
use super::people::People;
use crate::timeline::{Tracer, Track};

/// The people's stretches.
pub(super) struct Decoded {
    /// One for each person; they may overlap.
    pub tracks: Vec<Track>,
    /// The same with the surest person alone.
    pub exclusive: Vec<Track>,
}

/// What windows say of each frame of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Votes {
    /// Windows that cover each frame.
    pub covered: Vec<u16>,
    /// How many speak in each frame.
    pub count: Vec<u8>,
    /// For each frame and person, how many windows hear the person there.
    pub heard: Vec<u16>,
}

/// Finds who speaks where; at most `at_most` at once.
pub(super) fn decode(analysis: &Analysis, layout: &Layout, people: &People, at_most: usize) -> Decoded {
    let number = people.centres.len();
    let votes = Votes::of(analysis, layout, people, at_most);
    let tracers = || -> Vec<Tracer> { (0..number).map(|_| Tracer::default()).collect() };
    let (mut tracks, mut exclusive) = (tracers(), tracers());
    let mut ranked: Vec<usize> = Vec::with_capacity(number);
    for (frame, count) in votes.count.iter().enumerate() {
        let heard = &votes.heard[frame * number..][..number];
        let (start, end) = (layout.edge(frame), layout.edge(frame + 1).min(analysis.samples));
        if start >= end {
            break;
        }
        ranked.clear();
        ranked.extend((0..number).filter(|person| heard[*person] > 0));
        ranked.sort_by_key(|person| (std::cmp::Reverse(heard[*person]), *person));
        for (place, person) in ranked.iter().take(usize::from(*count)).enumerate() {
            let sure = f32::from(heard[*person]) / f32::from(votes.covered[frame].max(1));
            tracks[*person].add(start, end, sure.min(1.0));
            if place == 0 {
                exclusive[*person].add(start, end, sure.min(1.0));
            }
        }
    }
    let finish = |tracers: Vec<Tracer>| tracers.into_iter().map(Tracer::finish).collect();
    Decoded {
        tracks: finish(tracks),
        exclusive: finish(exclusive),
    }
}

// === impl Votes ===

impl Votes {
    pub(super) fn of(analysis: &Analysis, layout: &Layout, people: &People, at_most: usize) -> Self {
        let number = people.centres.len();
        let last = analysis.starts.last().copied().unwrap_or(0);
        // To the nearest, and one more.
        let frames = (last + layout.window + layout.shift / 2) / layout.shift + 1;
        let frames = frames.max(layout.first_frame(last) + layout.frames);
        let mut spoken = vec![0_u16; frames];
        let mut votes = Self {
            covered: vec![0; frames],
            count: Vec::new(),
            heard: vec![0; frames * number],
        };
        let mut heard = analysis.heard.iter().zip(&people.who).peekable();
        for (window, (start, labels)) in analysis.starts.iter().zip(&analysis.labels).enumerate() {
            let mut here = Vec::new();
            while let Some(heard) = heard.next_if(|(heard, _)| heard.window == window) {
                here.push(heard);
            }
            let first = layout.first_frame(*start);
            for (at, label) in labels.iter().enumerate() {
                votes.covered[first + at] += 1;
                spoken[first + at] += label.count_ones() as u16;
                // Two people of a window may be one; each window has one vote.
                let mut voted: [Option<usize>; 8] = [None; 8];
                for (heard, who) in &here {
                    let speaks = label & heard.person != 0 && heard.frames.contains(&at);
                    if !speaks || voted.contains(&Some(**who)) {
                        continue;
                    }
                    if let Some(free) = voted.iter_mut().find(|vote| vote.is_none()) {
                        *free = Some(**who);
                        votes.heard[(first + at) * number + **who] += 1;
                    }
                }
            }
        }
        let most = u8::try_from(at_most).unwrap_or(u8::MAX);
        votes.count = spoken
            .iter()
            .zip(&votes.covered)
            .map(|(spoken, covered)| rounded(*spoken, *covered).min(most))
            .collect();
        votes
    }
}

/// The quotient to the nearest, halves to the even one, as numpy rounds.
fn rounded(sum: u16, parts: u16) -> u8 {
    if parts == 0 {
        return 0;
    }
    let (whole, twice_rest) = (sum / parts, 2 * u32::from(sum % parts));
    let up = match twice_rest.cmp(&u32::from(parts)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => whole % 2,
        std::cmp::Ordering::Greater => 1,
    };
    u8::try_from(whole + up).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_the_even() {
        let cases = [
            (0, 3, 0),
            (1, 3, 0),
            (2, 3, 1),
            (1, 2, 0),
            (3, 2, 2),
            (5, 2, 2),
            (7, 0, 0),
        ];
        for (sum, parts, expected) in cases {
            assert_eq!(rounded(sum, parts), expected, "{sum} / {parts}");
        }
    }
}
