//! A fragment made a line: its words, and where they stand.

use super::glyphs::Piece;
use super::{Fragment, along, outline};
use crate::domain::{Line, Point, Symbol, Word};

/// A gap of more heights of the font parts two words.
const GAP: f32 = 0.17;

/// What stands in a fragment; nothing where there are only spaces.
pub(super) fn line(fragment: Fragment, symbols: bool) -> Option<Line> {
    let Fragment {
        mut pieces,
        angle,
        em,
        ..
    } = fragment;
    pieces.sort_by(|a, b| along(a.begin, angle).0.total_cmp(&along(b.begin, angle).0));
    let gap = GAP.max(tracking(&pieces, angle) + GAP / 2.0);
    let mut words: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut end = None;
    for piece in pieces {
        let begin = along(piece.begin, angle).0;
        let apart = end.is_some_and(|end| begin - end > gap * piece.em);
        if (piece.is_space() || apart) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(Vec::new());
        }
        if piece.is_space() {
            continue;
        }
        end = Some(along(piece.end, angle).0);
        if let Some(word) = words.last_mut() {
            word.push(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    to_logical_order(&mut words);
    let (first, last) = extent(words.iter().flatten(), angle)?;
    let mut line = Line {
        outline: outline(first, last, angle, em),
        confidence: 1.0,
        angle_degrees: angle,
        ..Line::default()
    };
    for pieces in words {
        let Some((first, last)) = extent(pieces.iter(), angle) else {
            continue;
        };
        let height = pieces.iter().fold(0.0, |most: f32, piece| most.max(piece.em));
        let begins = pieces.first().and_then(|piece| piece.text.chars().next());
        let ends = line.text.chars().next_back();
        let unspaced = ends.is_some_and(is_unspaced) && begins.is_some_and(is_unspaced);
        let spaced = ends.is_some() && !unspaced;
        if spaced {
            line.text.push(' ');
        }
        let start = line.text.len();
        let mut word = Word {
            outline: outline(first, last, angle, height),
            confidence: 1.0,
            ..Word::default()
        };
        for piece in &pieces {
            if symbols {
                split(piece, line.text.len(), &mut word.symbols);
            }
            line.text.push_str(&piece.text);
            word.text.push_str(&piece.text);
        }
        word.range = start..line.text.len();
        line.words.push(word);
    }
    Some(line)
}

/// The gap between most letters, in heights of the font: more than nothing where they were set apart.
fn tracking(pieces: &[Piece], angle: f32) -> f32 {
    let mut gaps: Vec<f32> = pieces
        .windows(2)
        .filter(|pair| !pair[0].is_space() && !pair[1].is_space())
        .map(|pair| (along(pair[1].begin, angle).0 - along(pair[0].end, angle).0) / pair[1].em)
        .collect();
    // Of few letters nobody can tell.
    if gaps.len() < 4 {
        return 0.0;
    }
    let middle = gaps.len() / 2;
    let (_, median, _) = gaps.select_nth_unstable_by(middle, f32::total_cmp);
    median.max(0.0)
}

/// Files hold what is written from right to left as it looks, from left to right. Turns it around, words and letters, but
/// not the numbers and foreign words in it.
fn to_logical_order(words: &mut [Vec<Piece>]) {
    let is_backward = |word: &Vec<Piece>| word.iter().any(|piece| piece.text.chars().any(is_rtl));
    let backward = words.iter().filter(|word| is_backward(word)).count();
    if backward * 2 <= words.len() {
        return;
    }
    for word in words.iter_mut().filter(|word| is_backward(word)) {
        word.reverse();
    }
    words.reverse();
}

/// Hebrew, Arabic and their forms for display.
const fn is_rtl(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

/// Written without spaces: Chinese and Japanese.
const fn is_unspaced(character: char) -> bool {
    matches!(
        character,
        '\u{2E80}'..='\u{312F}' | '\u{31A0}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}'
    )
}

/// Where a stretch of glyphs begins and ends along the baseline.
fn extent<'a>(pieces: impl Iterator<Item = &'a Piece>, angle: f32) -> Option<(Point, Point)> {
    let mut found: Option<(Point, Point)> = None;
    for piece in pieces {
        let at = |point: Point| along(point, angle).0;
        let (mut begin, mut end) = found.unwrap_or((piece.begin, piece.end));
        if at(piece.begin) < at(begin) {
            begin = piece.begin;
        }
        if at(piece.end) > at(end) {
            end = piece.end;
        }
        found = Some((begin, end));
    }
    let (begin, end) = found?;
    // Raised glyphs do not tilt the line: it ends as high as it began.
    let (across, far) = (along(begin, angle).1, along(end, angle).0);
    let (sin, cos) = angle.to_radians().sin_cos();
    let end = Point {
        x: far.mul_add(cos, -across * sin),
        y: far.mul_add(sin, across * cos),
    };
    Some((begin, end))
}

/// The characters of a glyph side by side.
fn split(piece: &Piece, offset: usize, symbols: &mut Vec<Symbol>) {
    let count = piece.text.chars().count().max(1) as f32;
    let at = |share: f32| Point {
        x: (piece.end.x - piece.begin.x).mul_add(share, piece.begin.x),
        y: (piece.end.y - piece.begin.y).mul_add(share, piece.begin.y),
    };
    for (index, (start, character)) in piece.text.char_indices().enumerate() {
        let (begin, end) = (index as f32 / count, (index + 1) as f32 / count);
        symbols.push(Symbol {
            outline: outline(at(begin), at(end), piece.angle, piece.em),
            text: character.to_string(),
            range: offset + start..offset + start + character.len_utf8(),
            confidence: 1.0,
        });
    }
}
