//! Text as it comes, cut into what is spoken at once: clauses of a stream, sentences of a whole text.
//!
//! A state machine over text. It has no clock: who waits for more text calls [`Clauses::release`] or
//! [`Clauses::flush`] when enough has been waited. What comes out depends on the text and those calls alone, not on how
//! the text was cut when it came.

mod abbreviations;
mod cut;

use crate::domain::{Item, Script};

/// Where text may be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    /// The fewest words of the first clause, which somebody waits for. It may end with a comma. None: it ends with its
    /// sentence, as all others.
    pub first_words: Option<usize>,
    /// The fewest words of a later clause that ends before its sentence does.
    pub words: usize,
    /// The most words; then it is cut between two words.
    pub most_words: usize,
}

/// Text that is still to be cut. Bounded: at most [`Clauses::MOST_PENDING`] bytes wait.
#[derive(Debug)]
pub struct Clauses {
    cutting: Cutting,
    pending: String,
    /// Where the pending text begins in all the text since the beginning, in bytes.
    position: u64,
    /// Nothing was cut off since the beginning, a flush or a cancel.
    first: bool,
}

// === impl Cutting ===

impl Cutting {
    /// For a stream: the first clause is short, so that it is heard soon; while it is, there is time for longer ones,
    /// which sound better.
    pub const STREAM: Self = Self {
        first_words: Some(3),
        words: 12,
        most_words: 40,
    };
    /// For a whole text: sentence by sentence.
    pub const SENTENCES: Self = Self {
        first_words: None,
        words: usize::MAX,
        most_words: 60,
    };

    /// The fewest words before a comma at which a clause ends.
    fn fewest(self, first: bool) -> usize {
        match self.first_words {
            Some(words) if first => words,
            _ => self.words,
        }
    }
}

// === impl Clauses ===

impl Clauses {
    /// The most bytes that wait for the end of a clause: the longest that is not cut, in letters of four bytes.
    pub const MOST_PENDING: usize = 4 * cut::MOST_CHARACTERS;

    /// Nothing has come yet.
    pub const fn new(cutting: Cutting) -> Self {
        Self {
            cutting,
            pending: String::new(),
            position: 0,
            first: true,
        }
    }

    /// Takes more text, which need not end on a word, and gives the clauses that are over.
    pub fn push(&mut self, text: &str) -> Vec<Script> {
        self.pending.push_str(text);
        let mut over = Vec::new();
        while let Some(end) = cut::clause(&self.pending, self.cutting, self.first, false) {
            over.extend(self.take(end));
        }
        over
    }

    /// Gives what has come, also if the clause is not over: the text is at its end, or says so. What comes next is a first
    /// clause again.
    pub fn flush(&mut self) -> Vec<Script> {
        let mut over = Vec::new();
        while let Some(end) = cut::clause(&self.pending, self.cutting, self.first, true) {
            over.extend(self.take(end));
        }
        over.extend(self.take(self.pending.len()));
        self.first = true;
        over
    }

    /// Gives the words that have come whole: nobody wants to wait longer for the end of the clause.
    pub fn release(&mut self) -> Option<Script> {
        let whole = cut::last_whole_word(&self.pending)?;
        self.take(whole)
    }

    /// Drops what has come and was not given yet; says how many bytes that were.
    pub fn cancel(&mut self) -> usize {
        let dropped = self.pending.len();
        self.skip(dropped);
        self.pending.clear();
        self.first = true;
        dropped
    }

    /// Moves on over bytes of the input that are spoken otherwise, as a document in between. Nothing may be pending.
    pub fn skip(&mut self, bytes: usize) {
        self.position += bytes as u64;
    }

    /// Whether something waits for the end of its clause.
    pub fn is_pending(&self) -> bool {
        !self.pending.trim().is_empty()
    }

    /// All the bytes that came, without those that wait.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The first bytes of what is pending, without the spaces around it; none if there is nothing else.
    fn take(&mut self, end: usize) -> Option<Script> {
        let clause: String = self.pending.drain(..end).collect();
        let text = clause.trim();
        let blank = clause.len() - clause.trim_start().len();
        let script = (!text.is_empty()).then(|| Script::plain(text, self.position + blank as u64));
        self.position += end as u64;
        self.first &= script.is_none();
        script
    }
}

/// The parts of a whole text or document, each to be spoken at once: pauses go with what they follow.
pub fn parts(items: Vec<Item>, cutting: Cutting) -> Vec<Vec<Item>> {
    let mut parts: Vec<Vec<Item>> = Vec::new();
    for item in items {
        match item {
            Item::Say(script, prosody) => {
                for script in cut_script(&script, cutting, parts.is_empty()) {
                    parts.push(vec![Item::Say(script, prosody)]);
                }
            }
            Item::Break(pause) => match parts.last_mut() {
                Some(part) => part.push(Item::Break(pause)),
                None => parts.push(vec![Item::Break(pause)]),
            },
        }
    }
    parts
}

fn cut_script(script: &Script, cutting: Cutting, first: bool) -> Vec<Script> {
    let text = script.text();
    let mut parts = Vec::new();
    let mut begin = 0;
    while begin < text.len() {
        let rest = &text[begin..];
        let end = cut::clause(rest, cutting, first && parts.is_empty(), true);
        let mut end = end.map_or(text.len(), |end| begin + end);
        // What is left is only space.
        if text[end..].trim().is_empty() {
            end = text.len();
        }
        parts.push(script.slice(begin..end));
        begin = end;
    }
    if parts.is_empty() && !script.is_empty() {
        parts.push(script.clone());
    }
    parts
}

#[cfg(test)]
mod tests;
