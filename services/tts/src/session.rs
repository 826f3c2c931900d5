//! A stream of text as a state machine: what came becomes a queue of what is to be spoken, and of markers between.
//!
//! It has no clock, no voice and no socket: who drives it takes the next task, does it, and looks meanwhile whether more
//! came. What is queued depends on what came and in what order, not on how the text was cut.
//!
//! A marker stands behind all text that came before it. As long as that text waits for the end of its clause the marker
//! waits too: it hurries nothing. A cancel drops all that is not spoken, markers among it, for a marker says that
//! something was spoken.

use std::collections::VecDeque;
use std::ops::Range;

use crate::clauses::{Clauses, Cutting, parts};
use crate::domain::{Item, Script};
use crate::pronunciations::Pronunciations;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Speak this.
    Speak(Speech),
    /// Tell that all before has been spoken.
    Marker(String),
}

/// What is spoken at once, by one speaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Speech {
    /// Who speaks, as an index into the speakers of the stream.
    pub speaker: usize,
    /// What.
    pub items: Vec<Item>,
    /// Where it stands in all the text since the beginning, in bytes. Empty for a pause alone.
    pub source: Range<u64>,
    /// How many characters are spoken.
    pub characters: u64,
}

/// The text of a stream. What it holds is bounded by whoever feeds it: [`Session::backlog`] says how much there is.
#[derive(Debug)]
pub struct Session {
    clauses: Clauses,
    pronunciations: Pronunciations,
    tasks: VecDeque<Task>,
    /// Markers behind text that is not in a task yet, with their places.
    waiting: VecDeque<(u64, String)>,
    /// All the bytes that came.
    received: u64,
    /// Bytes of text in tasks.
    queued: u64,
}

/// The speaker of plain text and SSML.
const DEFAULT: usize = 0;
/// Markers that may be queued; each is small, but nothing else bounds their number.
pub const MOST_MARKERS: usize = 1_000;

// === impl Session ===

impl Session {
    /// Nothing has come.
    pub fn new(pronunciations: Pronunciations) -> Self {
        Self {
            clauses: Clauses::new(Cutting::STREAM),
            pronunciations,
            tasks: VecDeque::new(),
            waiting: VecDeque::new(),
            received: 0,
            queued: 0,
        }
    }

    /// More text, which need not end on a word.
    pub fn text(&mut self, text: &str) {
        self.received += text.len() as u64;
        let over = self.clauses.push(text);
        self.say(over);
    }

    /// A document of `bytes` that is spoken by itself, by one of the speakers. Its items' places count from
    /// [`received`](Self::received).
    pub fn document(&mut self, speaker: usize, items: Vec<Item>, bytes: usize) {
        self.flush();
        self.received += bytes as u64;
        self.clauses.skip(bytes);
        for items in parts(items, Cutting::STREAM) {
            self.queue(speaker, items);
        }
    }

    /// Speaks what has come, even if the clause is not over.
    pub fn flush(&mut self) {
        let over = self.clauses.flush();
        self.say(over);
    }

    /// Speaks the words that have come whole: they waited long enough for the end of their clause.
    pub fn release(&mut self) {
        let over = self.clauses.release();
        self.say(over);
    }

    /// Something is to be told when all that came before is spoken. False: there are too many already.
    pub fn marker(&mut self, name: String) -> bool {
        let markers = self.tasks.iter().filter(|task| matches!(task, Task::Marker(_)));
        if markers.count() + self.waiting.len() >= MOST_MARKERS {
            return false;
        }
        if self.clauses.is_pending() {
            self.waiting.push_back((self.received, name));
        } else {
            self.tasks.push_back(Task::Marker(name));
        }
        true
    }

    /// Drops all that is not spoken yet.
    pub fn cancel(&mut self) {
        self.clauses.cancel();
        self.tasks.clear();
        self.waiting.clear();
        self.queued = 0;
    }

    /// What is to be done next, if anything.
    pub fn next_task(&mut self) -> Option<Task> {
        let task = self.tasks.pop_front()?;
        if let Task::Speak(speech) = &task {
            self.queued -= speech.source.end - speech.source.start;
        }
        Some(task)
    }

    /// What is to be spoken next, whatever markers come before it.
    pub fn next_speech(&self) -> Option<&Speech> {
        self.tasks.iter().find_map(|task| match task {
            Task::Speak(speech) => Some(speech),
            Task::Marker(_) => None,
        })
    }

    /// Where the text begins that waits for the end of its clause, if some does.
    pub fn pending(&self) -> Option<u64> {
        self.clauses.is_pending().then(|| self.clauses.position())
    }

    /// All the bytes of text that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes of text that are queued.
    pub fn backlog(&self) -> u64 {
        self.queued
    }

    fn say(&mut self, scripts: impl IntoIterator<Item = Script>) {
        for script in scripts {
            let end = self.queue(DEFAULT, vec![Item::Say(script, Default::default())]);
            while self.waiting.front().is_some_and(|(place, _)| *place <= end) {
                self.tell_marker();
            }
        }
        if !self.clauses.is_pending() {
            while !self.waiting.is_empty() {
                self.tell_marker();
            }
        }
    }

    fn tell_marker(&mut self) {
        let marker = self.waiting.pop_front();
        self.tasks.extend(marker.map(|(_, name)| Task::Marker(name)));
    }

    /// Gives where the text of the speech ends.
    fn queue(&mut self, speaker: usize, items: Vec<Item>) -> u64 {
        let speech = Speech::new(speaker, items, &self.pronunciations);
        let end = speech.source.end;
        self.queued += end - speech.source.start;
        self.tasks.push_back(Task::Speak(speech));
        end
    }
}

// === impl Speech ===

impl Speech {
    /// Items as they are spoken by a speaker.
    pub fn new(speaker: usize, mut items: Vec<Item>, pronunciations: &Pronunciations) -> Self {
        let mut source: Option<Range<u64>> = None;
        let mut characters = 0;
        for item in &mut items {
            let Item::Say(script, _) = item else { continue };
            let whole = script.source(0..script.text().len());
            source = Some(match source {
                Some(before) => before.start.min(whole.start)..before.end.max(whole.end),
                None => whole,
            });
            characters += script.text().chars().count() as u64;
            pronunciations.apply(script);
        }
        Self {
            speaker,
            items,
            source: source.unwrap_or(0..0),
            characters,
        }
    }
}

#[cfg(test)]
mod tests;
