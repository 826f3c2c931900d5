//! The text that was given, and its words: what stands between spaces, and each sign of scripts that put none.
//!
//! Words keep their punctuation. What is punctuation alone is a word too, so that no byte of the text but spaces is
//! without one, but it is never heard ([`Word::is_heard`]). How a word is said is for engines.

use std::ops::Range;
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation as _;

/// A text, its pieces and its words. What is no longer needed of a text that goes on can be forgotten; bytes, words and
/// pieces keep their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    content: String,
    pieces: Vec<Piece>,
    words: Vec<Word>,
    /// How many of each were forgotten.
    bytes_gone: usize,
    pieces_gone: usize,
    words_gone: usize,
}

/// A piece of the text whose rough time may be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Which bytes.
    pub range: Range<usize>,
    /// Where it begins, about.
    pub start: Option<Duration>,
    /// Where it ends, about.
    pub end: Option<Duration>,
    /// Who says it.
    pub speaker: String,
}

/// A word of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Which bytes, with its punctuation.
    pub range: Range<usize>,
    /// The number of its piece.
    pub piece: usize,
    /// Whether there is something in it that can be said.
    pub is_heard: bool,
}

// === impl Text ===

impl Text {
    /// A text in one piece.
    pub fn new(content: impl Into<String>) -> Self {
        let mut text = Self::default();
        text.push(&content.into(), None, None, "");
        text
    }

    /// Appends a piece, behind a line feed unless it is the first.
    pub fn push(&mut self, content: &str, start: Option<Duration>, end: Option<Duration>, speaker: &str) {
        if self.pieces_gone + self.pieces.len() > 0 {
            self.content.push('\n');
        }
        let begin = self.bytes();
        self.content.push_str(content);
        let piece = self.pieces_gone + self.pieces.len();
        self.words.extend(ranges(content).map(|range| Word {
            is_heard: content[range.clone()].chars().any(is_heard),
            range: begin + range.start..begin + range.end,
            piece,
        }));
        self.pieces.push(Piece {
            range: begin..self.bytes(),
            start,
            end,
            speaker: speaker.to_owned(),
        });
    }

    /// The bytes of all of it.
    pub const fn bytes(&self) -> usize {
        self.bytes_gone + self.content.len()
    }

    /// The bytes from a word to the end.
    pub fn word_bytes(&self, from: usize) -> usize {
        let word = from
            .checked_sub(self.words_gone)
            .and_then(|word| self.words.get(word));
        word.map_or(0, |word| self.bytes() - word.range.start)
    }

    /// The bytes from one word to another, or to the end.
    pub fn bytes_between(&self, from: usize, to: usize) -> usize {
        self.word_bytes(from) - self.word_bytes(to)
    }

    /// Whether a sentence ends with a word.
    pub fn ends_sentence(&self, word: usize) -> bool {
        let word = self.slice(self.word(word).range.clone());
        let bare = word.trim_end_matches(['"', '\'', ')', '”', '’', '»', '」']);
        bare.ends_with(['.', '!', '?', '…', '。', '！', '？', '।', '؟'])
    }

    /// The number of words, also of those that were forgotten.
    pub const fn words(&self) -> usize {
        self.words_gone + self.words.len()
    }

    /// A word, by its number.
    ///
    /// # Panics
    /// If there is none, or it was forgotten.
    pub fn word(&self, word: usize) -> &Word {
        &self.words[word - self.words_gone]
    }

    /// The pieces that are known, and the number of the first.
    pub fn pieces(&self) -> (usize, &[Piece]) {
        (self.pieces_gone, &self.pieces)
    }

    /// Who says a word.
    pub fn speaker(&self, word: usize) -> &str {
        let piece = self.word(word).piece.checked_sub(self.pieces_gone);
        piece
            .and_then(|piece| self.pieces.get(piece))
            .map_or("", |piece| &piece.speaker)
    }

    /// Some bytes of the text; nothing of what was forgotten.
    pub fn slice(&self, range: Range<usize>) -> &str {
        let at = |byte: usize| byte.checked_sub(self.bytes_gone);
        let range = at(range.start).zip(at(range.end));
        range
            .and_then(|(start, end)| self.content.get(start..end))
            .unwrap_or_default()
    }

    /// Whether nothing in it can be said.
    pub fn is_silent(&self) -> bool {
        !self.words.iter().any(|word| word.is_heard)
    }

    /// Forgets what lies before a word.
    pub fn forget(&mut self, before: usize) {
        let words = before.saturating_sub(self.words_gone).min(self.words.len());
        self.words.drain(..words);
        self.words_gone += words;
        let begin = self
            .words
            .first()
            .map_or_else(|| self.bytes(), |word| word.range.start);
        self.content.drain(..begin - self.bytes_gone);
        self.bytes_gone = begin;
        // The last one stays, for the times of the next.
        let pieces = self
            .pieces
            .iter()
            .take_while(|piece| piece.range.end <= begin)
            .count();
        let pieces = pieces.min(self.pieces.len().saturating_sub(1));
        self.pieces.drain(..pieces);
        self.pieces_gone += pieces;
    }
}

/// The graphemes of a word, with their bytes in it.
pub fn graphemes(word: &str) -> impl Iterator<Item = (usize, &str)> {
    word.grapheme_indices(true)
}

/// Whether a character can be said, and not only shown.
pub fn is_heard(character: char) -> bool {
    character.is_alphanumeric() || is_symbol(character)
}

/// The words of a piece, in its bytes.
fn ranges(content: &str) -> impl Iterator<Item = Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut open: Option<(usize, bool)> = None;
    for (at, grapheme) in content.grapheme_indices(true) {
        let first = grapheme.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            words.extend(open.take().map(|(begin, _)| begin..at));
            continue;
        }
        // A sign of a script without spaces is a word, with the punctuation behind it; so is what stands between signs.
        let sign = is_unspaced(first);
        if let Some((begin, whole)) = open
            && is_heard(first)
            && (sign || whole)
            && content[begin..at].chars().any(is_heard)
        {
            words.push(begin..at);
            open = None;
        }
        let (begin, whole) = open.unwrap_or((at, false));
        open = Some((begin, whole || sign));
    }
    words.extend(open.map(|(begin, _)| begin..content.len()));
    words.into_iter()
}

/// Characters that are said by their name.
fn is_symbol(character: char) -> bool {
    matches!(
        character,
        '%' | '&' | '+' | '=' | '@' | '#' | '<' | '>' | '$' | '£' | '¥' | '€' | '¢' | '§' | '©' | '®'
    ) || matches!(u32::from(character), 0x20A0..=0x20CF | 0x2190..=0x2BFF | 0x1_F000..=0x1_FAFF)
}

/// Scripts that put no spaces between words: Thai to Burmese, Khmer, kana and Han.
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E01..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x3007 | 0x3041..=0x30FF
        | 0x31F0..=0x31FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
        && character.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(content: &str) -> Vec<&str> {
        ranges(content).map(|range| &content[range]).collect()
    }

    #[test]
    fn words_keep_their_punctuation() {
        assert_eq!(
            words("  \"It was £13.60,\" — she\u{a0}said.\n"),
            ["\"It", "was", "£13.60,\"", "—", "she", "said."]
        );
        assert_eq!(words(" \t\n"), [""; 0]);
    }

    #[test]
    fn signs_of_scripts_without_spaces_are_words() {
        assert_eq!(
            words("你好，「世界」2023年。ok"),
            ["你", "好，「", "世", "界」", "2023", "年。", "ok"]
        );
        assert_eq!(words("สวัสดี"), ["ส", "วั", "ส", "ดี"]);
        assert_eq!(words("안녕하세요 세계"), ["안녕하세요", "세계"]);
    }

    #[test]
    fn pieces_are_joined_by_one_line_feed() {
        let mut text = Text::new("one two");
        text.push("three", None, None, "B");
        assert_eq!(text.slice(0..13), "one two\nthree");
        let last = text.word(2);
        assert_eq!((text.slice(last.range.clone()), last.piece), ("three", 1));
        assert_eq!((text.pieces().1[1].range.clone(), text.speaker(2)), (8..13, "B"));
    }

    #[test]
    fn what_is_forgotten_leaves_all_numbers_as_they_were() {
        let mut whole = Text::new("one two");
        whole.push("three four", None, None, "B");
        let mut rest = whole.clone();
        rest.forget(1);
        rest.push("five", None, None, "C");
        whole.push("five", None, None, "C");
        rest.forget(3);
        for word in 3..5 {
            assert_eq!(rest.word(word), whole.word(word));
            assert_eq!(
                rest.slice(rest.word(word).range.clone()),
                whole.slice(whole.word(word).range.clone())
            );
            assert_eq!(rest.speaker(word), whole.speaker(word));
        }
        assert_eq!(
            (rest.words(), rest.bytes(), rest.pieces().0),
            (5, whole.bytes(), 1)
        );
        assert_eq!(rest.slice(0..3), "");
        rest.forget(5);
        assert_eq!((rest.words(), rest.bytes()), (5, whole.bytes()));
    }

    #[test]
    fn punctuation_alone_is_not_heard() {
        let text = Text::new("yes — 50 % …");
        let heard: Vec<bool> = (0..text.words()).map(|word| text.word(word).is_heard).collect();
        assert_eq!(heard, [true, false, true, true, false]);
        assert!(Text::new("… — !").is_silent());
    }
}
