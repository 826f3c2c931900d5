//! Segments of a stream, and which of them the client has been told: it hears of what is new and what has changed.

use std::collections::{BTreeMap, VecDeque};

use super::Judged;
use crate::domain::{Event, Segment, Told};
use crate::timeline::offset;

/// Makes segments of pieces and remembers what was told of them.
#[derive(Debug)]
pub(super) struct Teller {
    /// Pauses of one person that are filled, in samples.
    min_off: u64,
    /// Stretches that are dropped, in samples.
    min_on: u64,
    /// Whether what was told may be corrected.
    revisions: bool,
    /// The segments that the pieces that are forgotten ended in and that may go on, one for each person.
    carried: Vec<Stretch>,
    /// By the sample where they begin, and the lane there.
    told: BTreeMap<(u64, u8), (Told, Stretch)>,
    last_id: u64,
}

/// A stretch of one person.
#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    start: u64,
    end: u64,
    /// That of its first piece.
    lane: u8,
    person: usize,
    /// How sure it is, times the samples of speech, and these.
    sure: f64,
    speech: u64,
}

// === impl Teller ===

impl Teller {
    pub(super) fn new(min_off: u64, min_on: u64, revisions: bool) -> Self {
        Self {
            min_off,
            min_on,
            revisions,
            carried: Vec::new(),
            told: BTreeMap::new(),
            last_id: 0,
        }
    }

    /// Tells what is new or different. Everything before sample `settled` was heard.
    pub(super) fn tell(&mut self, pieces: &VecDeque<Judged>, settled: u64, events: &mut Vec<Event>) {
        let stretches = self.stretches(pieces);
        let mut news = Vec::new();
        for (at, stretch) in stretches.iter().enumerate() {
            // Who is heard again later, or after whom somebody else was heard, has ended.
            let mut later = stretches[at + 1..].iter();
            let ended = later.any(|other| other.person == stretch.person || other.start >= stretch.end);
            let over = ended || stretch.end.saturating_add(self.min_off) <= settled;
            let stretch = stretch.clone();
            let known = self.told.get(&stretch.key());
            let is_news = match known {
                Some((_, before)) => self.revisions && *before != stretch,
                None => stretch.end - stretch.start >= self.min_on && (over || self.revisions),
            };
            if !is_news {
                continue;
            }
            let (id, revision) =
                known.map_or((self.last_id + 1, 1), |(told, _)| (told.id, told.revision + 1));
            self.last_id = self.last_id.max(id);
            let told = Told {
                id,
                revision,
                segment: stretch.segment(),
            };
            news.push(told.clone());
            self.told.insert(stretch.key(), (told, stretch));
        }
        if !news.is_empty() {
            events.push(Event::Segments(news));
        }
    }

    /// A piece that can no longer change.
    pub(super) fn forget(&mut self, oldest: &Judged) {
        let mut stretches = std::mem::take(&mut self.carried);
        self.extend(&mut stretches, oldest);
        let now = oldest.piece.spans.first().map_or(0, |span| span.start);
        while let Some(stretch) = stretches.pop() {
            let goes_on = stretch.end.saturating_add(self.min_off) >= now;
            if goes_on && self.carried.iter().all(|later| later.person != stretch.person) {
                self.carried.insert(0, stretch);
            }
        }
        if let Some(first) = self.carried.iter().map(|carried| carried.start).min() {
            // What begins before them was told for good.
            self.told = self.told.split_off(&(first, 0));
        }
    }

    /// The client has been told that one person is another.
    pub(super) fn merged(&mut self, from: usize, into: usize) {
        for (told, stretch) in self
            .told
            .values_mut()
            .filter(|(_, stretch)| stretch.person == from)
        {
            (told.segment.speaker, stretch.person) = (into, into);
        }
    }

    /// How many segments it remembers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.told.len()
    }

    fn stretches(&self, pieces: &VecDeque<Judged>) -> Vec<Stretch> {
        let mut stretches = self.carried.clone();
        for judged in pieces {
            self.extend(&mut stretches, judged);
        }
        stretches
    }

    /// Adds a piece: to the last stretch of the person where it goes on, else as a new one. A pause in which somebody
    /// else begins is not filled. Where a segment was told to begin, one begins for ever, so that each that was told can
    /// be corrected.
    fn extend(&self, stretches: &mut Vec<Stretch>, judged: &Judged) {
        for span in &judged.piece.spans {
            let speech = span.end - span.start;
            let sure = f64::from(judged.sure) * speech as f64;
            let lane = judged.piece.lane;
            let goes_on = |at: &usize| {
                let last = &stretches[*at];
                let between = |other: &Stretch| other.start < span.start && last.end < other.end;
                span.start <= last.end.saturating_add(self.min_off)
                    && (span.start <= last.end || !stretches[at + 1..].iter().any(between))
                    && !self.told.contains_key(&(span.start, lane))
            };
            let last = stretches.iter().rposition(|last| last.person == judged.person);
            match last.filter(goes_on) {
                Some(at) => {
                    let last = &mut stretches[at];
                    last.end = last.end.max(span.end);
                    last.sure += sure;
                    last.speech += speech;
                }
                None => stretches.push(Stretch {
                    start: span.start,
                    end: span.end,
                    lane,
                    person: judged.person,
                    sure,
                    speech,
                }),
            }
        }
    }
}

// === impl Stretch ===

impl Stretch {
    const fn key(&self) -> (u64, u8) {
        (self.start, self.lane)
    }

    fn segment(&self) -> Segment {
        let sure = self.sure / self.speech.max(1) as f64;
        Segment {
            start: offset(self.start),
            end: offset(self.end),
            speaker: self.person,
            confidence: Some(sure.clamp(0.0, 1.0) as f32),
        }
    }
}
