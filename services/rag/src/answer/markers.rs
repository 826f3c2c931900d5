//! Citation markers in a model's words as they come: `[1]`, `[2, 3]`, `[1-3]`.
//!
//! Markers are taken out of the text, together with the blanks before them; where each stood is kept, so that the reader
//! gets clean text and citations by range. Within program text (between backticks) a bracket is a bracket. The result
//! depends on the words alone and not on how they were cut into pieces.

use std::mem;

/// Reads a model's words piece by piece.
#[derive(Debug)]
pub struct Markers {
    /// How many sources there are.
    sources: usize,
    /// Bytes of clean text that were given out.
    given: usize,
    /// Blanks that may belong to a marker, and the beginning of what may be one.
    held: String,
    /// Where in `held` the bracket is.
    bracket: Option<usize>,
    in_code: bool,
    marks: Vec<Mark>,
    /// Numbers in markers that name no source.
    unknown: u32,
}

/// Where a marker stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the clean text before it.
    pub at: usize,
    /// The sources that it names, counted from 0, in order and each once; none where it names only unknown ones.
    pub sources: Vec<usize>,
}

/// A longer bracket is none of ours, in bytes.
const LONGEST: usize = 32;
/// Numbers have at most so many digits: a year in brackets is text.
const MOST_DIGITS: usize = 2;

// === impl Markers ===

impl Markers {
    /// Reads an answer from so many sources.
    pub const fn new(sources: usize) -> Self {
        Self {
            sources,
            given: 0,
            held: String::new(),
            bracket: None,
            in_code: false,
            marks: Vec::new(),
            unknown: 0,
        }
    }

    /// The clean text that is certain after this piece.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for c in piece.chars() {
            self.take(c, &mut out);
        }
        self.given += out.len();
        out
    }

    /// What is left of the clean text, and where markers stood in all of it.
    pub fn finish(mut self) -> (String, Vec<Mark>) {
        let rest = mem::take(&mut self.held);
        (rest, self.marks)
    }

    /// Numbers that named no source so far.
    pub const fn unknown(&self) -> u32 {
        self.unknown
    }

    fn take(&mut self, c: char, out: &mut String) {
        if let Some(bracket) = self.bracket {
            self.held.push(c);
            if c == ']' {
                self.bracket = None;
                let inside = &self.held[bracket + 1..self.held.len() - 1];
                match numbers(inside) {
                    Some(numbers) => {
                        self.mark(&numbers, out.len());
                        self.held.clear();
                    }
                    None => out.push_str(&mem::take(&mut self.held)),
                }
            } else if !is_inside(c) || self.held.len() - bracket > LONGEST {
                self.bracket = None;
                // What is no marker may hold the beginning of one.
                let held = mem::take(&mut self.held);
                let (text, again) = held.split_at(held.len() - c.len_utf8());
                out.push_str(text);
                again.chars().for_each(|c| self.take(c, out));
            }
            return;
        }
        match c {
            '`' => {
                self.in_code = !self.in_code;
                self.release(c, out);
            }
            '[' if !self.in_code => {
                self.bracket = Some(self.held.len());
                self.held.push(c);
            }
            // An answer does not begin with blanks, as where its first marker was.
            ' ' | '\t' | '\n' | '\u{a0}' if self.given + out.len() + self.held.len() == 0 => {}
            ' ' | '\t' | '\n' | '\u{a0}' => self.held.push(c),
            _ => self.release(c, out),
        }
    }

    fn release(&mut self, c: char, out: &mut String) {
        out.push_str(&mem::take(&mut self.held));
        out.push(c);
    }

    fn mark(&mut self, numbers: &[usize], unsaid: usize) {
        let at = self.given + unsaid;
        if self.marks.last().is_none_or(|last| last.at != at) {
            self.marks.push(Mark {
                at,
                sources: Vec::new(),
            });
        }
        let Some(mark) = self.marks.last_mut() else { return };
        for number in numbers {
            match number.checked_sub(1).filter(|source| *source < self.sources) {
                None => self.unknown += 1,
                Some(source) if mark.sources.contains(&source) => {}
                Some(source) => mark.sources.push(source),
            }
        }
    }
}

const fn is_inside(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, ' ' | ',' | ';' | '-' | '\u{2013}' | '^')
}

/// The numbers of a marker; none if it is no marker.
fn numbers(inside: &str) -> Option<Vec<usize>> {
    let number = |text: &str| {
        let text = text.trim();
        let is_number =
            !text.is_empty() && text.len() <= MOST_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<usize>().ok()).flatten()
    };
    let mut found = Vec::new();
    for part in inside.trim().trim_start_matches('^').split([',', ';']) {
        match part.split_once(['-', '\u{2013}']) {
            None => found.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                found.extend(first..=last);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> (String, Vec<Mark>, u32) {
        let mut markers = Markers::new(6);
        let mut text = String::new();
        for piece in pieces {
            text += &markers.push(piece);
        }
        let unknown = markers.unknown();
        let (rest, marks) = markers.finish();
        (text + &rest, marks, unknown)
    }

    fn mark(at: usize, sources: &[usize]) -> Mark {
        Mark {
            at,
            sources: sources.to_vec(),
        }
    }

    #[test]
    fn markers_leave_the_text_and_say_where_they_stood() {
        let (text, marks, unknown) = read(&["It stalls [1]. It burns [2, 3] fuel [4-6][1].\n[2]"]);
        assert_eq!(text, "It stalls. It burns fuel.");
        assert_eq!(
            marks,
            [
                mark(9, &[0]),
                mark(19, &[1, 2]),
                mark(24, &[3, 4, 5, 0]),
                mark(25, &[1])
            ]
        );
        assert_eq!(unknown, 0);
    }

    #[test]
    fn a_source_that_is_not_there_is_counted_and_cites_nothing() {
        let (text, marks, unknown) = read(&["It flies [9]. It lands [2, 0]."]);
        assert_eq!(text, "It flies. It lands.");
        assert_eq!(marks, [mark(8, &[]), mark(18, &[1])]);
        assert_eq!(unknown, 2);
    }

    #[test]
    fn other_brackets_are_text() {
        for text in [
            "in [2023] and [sic] and [1a] and [",
            "`a[1]` and ```\nb[2]\n```",
            "[3-1] [ ] [] [1,,2]",
            "[[no] [1 2]",
        ] {
            assert_eq!(read(&[text]), (text.to_owned(), Vec::new(), 0), "{text}");
        }
        let nested = read(&["see [[1]]"]);
        assert_eq!(
            (nested.0.as_str(), &nested.1[..]),
            ("see []", &[mark(5, &[0])][..])
        );
    }

    proptest::proptest! {
        #[test]
        fn how_the_words_are_cut_does_not_matter(text in "[ab `\\[\\]1-9, \\n-]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            let (whole, marks, unknown) = read(&[&text]);
            proptest::prop_assert!(marks.iter().all(|mark| mark.at <= whole.len()));
            proptest::prop_assert_eq!(read(&pieces), (whole, marks, unknown));
        }
    }
}
