//! Glyphs made ready: each with its direction, ligatures taken apart, and what was printed twice to look bold once.

use std::collections::HashMap;

use crate::document::Glyph;
use crate::domain::Point;

/// A glyph on its baseline.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) begin: Point,
    pub(super) end: Point,
    pub(super) em: f32,
    /// Of the baseline, clockwise, in degrees.
    pub(super) angle: f32,
}

/// The same glyph so near, in heights of the font, is the same glyph once more.
const TWICE: f32 = 0.15;
/// Smaller than this, in pixels, nothing can be read.
const SMALLEST: f32 = 1.0;

/// Makes glyphs ready, in the order of the file.
pub(super) fn pieces(glyphs: &[Glyph]) -> Vec<Piece> {
    let mut seen: HashMap<(i32, i32), Vec<usize>> = HashMap::new();
    let mut pieces: Vec<Piece> = Vec::with_capacity(glyphs.len());
    let mut angle = 0.0;
    for glyph in glyphs {
        let [x, y] = glyph.origin;
        let [dx, dy] = glyph.advance;
        let finite = [x, y, dx, dy, glyph.em].iter().all(|number| number.is_finite());
        if !finite || glyph.em < SMALLEST {
            continue;
        }
        // A mark that takes no room goes where the last glyph went.
        if dx.hypot(dy) > 0.01 * glyph.em {
            angle = dy.atan2(dx).to_degrees();
        }
        let text = readable(&glyph.text);
        if text.is_empty() {
            continue;
        }
        let cell = |value: f32| (value / (2.0 * glyph.em)).floor() as i32;
        let (column, row) = (cell(x), cell(y));
        let is_twice = |at: &usize| {
            pieces.get(*at).is_some_and(|piece: &Piece| {
                piece.text == text && (piece.begin.x - x).hypot(piece.begin.y - y) < TWICE * glyph.em
            })
        };
        let around = (-1..=1).flat_map(|i| (-1..=1).map(move |j| (column + i, row + j)));
        let twice = around
            .filter_map(|cell| seen.get(&cell))
            .any(|cell| cell.iter().any(is_twice));
        if twice && text != " " {
            continue;
        }
        seen.entry((column, row)).or_default().push(pieces.len());
        pieces.push(Piece {
            text,
            begin: Point { x, y },
            end: Point { x: x + dx, y: y + dy },
            em: glyph.em,
            angle,
        });
    }
    pieces
}

/// As a person would write it: ligatures as letters, spaces of all kinds as a space.
fn readable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{FB00}' => plain.push_str("ff"),
            '\u{FB01}' => plain.push_str("fi"),
            '\u{FB02}' => plain.push_str("fl"),
            '\u{FB03}' => plain.push_str("ffi"),
            '\u{FB04}' => plain.push_str("ffl"),
            '\u{FB05}' | '\u{FB06}' => plain.push_str("st"),
            '\u{AD}' => plain.push('-'),
            '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' => {}
            space if space.is_whitespace() => plain.push(' '),
            control if control.is_control() => {}
            other => plain.push(other),
        }
    }
    plain
}

// === impl Piece ===

impl Piece {
    pub(super) fn is_space(&self) -> bool {
        self.text.chars().all(|character| character == ' ')
    }
}
