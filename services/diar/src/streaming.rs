//! Telling people apart while they speak: voices piece by piece in, segments and corrections of them out.
//!
//! A piece of speech goes to the person whose pieces it is most like, or begins a new person. Now and then the recent
//! pieces are grouped anew as a recording's would be, and what was told is corrected by that (the idea of diart, Coria et
//! al. 2021, with a memory instead of a model that sees several people). Labels are stable: a group keeps the number that
//! most of it had. No model and no audio is here; an engine finds the pieces.
//!
//! Memory is bounded: only `MEMORY` pieces can be corrected, and older segments are forgotten once they were told.

mod review;
mod segments;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use crate::clustering::{Wanted, dot};
use crate::domain::{Embedding, Ended, Event, Speaker, StreamOptions};
use crate::timeline;
use segments::Teller;

/// Pieces that can be grouped anew, some minutes of speech.
const MEMORY: usize = 400;
/// After so many seconds of speech they are.
const REVIEW: f32 = 4.0;
/// How fast a better fit makes sure: the odds of two people whose similarities differ by 0.1 are e to 1.
const SHARPNESS: f32 = 10.0;

/// A piece of speech that is judged as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Where somebody speaks in it, in samples, ascending.
    pub spans: Vec<Range<u64>>,
    /// The voice around it, of length 1.
    pub voice: Vec<f32>,
    /// Tells apart the pieces of people who speak at the same time; 0 where there is only one.
    pub lane: u8,
}

/// One stream.
#[derive(Debug)]
pub struct Online {
    wanted: Wanted,
    revisions: bool,
    pieces: VecDeque<Judged>,
    people: Vec<Person>,
    teller: Teller,
    /// Seconds of speech since the pieces were grouped.
    unreviewed: f32,
}

/// A piece, and whose it is.
#[derive(Debug)]
struct Judged {
    piece: Piece,
    seconds: f32,
    person: usize,
    sure: f32,
}

/// Somebody who was heard.
#[derive(Debug, Clone, Default)]
struct Person {
    /// The sum of the voices, each as long as its speech.
    sum: Vec<f32>,
    /// Seconds of speech.
    seconds: f32,
    /// Of that, in pieces that are forgotten.
    forgotten: f32,
}

// === impl Online ===

impl Online {
    /// A stream in which nobody has spoken. `wanted` says when voices are one person, `min_off` how many samples of
    /// pause are filled.
    pub fn new(options: &StreamOptions, wanted: Wanted, min_off: u64) -> Self {
        Self {
            wanted,
            revisions: options.revisions,
            pieces: VecDeque::new(),
            people: Vec::new(),
            teller: Teller::new(
                min_off,
                timeline::samples(options.options.min_on),
                options.revisions,
            ),
            unreviewed: 0.0,
        }
    }

    /// Takes the next piece, after all that begin before it. Pieces of the same time have different lanes.
    pub fn hear(&mut self, piece: Piece, events: &mut Vec<Event>) {
        let samples: u64 = piece.spans.iter().map(|span| span.end - span.start).sum();
        let seconds = timeline::offset(samples).as_secs_f32();
        let (person, sure) = self.judge(&piece.voice);
        self.people[person].add(&piece.voice, seconds);
        self.pieces.push_back(Judged {
            piece,
            seconds,
            person,
            sure,
        });
        if self.pieces.len() > MEMORY
            && let Some(oldest) = self.pieces.pop_front()
        {
            self.people[oldest.person].forgotten += oldest.seconds;
            self.teller.forget(&oldest);
        }
        self.unreviewed += seconds;
        if self.revisions && self.unreviewed >= REVIEW {
            self.review(events);
        }
    }

    /// Tells what is known when everything before sample `settled` was heard.
    pub fn tell(&mut self, settled: u64, events: &mut Vec<Event>) {
        self.teller.tell(&self.pieces, settled, events);
    }

    /// Tells what is left.
    pub fn finish(mut self, events: &mut Vec<Event>) -> Ended {
        if self.revisions && self.unreviewed > 0.0 {
            self.review(events);
        }
        self.teller.tell(&self.pieces, u64::MAX, events);
        let speaker = |person: Person| Speaker {
            speech: std::time::Duration::from_secs_f32(person.seconds.max(0.0)),
            embedding: (person.seconds > 0.0)
                .then(|| Embedding::new(person.sum))
                .flatten(),
        };
        Ended {
            speakers: self.people.into_iter().map(speaker).collect(),
        }
    }

    /// Whose voice it is, and how sure that is. May begin a new person.
    fn judge(&mut self, voice: &[f32]) -> (usize, f32) {
        let fits: Vec<f32> = self.people.iter().map(|person| person.likeness(voice)).collect();
        let mut best = (0, f32::NEG_INFINITY);
        for (number, fit) in fits.iter().enumerate() {
            if *fit > best.1 {
                best = (number, *fit);
            }
        }
        let living = self.people.iter().filter(|person| person.seconds > 0.0).count();
        let is_like = best.1 >= 1.0 - self.wanted.threshold;
        if self.people.is_empty() || (!is_like && living < self.wanted.at_most) {
            self.people.push(Person::default());
            return (self.people.len() - 1, 1.0);
        }
        let odds: f32 = fits.iter().map(|fit| (SHARPNESS * (fit - best.1)).exp()).sum();
        (best.0, 1.0 / odds)
    }
}

// === impl Person ===

impl Person {
    fn add(&mut self, voice: &[f32], seconds: f32) {
        self.sum.resize(voice.len(), 0.0);
        for (sum, value) in self.sum.iter_mut().zip(voice) {
            *sum += seconds * value;
        }
        self.seconds += seconds;
    }

    fn take(&mut self, voice: &[f32], seconds: f32) {
        self.add(voice, -seconds);
    }

    /// The mean similarity of a voice with what was heard of this person: what agglomerative clustering by average
    /// linkage looks at. Nobody is like who was not heard.
    fn likeness(&self, voice: &[f32]) -> f32 {
        if self.seconds <= 1e-3 {
            return f32::NEG_INFINITY;
        }
        dot(&self.sum, voice) / self.seconds
    }
}
