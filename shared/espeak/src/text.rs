//! Text on its way into the library: what it may hold, how it is cut, and where each of its characters came from.
//!
//! The library counts characters, takes control characters as commands, and keeps everybody else waiting while it
//! speaks. So a text is cleaned, cut into parts and handed over one part at a time.

use std::ffi::CString;
use std::ops::Range;

/// The most bytes of text in a call.
pub(crate) const LONGEST: usize = 1 << 20;
/// The most characters that are spoken at once: half a minute at most, made in a quarter of a second.
const PART: usize = 400;

/// How a stretch of the text is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pronunciation {
    /// Where it stands, in bytes of the text.
    pub range: Range<usize>,
    /// How it is said, in IPA.
    pub ipa: String,
}

/// A part of a text as the library gets it.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) spoken: CString,
    /// Where each character of what is spoken came from, in bytes of the text; and where the part ends.
    pub(crate) origins: Vec<usize>,
    /// The part, in bytes of the text.
    pub(crate) range: Range<usize>,
    /// Whether it has phones in brackets.
    pub(crate) with_phones: bool,
}

/// A pronunciation in the library's own letters.
#[derive(Debug)]
pub(crate) struct Mnemonics {
    pub(crate) range: Range<usize>,
    pub(crate) letters: String,
}

// === impl Part ===

impl Part {
    /// `text[range]`, with what `said` has in it.
    pub(crate) fn new(text: &str, range: Range<usize>, said: &[Mnemonics]) -> Self {
        let mut spoken = String::new();
        let mut origins = Vec::new();
        let mut push = |character: char, origin: usize| {
            spoken.push(character);
            origins.push(origin);
        };
        let mut said = said
            .iter()
            .filter(|said| said.range.start >= range.start && said.range.end <= range.end)
            .peekable();
        let with_phones = said.peek().is_some();
        let mut at = range.start;
        let mut previous = ' ';
        while at < range.end {
            if let Some(phones) = said.next_if(|said| said.range.start == at) {
                for character in format!(" [[{}]] ", phones.letters).chars() {
                    push(character, at);
                }
                at = phones.range.end;
                previous = ' ';
                continue;
            }
            let Some(character) = text[at..range.end].chars().next() else {
                break;
            };
            let clean = cleaned(character, previous);
            push(clean, at);
            previous = clean;
            at += character.len_utf8();
        }
        origins.push(range.end);
        Self {
            // There is no NUL left in it.
            spoken: CString::new(spoken).unwrap_or_default(),
            origins,
            range,
            with_phones,
        }
    }

    /// Where a character of what is spoken came from, in bytes of the text.
    pub(crate) fn origin(&self, character: usize) -> usize {
        self.origins.get(character).copied().unwrap_or(self.range.end)
    }
}

/// Commands become spaces, and brackets that would begin phones are parted.
fn cleaned(character: char, previous: char) -> char {
    match character {
        '\n' => '\n',
        '[' if previous == '[' => ' ',
        character if character.is_control() => ' ',
        character => character,
    }
}

/// Cuts a text into parts that are spoken one after another: at the end of a sentence, else between words, else where
/// the longest part ends. No part begins or ends in one of the `whole` ranges, which are in order.
pub(crate) fn parts(text: &str, whole: &[Mnemonics]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = cut(text, start);
        // A pronunciation stays in one part, even if that makes it longer.
        let end = whole
            .iter()
            .find(|said| said.range.start < end && end < said.range.end)
            .map_or(end, |said| said.range.end);
        parts.push(start..end);
        start = end;
    }
    parts
}

fn cut(text: &str, start: usize) -> usize {
    let (mut sentence, mut word) = (None, None);
    let mut previous = ' ';
    for (count, (at, character)) in text[start..].char_indices().enumerate() {
        let at = start + at;
        if count == PART {
            return sentence.or(word).unwrap_or(at);
        }
        let here = at + character.len_utf8();
        if ends_sentence(character) && !character.is_ascii() || character == '\n' {
            sentence = Some(here);
        } else if character.is_whitespace() {
            word = Some(here);
            if ends_sentence(previous) {
                sentence = Some(here);
            }
        }
        previous = character;
    }
    text.len()
}

fn ends_sentence(character: char) -> bool {
    matches!(
        character,
        '.' | '!' | '?' | '…' | '。' | '！' | '？' | '।' | '؟' | '۔'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Part {
        Part::new(text, 0..text.len(), &[])
    }

    #[test]
    fn commands_and_brackets_do_not_reach_the_library() {
        let part = whole("a\u{1}50Sb\0c\r\nd[[e[[[f");
        assert_eq!(part.spoken.to_str(), Ok("a 50Sb c \nd[ e[ [f"));
        assert!(!part.with_phones);
    }

    #[test]
    fn characters_know_their_bytes() {
        let part = whole("aöb😀c");
        let origins: Vec<_> = (0..6).map(|character| part.origin(character)).collect();
        assert_eq!(origins, [0, 1, 3, 4, 8, 9]);
        assert_eq!(part.origin(99), 9);
    }

    #[test]
    fn a_pronunciation_stands_for_its_range() {
        let text = "say tomato now";
        let said = [Mnemonics {
            range: 4..10,
            letters: "t@m".to_owned(),
        }];
        let part = Part::new(text, 0..text.len(), &said);
        assert_eq!(part.spoken.to_str(), Ok("say  [[t@m]]  now"));
        assert!(part.with_phones);
        assert_eq!(part.origin(6), 4);
        assert_eq!(part.origin(14), 11);
    }

    #[test]
    fn parts_end_with_sentences_where_they_can() {
        let sentence = "word ".repeat(30) + "end. ";
        let text = sentence.repeat(5);
        let parts = parts(&text, &[]);
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| text[part.clone()].ends_with("end. ")));
        assert_eq!(parts.last().map(|part| part.end), Some(text.len()));
    }

    #[test]
    fn a_text_without_spaces_is_cut_all_the_same() {
        let text = "ä".repeat(1000);
        let lengths: Vec<_> = parts(&text, &[]).into_iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [800, 800, 400]);
    }

    #[test]
    fn a_pronunciation_is_not_cut() {
        let text = "x".repeat(1000);
        let said = [Mnemonics {
            range: 390..410,
            letters: String::new(),
        }];
        assert_eq!(parts(&text, &said).first(), Some(&(0..410)));
    }
}
