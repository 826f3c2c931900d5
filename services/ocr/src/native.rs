//! The text that a document holds itself, from glyphs to lines: what a reader of pictures finds by looking, found by
//! arithmetic.
//!
//! The order of glyphs in a file need not be that of reading, and spaces may be mere gaps. Glyphs that follow one another
//! on a baseline make a fragment, fragments on one baseline without a wide gap a line, and gaps and spaces part its words.
//! The order of the lines is left to the layout, as it is for those that were read from a picture.

mod glyphs;
mod row;

use crate::document::{Glyph, NativeText};
use crate::domain::{Line, Point, Quad, Rotation};
use glyphs::Piece;

/// Two directions that differ by less are the same, in degrees.
const SAME_DIRECTION: f32 = 2.0;
/// A baseline may wander so far within a line, in heights of the font: raised and lowered characters.
const WANDER: f32 = 0.4;
/// A gap of more heights of the font ends a line.
const WIDE: f32 = 1.0;
/// A glyph may begin so much before the end of the one before it.
const OVERLAP: f32 = 0.5;
/// Fonts of one line differ by no more.
const TALLER: f32 = 2.5;

/// Text of one baseline, glyph after glyph.
#[derive(Debug)]
struct Fragment {
    pieces: Vec<Piece>,
    angle: f32,
    em: f32,
    /// Along the baseline.
    begin: f32,
    end: f32,
    /// Across it.
    across: f32,
}

/// The lines of a page, in no particular order.
pub fn lines(text: &NativeText, symbols: bool) -> Vec<Line> {
    let pieces = glyphs::pieces(&text.glyphs);
    let mut fragments: Vec<Fragment> = Vec::new();
    for piece in pieces {
        match fragments.last_mut() {
            Some(last) if last.takes(&piece) => last.push(piece),
            _ => fragments.push(Fragment::of(piece)),
        }
    }
    join(fragments)
        .into_iter()
        .filter_map(|fragment| row::line(fragment, symbols))
        .collect()
}

/// By how much the page has to be turned so that most of its text is upright.
pub fn turn(text: &NativeText) -> Rotation {
    let mut weights = [0_usize; 4];
    for glyph in text.glyphs.iter().filter(|glyph| !glyph.text.trim().is_empty()) {
        let [x, y] = glyph.advance;
        let quarter = (y.atan2(x).to_degrees() / 90.0).round().rem_euclid(4.0);
        weights[quarter as usize % 4] += 1;
    }
    let most = weights.iter().max().copied().unwrap_or(0);
    // Upright wins a draw.
    match weights.iter().position(|weight| *weight == most) {
        Some(1) => Rotation::ThreeQuarters,
        Some(2) => Rotation::Half,
        Some(3) => Rotation::Quarter,
        _ => Rotation::None,
    }
}

/// The text of a page of this size after the page was turned.
pub fn turned(mut text: NativeText, rotation: Rotation, (width, height): (f32, f32)) -> NativeText {
    if rotation == Rotation::None {
        return text;
    }
    let direction = |[x, y]: [f32; 2]| match rotation {
        Rotation::None => [x, y],
        Rotation::Quarter => [-y, x],
        Rotation::Half => [-x, -y],
        Rotation::ThreeQuarters => [y, -x],
    };
    let place = |[x, y]: [f32; 2]| match rotation {
        Rotation::None => [x, y],
        Rotation::Quarter => [height - y, x],
        Rotation::Half => [width - x, height - y],
        Rotation::ThreeQuarters => [y, width - x],
    };
    let rect = |rect: crate::document::Rect| {
        let (a, b) = (place([rect.left, rect.top]), place([rect.right, rect.bottom]));
        crate::document::Rect {
            left: a[0].min(b[0]),
            top: a[1].min(b[1]),
            right: a[0].max(b[0]),
            bottom: a[1].max(b[1]),
        }
    };
    for glyph in &mut text.glyphs {
        let Glyph {
            origin, advance, ink, ..
        } = glyph;
        *origin = place(*origin);
        *advance = direction(*advance);
        *ink = ink.map(rect);
    }
    for picture in &mut text.pictures {
        *picture = rect(*picture);
    }
    text
}

/// Joins fragments that stand on one baseline without a wide gap.
fn join(mut fragments: Vec<Fragment>) -> Vec<Fragment> {
    // Rows of one direction, from the top; a row is as wide as its baseline wanders.
    fragments.sort_by(|a, b| {
        let direction = |fragment: &Fragment| (fragment.angle / SAME_DIRECTION).round();
        direction(a)
            .total_cmp(&direction(b))
            .then(a.across.total_cmp(&b.across))
    });
    let mut joined: Vec<Fragment> = Vec::new();
    let mut row: Vec<Fragment> = Vec::new();
    let mut fragments = fragments.into_iter().peekable();
    while let Some(fragment) = fragments.next() {
        row.push(fragment);
        let more = fragments.peek().is_some_and(|next| {
            row.first().is_some_and(|first| {
                same_direction(first.angle, next.angle)
                    && next.across - first.across < WANDER * first.em.min(next.em)
            })
        });
        if more {
            continue;
        }
        row.sort_by(|a, b| a.begin.total_cmp(&b.begin));
        for fragment in row.drain(..) {
            match joined.last_mut() {
                Some(last) if last.goes_on_in(&fragment) => last.absorb(fragment),
                _ => joined.push(fragment),
            }
        }
    }
    joined
}

fn same_direction(a: f32, b: f32) -> bool {
    let apart = (a - b).abs().rem_euclid(360.0);
    apart.min(360.0 - apart) < SAME_DIRECTION
}

// === impl Fragment ===

impl Fragment {
    fn of(piece: Piece) -> Self {
        let angle = piece.angle;
        let (begin, across) = along(piece.begin, angle);
        let (end, _) = along(piece.end, angle);
        Self {
            angle,
            em: piece.em,
            begin,
            end,
            across,
            pieces: vec![piece],
        }
    }

    /// Whether the glyph goes on where this ends.
    fn takes(&self, piece: &Piece) -> bool {
        let (begin, across) = along(piece.begin, self.angle);
        self.meets(piece.angle, piece.em, begin, across)
    }

    /// Whether the other one goes on where this ends.
    fn goes_on_in(&self, other: &Self) -> bool {
        self.meets(other.angle, other.em, other.begin, other.across)
    }

    /// Whether what begins there, in this direction and height, goes on where this ends.
    fn meets(&self, angle: f32, em: f32, begin: f32, across: f32) -> bool {
        let taller = self.em.max(em);
        let gap = begin - self.end;
        same_direction(self.angle, angle)
            && taller < TALLER * self.em.min(em)
            && (across - self.across).abs() < WANDER * taller
            && gap > -OVERLAP * taller
            && gap < WIDE * taller
    }

    fn push(&mut self, piece: Piece) {
        self.end = self.end.max(along(piece.end, self.angle).0);
        if !piece.is_space() {
            self.em = self.em.max(piece.em);
        }
        self.pieces.push(piece);
    }

    fn absorb(&mut self, other: Self) {
        self.em = self.em.max(other.em);
        self.end = self.end.max(other.end);
        self.pieces.extend(other.pieces);
    }
}

/// A point in a frame that is turned by an angle: along it and across it.
fn along(point: Point, angle: f32) -> (f32, f32) {
    let (sin, cos) = angle.to_radians().sin_cos();
    (
        point.x.mul_add(cos, point.y * sin),
        point.y.mul_add(cos, -point.x * sin),
    )
}

/// The outline of a stretch of a baseline in a font of this height.
fn outline(begin: Point, end: Point, angle: f32, em: f32) -> Quad {
    /// Above the baseline and below it stands so much of the height of most fonts.
    const ASCENT: f32 = 0.78;
    const DESCENT: f32 = 0.22;
    let (sin, cos) = angle.to_radians().sin_cos();
    let (up, down) = (
        Point {
            x: sin * em * ASCENT,
            y: -cos * em * ASCENT,
        },
        Point {
            x: -sin * em * DESCENT,
            y: cos * em * DESCENT,
        },
    );
    let plus = |a: Point, b: Point| Point {
        x: a.x + b.x,
        y: a.y + b.y,
    };
    Quad([plus(begin, up), plus(end, up), plus(end, down), plus(begin, down)])
}

#[cfg(test)]
mod tests;
