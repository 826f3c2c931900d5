//! The sentences of a text, as ranges of it: the smallest things that are quoted.
//!
//! Boundaries are those of Unicode (UAX #29), with two differences: a line that merely wraps ends no sentence, and
//! neither does a common abbreviation.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// What ends in a full stop and is no end of a sentence.
const ABBREVIATIONS: [&str; 31] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "no", "nos", "fig", "figs", "eq", "eqs", "sec", "vol", "pp",
    "e.g", "i.e", "vs", "cf", "al", "approx", "inc", "ltd", "z.b", "d.h", "bzw", "ca", "nr", "abs", "abb",
    "mme",
];
/// A longer sentence, in bytes, is none: a table or program text. It is cut at a space.
const LONGEST: usize = 800;

/// The sentences of a text in order: ranges without blanks at either end, never empty, that do not overlap.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let flat = unwrap_lines(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open: Option<usize> = None;
    for (start, piece) in flat.split_sentence_bound_indices() {
        let from = open.take().unwrap_or(start);
        let end = start + piece.len();
        let is_broken = piece.ends_with('\n');
        if !is_broken && end < flat.len() && ends_in_abbreviation(&flat[from..end]) {
            open = Some(from);
            continue;
        }
        cut(text, from..end, &mut found);
    }
    if let Some(from) = open {
        cut(text, from..text.len(), &mut found);
    }
    found
}

/// A copy of the same length in which lines that only wrap are joined by a space.
fn unwrap_lines(text: &str) -> String {
    let mut flat = String::with_capacity(text.len());
    let mut line = 0;
    for (at, c) in text.char_indices() {
        match c {
            '\r' => flat.push(' '),
            '\n' => {
                let (before, after) = (&text[line..at], &text[at + 1..]);
                flat.push(if is_wrap(before, after) { ' ' } else { '\n' });
                line = at + 1;
            }
            other => flat.push(other),
        }
    }
    flat
}

/// Whether the line after only goes on with the line before.
fn is_wrap(before: &str, after: &str) -> bool {
    let next = after.split('\n').next().unwrap_or_default().trim_start();
    let begins_anew = |line: &str| {
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        line.starts_with(['#', '-', '*', '|', '>', '+', '\u{2022}'])
            || (number.len() < line.len() && number.starts_with(['.', ')']))
    };
    let before = before.trim();
    !before.is_empty() && !next.trim().is_empty() && !before.starts_with(['#', '|']) && !begins_anew(next)
}

fn ends_in_abbreviation(sentence: &str) -> bool {
    let Some(sentence) = sentence.trim_end().strip_suffix('.') else {
        return false;
    };
    let last = sentence
        .rsplit(|c: char| c.is_whitespace() || c == '(')
        .next()
        .unwrap_or_default();
    let mut letters = last.chars();
    let is_initial = letters.next().is_some_and(char::is_uppercase)
        && letters.next().is_none()
        && sentence.len() > last.len();
    is_initial || ABBREVIATIONS.contains(&last.to_lowercase().as_str())
}

/// Takes a sentence over, in pieces where it is too long.
fn cut(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut rest = trim(text, range);
    while rest.len() > LONGEST {
        let most = floor(text, rest.start + LONGEST);
        let end = text[rest.start..most]
            .rfind(char::is_whitespace)
            .filter(|space| *space > 0)
            .map_or(most, |space| rest.start + space);
        let piece = trim(text, rest.start..end);
        if !piece.is_empty() {
            found.push(piece);
        }
        rest = trim(text, end..rest.end);
    }
    if !rest.is_empty() {
        found.push(rest);
    }
}

/// The range without blanks at either end.
pub(super) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..(start + piece.trim().len())
}

/// The last boundary of a character not after `at`.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_are_told_apart_and_abbreviations_are_not() {
        assert_eq!(
            of("Dr. Smith saw it, e.g. Tuesday. It was J. Doe's. Was it? Yes!"),
            [
                "Dr. Smith saw it, e.g. Tuesday.",
                "It was J. Doe's.",
                "Was it?",
                "Yes!"
            ]
        );
    }

    #[test]
    fn a_wrapped_line_goes_on_and_a_paragraph_or_item_does_not() {
        assert_eq!(
            of("the wing\r\nstalls early.\n\nA title\n\n- one item\n- another\n1. first"),
            [
                "the wing\r\nstalls early.",
                "A title",
                "- one item",
                "- another",
                "1. first"
            ]
        );
        assert_eq!(of("# Title\nBody text."), ["# Title", "Body text."]);
    }

    #[test]
    fn what_has_no_end_is_cut_at_a_space() {
        let table = "cell ".repeat(400);
        let pieces = of(&table);
        assert_eq!(pieces.len(), 3);
        assert!(
            pieces
                .iter()
                .all(|piece| piece.len() <= LONGEST && piece.ends_with("cell"))
        );
        let solid = "ä".repeat(900);
        assert_eq!(of(&solid).concat(), solid);
    }

    #[test]
    fn nothing_has_no_sentences() {
        assert!(of("").is_empty() && of(" \n\n ").is_empty());
        assert_eq!(of("See fig."), ["See fig."]);
    }

    proptest::proptest! {
        #[test]
        fn ranges_are_in_order_and_lose_no_letter(text in "[a-z0-9A-Z.!?\\n\\r ä机#*-]{0,300}") {
            let found = sentences(&text);
            let mut at = 0;
            for range in &found {
                proptest::prop_assert!(range.start >= at && range.end > range.start);
                proptest::prop_assert!(text[at..range.start].trim().is_empty());
                at = range.end;
            }
            proptest::prop_assert!(text[at..].trim().is_empty());
        }
    }
}
