//! From characters on a line to places on the page, and to words.

use std::ops::Range;

use super::ctc::{Glyph, Reading};
use crate::domain::{Point, Quad, Symbol, Word};

/// A line read: the words with their places on the page. `corners` are the line's, clockwise from the top left of its
/// text.
pub(super) fn words(reading: &Reading, corners: &Quad, symbols: bool) -> Vec<Word> {
    let spans = extents(&reading.glyphs);
    split(reading)
        .into_iter()
        .map(|glyphs| {
            let parts = &reading.glyphs[glyphs.clone()];
            let (first, last) = (glyphs.start, glyphs.end - 1);
            let range = parts[0].range.start..parts[parts.len() - 1].range.end;
            let symbol = |i: usize| Symbol {
                outline: part(corners, spans[i].0, spans[i].1),
                text: reading.text[reading.glyphs[i].range.clone()].to_owned(),
                range: reading.glyphs[i].range.clone(),
                confidence: reading.glyphs[i].confidence,
            };
            Word {
                outline: part(corners, spans[first].0, spans[last].1),
                text: reading.text[range.clone()].to_owned(),
                range,
                confidence: parts.iter().map(|glyph| glyph.confidence).sum::<f32>() / parts.len() as f32,
                symbols: if symbols {
                    glyphs.map(symbol).collect()
                } else {
                    Vec::new()
                },
            }
        })
        .collect()
}

/// From where to where each character reaches along the line: half-way to its neighbours, but no further from its middle
/// than characters usually stand apart.
fn extents(glyphs: &[Glyph]) -> Vec<(f32, f32)> {
    let mut apart: Vec<f32> = glyphs
        .windows(2)
        .map(|pair| pair[1].middle - pair[0].middle)
        .collect();
    apart.sort_by(f32::total_cmp);
    let usual = match apart.as_slice() {
        [] => 1.0,
        apart => apart[apart.len() / 2],
    };
    let reach = usual * 0.75;
    (0..glyphs.len())
        .map(|i| {
            let middle = glyphs[i].middle;
            let half = |other: Option<&Glyph>| {
                other.map_or(reach, |other| ((other.middle - middle).abs() / 2.0).min(reach))
            };
            let before = half(i.checked_sub(1).and_then(|i| glyphs.get(i)));
            (
                (middle - before).max(0.0),
                (middle + half(glyphs.get(i + 1))).min(1.0),
            )
        })
        .collect()
}

/// Words, as runs of characters: parted by spaces, and where a script without spaces begins or ends.
fn split(reading: &Reading) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut before = None;
    for (i, glyph) in reading.glyphs.iter().enumerate() {
        let text = &reading.text[glyph.range.clone()];
        let kind = text.chars().next().map(Kind::of).unwrap_or(Kind::Space);
        match words.last_mut() {
            _ if kind == Kind::Space => {}
            Some(word) if before.is_some_and(|before: Kind| before.joins(kind)) => word.end = i + 1,
            _ => words.push(i..i + 1),
        }
        before = Some(kind);
    }
    words
}

/// What decides where words end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    /// A character of a script without spaces.
    Han,
    /// Punctuation: belongs to what stands before it.
    Mark,
    Other,
}

// === impl Kind ===

impl Kind {
    fn of(character: char) -> Self {
        match character {
            _ if character.is_whitespace() => Self::Space,
            '\u{2e80}'..='\u{2fdf}'
            | '\u{3040}'..='\u{31ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}' => Self::Han,
            '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}' => Self::Mark,
            _ if character.is_ascii_punctuation() => Self::Mark,
            _ => Self::Other,
        }
    }

    fn joins(self, next: Self) -> bool {
        let is_space = self == Self::Space || next == Self::Space;
        let is_edge = matches!((self, next), (Self::Han, Self::Other) | (Self::Other, Self::Han));
        !is_space && !is_edge
    }
}

/// The part of a line from one share of its length to another.
fn part(corners: &Quad, from: f32, to: f32) -> Quad {
    let [top_left, top_right, bottom_right, bottom_left] = corners.0;
    let between = |a: Point, b: Point, share: f32| Point {
        x: a.x + (b.x - a.x) * share,
        y: a.y + (b.y - a.y) * share,
    };
    Quad([
        between(top_left, top_right, from),
        between(top_left, top_right, to),
        between(bottom_left, bottom_right, to),
        between(bottom_left, bottom_right, from),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(text: &str, middles: &[f32]) -> Reading {
        let glyphs = text
            .char_indices()
            .zip(middles)
            .map(|((at, character), &middle)| Glyph {
                range: at..at + character.len_utf8(),
                middle,
                confidence: 0.5,
            })
            .collect();
        Reading {
            text: text.to_owned(),
            confidence: 0.5,
            glyphs,
        }
    }

    fn corners() -> Quad {
        let at = |x: f32, y: f32| Point { x, y };
        Quad([at(100.0, 10.0), at(200.0, 10.0), at(200.0, 30.0), at(100.0, 30.0)])
    }

    #[test]
    fn words_are_parted_by_spaces_and_scripts() {
        let of = |text: &str| -> Vec<String> {
            let middles: Vec<f32> = (0..text.chars().count()).map(|i| i as f32 * 0.05).collect();
            words(&reading(text, &middles), &corners(), false)
                .into_iter()
                .map(|word| word.text)
                .collect()
        };
        assert_eq!(of("a bc, d"), ["a", "bc,", "d"]);
        assert_eq!(of("网络3.0版"), ["网络", "3.0", "版"]);
        assert_eq!(of("户，也"), ["户，也"]);
        assert_eq!(of("  "), Vec::<String>::new());
    }

    #[test]
    fn a_word_lies_where_its_characters_were_read() {
        let line = reading("ab c", &[0.1, 0.2, 0.3, 0.9]);
        let words = words(&line, &corners(), true);
        let x = |word: &Word| (word.outline.0[0].x.round(), word.outline.0[1].x.round());
        assert_eq!(x(&words[0]), (103.0, 125.0));
        assert_eq!(x(&words[1]), (183.0, 198.0));
        assert_eq!(words[0].symbols.len(), 2);
        assert_eq!(words[1].range, 3..4);
        assert_eq!(words[0].outline.0[2].y, 30.0);
    }
}
