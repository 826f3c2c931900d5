//! What is to be heard: a chain of states, and to which sound of which word each belongs.

use std::ops::Range;
use std::time::Duration;

use super::Heard;
use crate::text::Text;
use crate::trellis::{Band, Chain, End};

/// A text as an engine expects it, state by state.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    pub(super) chain: Chain,
    states: Vec<State>,
    /// The sounds, in order, of words in order.
    pub(super) sounds: Vec<Sound>,
}

/// A state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Between words: no speech, or speech that is not of the text.
    Gap,
    /// Part of a sound.
    Sound(u32),
}

/// A sound: a phone, a letter, or whatever stands for a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sound {
    /// The number of its word in the text.
    pub(super) word: usize,
    /// The phone in IPA, or the character.
    pub(super) label: String,
    /// Whether it matches any sound.
    pub(super) wild: bool,
}

/// The frames of a sound, and what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Span {
    pub(super) frames: Range<usize>,
    /// The sum over its frames.
    pub(super) cost: f64,
}

/// How far a word may lie from the rough time of its piece.
const SLACK: Duration = Duration::from_secs(2);

// === impl Script ===

impl Script {
    pub(super) fn gap(&mut self, stay: f32, pass: f32) {
        self.chain.push(stay, pass);
        self.states.push(State::Gap);
    }

    /// Begins a sound; [`state`](Self::state) gives it states.
    pub(super) fn sound(&mut self, word: usize, label: impl Into<String>, wild: bool) {
        self.sounds.push(Sound {
            word,
            label: label.into(),
            wild,
        });
    }

    /// Appends a state of the last sound.
    pub(super) fn state(&mut self, stay: f32, pass: f32) {
        self.chain.push(stay, pass);
        let sound = self.sounds.len().saturating_sub(1);
        self.states.push(State::Sound(sound as u32));
    }

    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// The frames of each sound on a path; empty ones, where the next begins, for what the path passes over.
    /// `costs` are those of the frames.
    pub(super) fn spans(&self, path: &[u32], costs: &[f32]) -> Vec<Span> {
        let mut spans: Vec<Option<Span>> = vec![None; self.sounds.len()];
        for (frame, (state, cost)) in path.iter().zip(costs).enumerate() {
            if let State::Sound(sound) = self.states[*state as usize] {
                let span = spans[sound as usize].get_or_insert(Span {
                    frames: frame..frame,
                    cost: 0.0,
                });
                span.frames.end = frame + 1;
                span.cost += f64::from(*cost);
            }
        }
        let mut next = path.len();
        let mut all: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans.into_iter().rev() {
            let span = span.unwrap_or(Span {
                frames: next..next,
                cost: 0.0,
            });
            next = span.frames.start;
            all.push(span);
        }
        all.reverse();
        all
    }

    /// Tells `found` of each of `words` with its sounds; on a path with an open end only of those that it reaches.
    pub(super) fn words(
        &self,
        spans: &[Span],
        end: End,
        words: Range<usize>,
        mut found: impl FnMut(usize, Range<usize>) -> Heard,
    ) -> Vec<Heard> {
        let reached = match end {
            End::Last => self.sounds.len(),
            End::Open => spans
                .iter()
                .rposition(|span| !span.frames.is_empty())
                .map_or(0, |last| last + 1),
        };
        let last = match end {
            End::Last => words.end,
            End::Open => reached
                .checked_sub(1)
                .map_or(words.start, |last| self.sounds[last].word + 1),
        };
        let mut next = 0;
        let found = |word| {
            let first = next;
            while next < reached && self.sounds[next].word == word {
                next += 1;
            }
            found(word, first..next)
        };
        (words.start..last).map(found).collect()
    }

    /// Where the rough times of the text's pieces leave room, in frames from `base`, `rate` a second; none without such
    /// times.
    pub(super) fn limits(&self, text: &Text, base: Duration, frames: usize, rate: f64) -> Option<Band> {
        let (gone, pieces) = text.pieces();
        if pieces
            .iter()
            .all(|piece| piece.start.is_none() && piece.end.is_none())
        {
            return None;
        }
        let mut of_piece: Vec<Option<Range<usize>>> = vec![None; pieces.len()];
        for (at, state) in self.states.iter().enumerate() {
            if let State::Sound(sound) = state {
                let piece = text.word(self.sounds[*sound as usize].word).piece - gone;
                // With the gap on either side.
                let range = of_piece[piece].get_or_insert_with(|| at.saturating_sub(1)..at);
                range.end = (at + 2).min(self.states.len());
            }
        }
        let frame = |time: Duration| (time.as_secs_f64() - base.as_secs_f64()) * rate;
        let slack = SLACK.as_secs_f64() * rate;
        let bounds = (0..pieces.len()).filter_map(|at| {
            let before = at.checked_sub(1).and_then(|before| pieces[before].end);
            let after = pieces.get(at + 1).and_then(|after| after.start);
            let start = pieces[at]
                .start
                .or(before)
                .map_or(f64::MIN, |time| frame(time) - slack);
            let end = pieces[at]
                .end
                .or(after)
                .map_or(f64::MAX, |time| frame(time) + slack);
            Some((of_piece[at].clone()?, start, end))
        });
        let bounds: Vec<_> = bounds.collect();
        let last = self.states.len();
        let (mut low, mut high) = (0, 0);
        let ranges = (0..frames).map(|frame| {
            let now = frame as f64;
            while low < bounds.len() && bounds[low].2 < now {
                low += 1;
            }
            while high < bounds.len() && bounds[high].1 <= now {
                high += 1;
            }
            let first = bounds.get(low).map_or(last - 1, |(range, ..)| range.start);
            let end = high.checked_sub(1).map_or(1, |at| bounds[at].0.end);
            first.min(end - 1) as u32..end as u32
        });
        Some(Band::of(ranges.collect(), last))
    }

    /// Forgets the words before `word`, and tells how many states went with them. A gap stays in front.
    pub(super) fn forget(&mut self, word: usize) -> usize {
        let sounds = self.sounds.partition_point(|sound| sound.word < word);
        let kept = |state: &State| matches!(state, State::Sound(sound) if *sound as usize >= sounds);
        let first = self.states.iter().position(kept).unwrap_or(self.states.len());
        // The gap before the first word that is kept, or behind the last of all.
        let states = first.saturating_sub(1);
        self.states.drain(..states);
        self.chain = self.chain.slice(states..states + self.states.len());
        self.sounds.drain(..sounds);
        for state in &mut self.states {
            if let State::Sound(sound) = state {
                *sound -= sounds as u32;
            }
        }
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Script {
        let mut script = Script::default();
        script.gap(0.0, 0.0);
        for word in 0..3 {
            for label in ["a", "b"] {
                script.sound(word, label, false);
                script.state(0.0, 1.0);
                script.state(0.0, 1.0);
            }
            script.gap(0.0, 0.0);
        }
        script
    }

    #[test]
    fn sounds_that_are_passed_over_lie_where_the_next_begins() {
        let script = script();
        // Through the first sound, over the second, into the first of the next word.
        let path = [0, 1, 2, 6, 6];
        let spans = script.spans(&path, &[1.0; 5]);
        assert_eq!((spans[0].frames.clone(), spans[0].cost), (1..3, 2.0));
        assert_eq!(spans[1].frames, 3..3);
        assert_eq!(spans[2].frames, 3..5);
        assert_eq!(spans[5].frames, 5..5);
    }

    #[test]
    fn rough_times_leave_room_for_their_piece_alone() {
        let mut text = Text::default();
        let seconds = |at| Some(Duration::from_secs(at));
        text.push("one", seconds(0), seconds(10), "");
        text.push("two three", seconds(20), None, "");
        let band = script().limits(&text, Duration::ZERO, 300, 10.0).expect("times");
        assert_eq!((band.states(0), band.states(119)), (0..6, 0..6));
        // Between the pieces there is the gap between them.
        assert_eq!((band.states(150), band.states(180)), (5..6, 5..16));
        assert_eq!(band.states(299), 5..16);
        assert_eq!(
            script().limits(&Text::new("a b c"), Duration::ZERO, 300, 10.0),
            None
        );
    }

    #[test]
    fn what_is_forgotten_leaves_a_gap_in_front() {
        let mut script = script();
        assert_eq!(script.forget(2), 10);
        assert_eq!(script.states().len(), 6);
        assert_eq!(script.states()[..2], [State::Gap, State::Sound(0)]);
        assert_eq!((script.sounds[0].word, script.chain.len()), (2, 6));
        assert_eq!(script.forget(3), 5);
        assert_eq!(script.states(), [State::Gap]);
    }
}
