//! A stream as a state machine: samples, text and markers in, words whose times will not change out.
//!
//! All audio since the last word that was told is kept and matched anew with the text that is left, each time a quarter
//! of the lookahead has come. Words that end before what may still be held back are told, and they and their audio are
//! forgotten. So a stream holds the lookahead, a minute of audio at most that waits for its text, and a bounded text
//! that waits for its audio. There is no clock and no socket in it; what it says depends on what it was fed alone.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use polyphony_error::Fault;

use crate::Error;
use crate::domain::{Cancel, Loose, Options, Pace, SAMPLE_RATE, Word, time};
use crate::engine::{End, Engine, Heard, Match, Matching, Words};
use crate::text::Text;

/// What a stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Words whose times will not change.
    Words(Vec<Word>),
    /// Everything before this marker has been aligned.
    Marker(String),
    /// All is done.
    Ended(Ended),
}

/// How a stream ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// How well text and audio agree, 0 to 1.
    pub quality: f32,
    /// What has no counterpart.
    pub loose: Vec<Loose>,
}

/// A stream being aligned.
pub struct Session {
    matching: Box<dyn Matching>,
    text: Text,
    words: Words,
    lookahead: Duration,
    /// Samples that came, and how far the audio is decided.
    samples: u64,
    decided: Duration,
    /// The first word that is not decided, and one past the last that was read.
    next: usize,
    read: usize,
    markers: VecDeque<Marker>,
    loose: Vec<Loose>,
    /// The quality of each stretch times its words, and the words.
    quality: (f64, f64),
}

/// A marker, and what was sent before it.
#[derive(Debug)]
struct Marker {
    id: String,
    words: usize,
    samples: u64,
}

/// The shortest and the longest lookahead.
pub const LOOKAHEAD: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Audio waits for its text no longer.
const WAIT: Duration = Duration::from_secs(60);
/// The most text that waits for its audio, in bytes, and markers that wait.
const MOST_TEXT: usize = 400_000;
const MOST_MARKERS: usize = 1_000;
/// Bytes of text that are read at once: to the end of a sentence, or so many.
const PART: usize = 300;
const LONGEST_PART: usize = 800;
/// Bytes that a fast speaker says in a second.
const MOST_SPOKEN: usize = 60;
/// Spans without a counterpart that are remembered; later ones are told as one.
const MOST_LOOSE: usize = 10_000;

// === impl Session ===

impl Session {
    /// Begins a stream. `lookahead`: the most audio that is held back to decide on a word.
    ///
    /// # Errors
    /// As [`Engine::begin`].
    pub fn new(
        engine: &dyn Engine,
        options: &Options,
        lookahead: Duration,
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let options = Options {
            pace: Pace::Live { lookahead },
            ..options.clone()
        };
        Ok(Self {
            matching: engine.begin(&options, cancel)?,
            text: Text::default(),
            words: Words::new(options),
            lookahead,
            samples: 0,
            decided: Duration::ZERO,
            next: 0,
            read: 0,
            markers: VecDeque::new(),
            loose: Vec::new(),
            quality: (0.0, 0.0),
        })
    }

    /// Takes the next samples, mono at 16 kHz.
    ///
    /// # Errors
    /// As [`Matching::hear`].
    pub fn push(&mut self, samples: &[f32], events: &mut Vec<Event>) -> Result<(), Error> {
        // Never more at once than lies between two looks, so that it does not matter how the samples were cut.
        let step = (self.step().as_micros() as u64 * u64::from(SAMPLE_RATE) / 1_000_000).max(1);
        let mut rest = samples;
        while !rest.is_empty() {
            let room = (step - self.samples % step) as usize;
            let (piece, behind) = rest.split_at(room.min(rest.len()));
            rest = behind;
            self.samples += piece.len() as u64;
            self.matching.hear(piece)?;
            if self.samples.is_multiple_of(step) {
                self.advance(events)?;
            }
        }
        self.tell_markers(events);
        Ok(())
    }

    /// Takes the next piece of text.
    ///
    /// # Errors
    /// [`Error::Request`] when too much text waits for its audio; as [`Matching::read`].
    pub fn text(
        &mut self,
        piece: &str,
        span: (Option<Duration>, Option<Duration>),
        speaker: &str,
    ) -> Result<(), Error> {
        let waits = self.text.word_bytes(self.next) + piece.len();
        if waits > MOST_TEXT {
            let message =
                format!("{waits} bytes of text wait for their audio, {MOST_TEXT} may; send the audio");
            return Err(Error::Request(Fault::exhausted(
                "TEXT_AHEAD",
                "transcript",
                message,
                None,
            )));
        }
        self.text.push(piece, span.0, span.1, speaker);
        Ok(())
    }

    /// Asks to be told when all that was sent before is aligned.
    ///
    /// # Errors
    /// [`Error::Request`] when too many markers wait.
    pub fn marker(&mut self, id: String, events: &mut Vec<Event>) -> Result<(), Error> {
        if self.markers.len() >= MOST_MARKERS {
            let message = format!("{MOST_MARKERS} markers wait already");
            return Err(Error::Request(Fault::exhausted(
                "TOO_MANY_MARKERS",
                "marker",
                message,
                None,
            )));
        }
        self.markers.push_back(Marker {
            id,
            words: self.text.words(),
            samples: self.samples,
        });
        self.tell_markers(events);
        Ok(())
    }

    /// No more comes: what is left of the text is in what is left of the audio.
    ///
    /// # Errors
    /// [`Error::Misfit`] if it cannot be; as [`Matching::hear`].
    pub fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        self.matching.silence()?;
        let length = time(self.samples);
        let mut words = Vec::new();
        self.read_on(usize::MAX)?;
        if self.read > self.next || self.matching.heard() > self.decided {
            let found = self.matching.align(&self.text, End::Last)?;
            self.count(&found, found.words.len());
            self.hold(found.speech, Duration::MAX);
            words = self.words.push(&self.text, found.words, &mut self.loose);
        }
        self.words.finish(&self.text, length, &mut words, &mut self.loose);
        self.next = self.text.words();
        if !words.is_empty() {
            events.push(Event::Words(words));
        }
        self.tell_markers(events);
        let (sum, count) = self.quality;
        events.push(Event::Ended(Ended {
            quality: if count > 0.0 { (sum / count) as f32 } else { 0.0 },
            loose: std::mem::take(&mut self.loose),
        }));
        Ok(())
    }

    /// The samples that were taken in.
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// How far the audio is decided: words before are told.
    pub const fn decided(&self) -> Duration {
        self.decided
    }

    /// Reads so many bytes of the text behind what is decided, sentence by sentence.
    fn read_on(&mut self, bytes: usize) -> Result<(), Error> {
        while self.read < self.text.words() && self.text.bytes_between(self.next, self.read) < bytes {
            let first = self.read;
            let begin = self.text.word(first).range.start;
            let ends = |word: &usize| {
                let length = self.text.word(*word).range.end - begin;
                length >= LONGEST_PART || length >= PART && self.text.ends_sentence(*word)
            };
            let last = (first..self.text.words())
                .find(ends)
                .map_or_else(|| self.text.words(), |word| word + 1);
            self.matching.read(&self.text, first..last)?;
            self.read = last;
        }
        Ok(())
    }

    /// The audio between two looks.
    fn step(&self) -> Duration {
        self.lookahead / 4
    }

    /// Matches what is kept, and tells what is decided.
    fn advance(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        let heard = self.matching.heard();
        let held = heard.saturating_sub(self.decided);
        // Less than may be held back is not looked at: nothing could be told of it.
        if held < self.lookahead {
            return Ok(());
        }
        // More than can be said in what is kept.
        let room = held.as_secs() as usize + 10;
        self.read_on(room * MOST_SPOKEN)?;
        if self.next == self.read {
            // No text: it may still come for the last minute.
            let until = heard.saturating_sub(WAIT);
            if held >= WAIT + self.lookahead {
                let found = self.matching.align(&self.text, End::Open)?;
                self.hold(found.speech, until);
                self.decide(0, until);
            }
            return Ok(());
        }
        let found = self.matching.align(&self.text, End::Open)?;
        // The next look is a step away, and nothing is then held back for longer than may be.
        let limit = heard.saturating_sub(self.lookahead.saturating_sub(self.step()));
        let first = self.next;
        let mut decided = decided(&found.words, limit);
        if decided == 0 && held > self.lookahead * 2 {
            // A word that goes on and on is told as far as it goes.
            let started = |heard: &Heard| {
                heard
                    .time
                    .as_ref()
                    .is_some_and(|time| time.start < limit && time.end < limit + self.step())
            };
            decided = found.words.iter().position(started).map_or(0, |at| at + 1);
        }
        let until = match (decided.checked_sub(1), found.words.get(decided)) {
            // Up to the next word what is there is no word.
            (_, Some(next)) => next
                .time
                .as_ref()
                .map_or(self.decided, |time| time.start.min(limit)),
            (Some(last), None) => found.words[last].time.as_ref().map_or(limit, |time| time.end),
            // The path stays before the first word.
            (None, None) => limit,
        };
        // Text for audio without words may still come.
        let until = if found.words.len() + first == self.text.words() && found.words.len() == decided {
            until.max(heard.saturating_sub(WAIT))
        } else {
            until
        };
        self.count(&found, decided);
        let Match { words, speech, .. } = found;
        self.hold(speech, until);
        let told: Vec<Heard> = words.into_iter().take(decided).collect();
        let words = self.words.push(&self.text, told, &mut self.loose);
        if !words.is_empty() {
            events.push(Event::Words(words));
        }
        self.decide(decided, until);
        self.tell_markers(events);
        Ok(())
    }

    /// So many words are decided, and all audio before `until`.
    fn decide(&mut self, words: usize, until: Duration) {
        let until = until.max(self.decided);
        self.matching.forget(words, until);
        self.decided = until;
        self.next += words;
        self.text
            .forget(self.words.waiting().unwrap_or(self.next).min(self.next));
    }

    fn count(&mut self, found: &Match, words: usize) {
        self.quality.0 += f64::from(found.quality) * words as f64;
        self.quality.1 += words as f64;
    }

    /// Remembers speech without text that lies before `until`.
    fn hold(&mut self, speech: Vec<Range<Duration>>, until: Duration) {
        for span in speech {
            let span = span.start..span.end.min(until);
            if span.start >= span.end {
                continue;
            }
            let full = self.loose.len() >= MOST_LOOSE;
            match self.loose.last_mut() {
                Some(Loose::Time(last)) if full || last.end >= span.start => {
                    last.end = span.end;
                }
                _ => self.loose.push(Loose::Time(span)),
            }
        }
    }

    fn tell_markers(&mut self, events: &mut Vec<Event>) {
        let heard = self.matching.heard();
        while let Some(marker) = self.markers.front() {
            if self.next < marker.words || heard < time(marker.samples).saturating_sub(EDGE) {
                return;
            }
            let id = self.markers.pop_front().map(|marker| marker.id);
            events.extend(id.map(Event::Marker));
        }
    }
}

/// What an engine may hold back at the end of what came.
const EDGE: Duration = Duration::from_millis(50);

/// How many of the words end before `limit`, up to the last that has a time.
fn decided(words: &[Heard], limit: Duration) -> usize {
    let open = |heard: &Heard| heard.time.as_ref().is_some_and(|time| time.end > limit);
    let closed = &words[..words.iter().position(open).unwrap_or(words.len())];
    closed
        .iter()
        .rposition(|heard| heard.time.is_some())
        .map_or(0, |last| last + 1)
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("samples", &self.samples)
            .field("decided", &self.decided)
            .field("words", &(self.next..self.read))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
