//! Text that is spoken, with the way back to the input it came from.
//!
//! A script is a text cut into spans. Most are spoken as they stand in the input; some stand for something else there
//! ("1st" is spoken "first"), and some are said in given phones. Between them there may be marks.

use std::ops::Range;

/// Text to speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    text: String,
    spans: Vec<Span>,
    marks: Vec<Mark>,
}

/// A stretch of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its bytes in the script; never empty.
    pub range: Range<usize>,
    /// Where it stands in the input, in bytes.
    pub source: Range<u64>,
    /// How it goes with what stands there.
    pub saying: Saying,
}

/// How a span goes with the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// The same text.
    Same,
    /// Another text for the whole of it.
    Instead,
    /// Its text is written, these phones are said: IPA.
    Phones(String),
}

/// A place in a script whose time is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Before which byte of the script.
    pub at: usize,
    /// What it is called.
    pub name: String,
}

// === impl Script ===

impl Script {
    /// Text that is spoken as it stands, `source` bytes from the beginning of the input.
    pub fn plain(text: impl Into<String>, source: u64) -> Self {
        let mut script = Self::default();
        script.push_same(&text.into(), source);
        script
    }

    /// What is spoken.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its stretches, in order: together all of the text.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The places whose times are wanted, in order.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Whether there is nothing in it, not even a mark.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.marks.is_empty()
    }

    /// Appends text that is spoken as it stands at `source`.
    pub fn push_same(&mut self, text: &str, source: u64) {
        // What goes on without a gap stays one span.
        if let Some(last) = self.spans.last_mut()
            && last.saying == Saying::Same
            && last.source.end == source
        {
            self.text.push_str(text);
            last.range.end = self.text.len();
            last.source.end += text.len() as u64;
            return;
        }
        self.push(text, source..source + text.len() as u64, Saying::Same);
    }

    /// Appends text that is spoken instead of what stands at `source`.
    pub fn push_instead(&mut self, text: &str, source: Range<u64>) {
        self.push(text, source, Saying::Instead);
    }

    /// Appends text that stands at `source` and is said in given phones.
    pub fn push_phones(&mut self, text: &str, source: Range<u64>, ipa: impl Into<String>) {
        self.push(text, source, Saying::Phones(ipa.into()));
    }

    /// Appends a place whose time is wanted.
    pub fn push_mark(&mut self, name: impl Into<String>) {
        self.marks.push(Mark {
            at: self.text.len(),
            name: name.into(),
        });
    }

    /// Where bytes of the script stand in the input.
    pub fn source(&self, range: Range<usize>) -> Range<u64> {
        let start = self.source_of(range.start, false);
        let end = self.source_of(range.end, true);
        start..end.max(start)
    }

    /// The byte of the input that belongs to one of the script; of an end, the span before it counts.
    fn source_of(&self, at: usize, end: bool) -> u64 {
        let within = |span: &&Span| {
            if end {
                span.range.start < at && at <= span.range.end
            } else {
                span.range.start <= at && at < span.range.end
            }
        };
        match self.spans.iter().find(within) {
            Some(span) if span.saying == Saying::Same => span.source.start + (at - span.range.start) as u64,
            Some(span) if end => span.source.end,
            Some(span) => span.source.start,
            None if at == 0 => self.spans.first().map_or(0, |span| span.source.start),
            None => self.spans.last().map_or(0, |span| span.source.end),
        }
    }

    /// A part of the script, at boundaries of characters. A span that is not the same text goes whole to the part in
    /// which it begins. A mark at the very end belongs to the part that ends the script.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut part = Self::default();
        let whole = range.end == self.text.len();
        let mut marks = self
            .marks
            .iter()
            .filter(|mark| range.start <= mark.at && (mark.at < range.end || whole && mark.at == range.end));
        let mut next = marks.next();
        for span in &self.spans {
            let cut = span.range.start.max(range.start)..span.range.end.min(range.end);
            let own = match span.saying {
                Saying::Same => !cut.is_empty(),
                Saying::Instead | Saying::Phones(_) => range.contains(&span.range.start),
            };
            if !own {
                continue;
            }
            let cut = if span.saying == Saying::Same {
                cut
            } else {
                span.range.clone()
            };
            let begin = part.text.len();
            while let Some(mark) = next.filter(|mark| mark.at < cut.end) {
                part.marks.push(Mark {
                    at: begin + mark.at.saturating_sub(cut.start),
                    name: mark.name.clone(),
                });
                next = marks.next();
            }
            let source = match span.saying {
                Saying::Same => self.source(cut.clone()),
                Saying::Instead | Saying::Phones(_) => span.source.clone(),
            };
            part.push(&self.text[cut], source, span.saying.clone());
        }
        for mark in next.into_iter().chain(marks) {
            part.push_mark(mark.name.clone());
        }
        part
    }

    /// Appends another script.
    pub fn append(&mut self, other: &Self) {
        let begin = self.text.len();
        self.text.push_str(&other.text);
        self.spans.extend(other.spans.iter().map(|span| Span {
            range: span.range.start + begin..span.range.end + begin,
            ..span.clone()
        }));
        self.marks.extend(other.marks.iter().map(|mark| Mark {
            at: mark.at + begin,
            name: mark.name.clone(),
        }));
    }

    fn push(&mut self, text: &str, source: Range<u64>, saying: Saying) {
        if text.is_empty() {
            return;
        }
        let begin = self.text.len();
        self.text.push_str(text);
        self.spans.push(Span {
            range: begin..self.text.len(),
            source,
            saying,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "a " as it stands, "first" instead of "1st", " b" as it stands, with marks around.
    fn mixed() -> Script {
        let mut script = Script::default();
        script.push_mark("begin");
        script.push_same("a ", 10);
        script.push_instead("first", 12..15);
        script.push_mark("middle");
        script.push_same(" b", 15);
        script.push_mark("end");
        script
    }

    #[test]
    fn every_byte_knows_its_place_in_the_input() {
        let script = mixed();
        assert_eq!(script.text(), "a first b");
        assert_eq!(script.source(0..1), 10..11);
        assert_eq!(script.source(2..7), 12..15);
        assert_eq!(script.source(3..5), 12..15);
        assert_eq!(script.source(8..9), 16..17);
        assert_eq!(script.source(0..9), 10..17);
        assert_eq!(Script::default().source(0..0), 0..0);
    }

    #[test]
    fn text_that_goes_on_stays_one_span() {
        let mut script = Script::plain("ab", 3);
        script.push_same("cd", 5);
        assert_eq!(script.spans().len(), 1);
        assert_eq!(script.source(3..4), 6..7);
        script.push_same("e", 99);
        assert_eq!(script.spans().len(), 2);
        assert_eq!(script.source(4..5), 99..100);
    }

    #[test]
    fn parts_keep_places_and_marks() {
        let script = mixed();
        let (first, second) = (script.slice(0..4), script.slice(4..9));
        // The replaced word is not torn: it goes whole to where it begins.
        assert_eq!((first.text(), second.text()), ("a first", " b"));
        assert_eq!(first.source(2..7), 12..15);
        assert_eq!(second.source(1..2), 16..17);
        let names = |script: &Script| -> Vec<_> {
            script
                .marks()
                .iter()
                .map(|mark| (mark.at, mark.name.clone()))
                .collect()
        };
        assert_eq!(names(&first), [(0, "begin".to_owned())]);
        assert_eq!(names(&second), [(0, "middle".to_owned()), (2, "end".to_owned())]);
        let mut both = first;
        both.append(&second);
        assert_eq!(both.text(), script.text());
        assert_eq!(names(&both), names(&script));
    }

    #[test]
    fn a_script_of_marks_alone_keeps_them() {
        let mut script = Script::default();
        script.push_mark("only");
        assert!(!script.is_empty());
        assert_eq!(script.slice(0..0).marks().len(), 1);
    }
}
