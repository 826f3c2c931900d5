//! Pages that hold text of their own and pictures with more: what was read from the pictures is added to what the page
//! says itself.

use crate::document::Rect;
use crate::domain::{Line, Quad};

/// Lines that share more of their box with what the page says itself say the same.
const SAME: f32 = 0.3;

/// Adds the lines that stand on one of the pictures and are not there yet; says how many.
pub(crate) fn add(lines: &mut Vec<Line>, seen: Vec<Line>, pictures: &[Rect]) -> usize {
    let own: Vec<Rect> = lines.iter().map(|line| bounds(&line.outline)).collect();
    let before = lines.len();
    lines.extend(seen.into_iter().filter(|line| {
        let place = bounds(&line.outline);
        let (x, y) = ((place.left + place.right) / 2.0, (place.top + place.bottom) / 2.0);
        let covered: f32 = own.iter().map(|own| shared(own, &place)).sum();
        pictures.iter().any(|picture| picture.contains(x, y)) && covered <= SAME * place.area()
    }));
    lines.len() - before
}

fn bounds(outline: &Quad) -> Rect {
    let mut bounds = Rect {
        left: f32::INFINITY,
        top: f32::INFINITY,
        right: f32::NEG_INFINITY,
        bottom: f32::NEG_INFINITY,
    };
    for point in outline.0 {
        bounds.left = bounds.left.min(point.x);
        bounds.top = bounds.top.min(point.y);
        bounds.right = bounds.right.max(point.x);
        bounds.bottom = bounds.bottom.max(point.y);
    }
    bounds
}

/// Pixels within both.
fn shared(a: &Rect, b: &Rect) -> f32 {
    let both = Rect {
        left: a.left.max(b.left),
        top: a.top.max(b.top),
        right: a.right.min(b.right),
        bottom: a.bottom.min(b.bottom),
    };
    both.area()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Point;

    fn line(text: &str, left: f32, top: f32, right: f32, bottom: f32) -> Line {
        let point = |x, y| Point { x, y };
        Line {
            text: text.to_owned(),
            outline: Quad([
                point(left, top),
                point(right, top),
                point(right, bottom),
                point(left, bottom),
            ]),
            ..Line::default()
        }
    }

    #[test]
    fn only_what_is_new_and_in_a_picture_is_added() {
        let mut lines = vec![line("caption", 0.0, 0.0, 100.0, 10.0)];
        let picture = Rect {
            left: 0.0,
            top: 0.0,
            right: 200.0,
            bottom: 100.0,
        };
        let seen = vec![
            line("captlon", 2.0, 1.0, 99.0, 11.0),
            line("sign", 50.0, 50.0, 90.0, 60.0),
            line("elsewhere", 50.0, 150.0, 90.0, 160.0),
        ];
        assert_eq!(add(&mut lines, seen, &[picture]), 1);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["caption", "sign"]);
    }
}
