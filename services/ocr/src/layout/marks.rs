//! Boxes to tick: small squares with a drawn outline, with what stands beside them, and whether something is in them.

use image::GrayImage;

use super::frame::{Area, Frame};
use super::rules::Ground;
use crate::domain::{FormField, Line, Part, Span};
use crate::page::contour::contours;

/// Sides of a box, in heights of a line.
const SMALLEST: f32 = 0.5;
const LARGEST: f32 = 2.2;
/// One side may be longer than the other by this factor.
const OBLONG: f32 = 1.25;
/// This share of each side is drawn.
const DRAWN: f32 = 0.85;
/// More ink than this share of the inside is a tick.
const TICKED: f32 = 0.06;
/// A pixel this much darker than its surroundings is ink.
const INK: u32 = 40;
/// What a box belongs to stands no further from it, in heights of a line.
const REACH: f32 = 3.0;
/// What recognition makes of an empty box.
const BOX_LETTERS: [char; 6] = ['口', '囗', '□', '☐', '日', '回'];

/// The boxes on a page. Places of lines are those of `lines`.
pub(super) fn marks(
    ground: &Ground,
    lines: &[Line],
    areas: &[Area],
    frame: &Frame,
    height: f32,
) -> Vec<FormField> {
    let line = height / ground.scale;
    let ink = ink(&ground.grey, (line * 1.5) as usize);
    let (width, rows) = (ground.grey.width() as usize, ground.grey.height() as usize);
    let mut boxes: Vec<(Area, bool)> = Vec::new();
    for border in contours(&ink, width) {
        let side = |axis: usize| {
            let values = border.iter().map(|point| point[axis]);
            (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
        };
        let ((left, right), (top, bottom)) = (side(0), side(1));
        let (across, down) = ((right - left + 1) as f32, (bottom - top + 1) as f32);
        let fits = across.min(down) >= SMALLEST * line
            && across.max(down) <= LARGEST * line
            && across.max(down) <= OBLONG * across.min(down);
        let shape = Shape {
            left: left as usize,
            top: top as usize,
            right: (right as usize).min(width.saturating_sub(1)),
            bottom: (bottom as usize).min(rows.saturating_sub(1)),
        };
        if !fits || !shape.is_drawn(&ink, width) {
            continue;
        }
        let area = Area {
            left: left as f32 * ground.scale,
            top: top as f32 * ground.scale,
            right: (right + 1) as f32 * ground.scale,
            bottom: (bottom + 1) as f32 * ground.scale,
        };
        // The inner border of the same box.
        if !boxes.iter().any(|(known, _)| known.holds(area.middle())) {
            boxes.push((area, shape.ink_inside(&ink, width) > TICKED));
        }
    }
    boxes
        .into_iter()
        .filter_map(|(area, ticked)| field(area, ticked, lines, areas, frame, height))
        .collect()
}

/// The field of a box; none if it is a letter or nothing stands beside it.
fn field(
    area: Area,
    ticked: bool,
    lines: &[Line],
    areas: &[Area],
    frame: &Frame,
    height: f32,
) -> Option<FormField> {
    let middle = area.middle();
    let within = (0..lines.len()).find(|&i| areas[i].holds(middle));
    let label = match within {
        Some(i) => {
            let text = lines[i].text.trim();
            let first = text.chars().next()?;
            let at_begin = middle.x < areas[i].left + 1.5 * height;
            // A letter that was read there is no box.
            let first_word = lines[i].words.first().map(|word| frame.area(&word.outline));
            let unread = first_word.is_some_and(|word| word.left > middle.x);
            if text.chars().count() < 2 {
                beside(&area, areas, height).filter(|&other| other != i)?
            } else if at_begin && (BOX_LETTERS.contains(&first) || unread) {
                i
            } else {
                return None;
            }
        }
        None => beside(&area, areas, height)?,
    };
    let line = &lines[label];
    let text = line.text.trim().trim_start_matches(BOX_LETTERS).trim();
    (!text.is_empty()).then(|| FormField {
        name: Part {
            outline: line.outline,
            text: text.to_owned(),
            confidence: line.confidence,
            spans: vec![Span {
                line: label,
                words: 0..line.words.len(),
            }],
        },
        value: Part {
            outline: frame.outline(&area),
            ..Part::default()
        },
        ticked: Some(ticked),
    })
}

/// The line next to a box, rather to its right.
fn beside(area: &Area, areas: &[Area], height: f32) -> Option<usize> {
    let row = || (0..areas.len()).filter(|&i| areas[i].beside(area));
    let gap = |from: f32, to: f32| {
        let gap = to - from;
        (-0.3 * height..=REACH * height).contains(&gap).then_some(gap)
    };
    let nearest = |gap: &dyn Fn(usize) -> Option<f32>| {
        row()
            .filter_map(|i| Some((gap(i)?, i)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, i)| i)
    };
    nearest(&|i| gap(area.right, areas[i].left)).or_else(|| nearest(&|i| gap(areas[i].right, area.left)))
}

/// 1 where a pixel is darker than the mean of what is around it.
fn ink(grey: &GrayImage, reach: usize) -> Vec<u8> {
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    let stride = width + 1;
    let mut sums = vec![0_u64; stride * (height + 1)];
    for (y, row) in grey.as_raw().chunks_exact(width.max(1)).enumerate() {
        let mut sum = 0;
        for (x, &pixel) in row.iter().enumerate() {
            sum += u64::from(pixel);
            sums[(y + 1) * stride + x + 1] = sums[y * stride + x + 1] + sum;
        }
    }
    let mut ink = vec![0; width * height];
    for y in 0..height {
        let (top, bottom) = (y.saturating_sub(reach), (y + reach + 1).min(height));
        for x in 0..width {
            let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(width));
            let sum = sums[bottom * stride + right] + sums[top * stride + left]
                - sums[top * stride + right]
                - sums[bottom * stride + left];
            let mean = (sum / ((bottom - top) * (right - left)) as u64) as u32;
            let pixel = u32::from(grey.as_raw()[y * width + x]);
            ink[y * width + x] = u8::from(pixel + INK < mean);
        }
    }
    ink
}

/// What may be a box, in pixels; the limits belong to it.
struct Shape {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

// === impl Shape ===

impl Shape {
    /// Whether there is ink along each side.
    fn is_drawn(&self, ink: &[u8], width: usize) -> bool {
        let at = |x: usize, y: usize| ink[y * width + x] != 0;
        let depth = 2.min((self.right - self.left) / 4);
        let row = |y: usize| {
            let near = y.saturating_sub(depth).max(self.top)..=(y + depth).min(self.bottom);
            let drawn = (self.left..=self.right)
                .filter(|&x| near.clone().any(|y| at(x, y)))
                .count();
            drawn as f32 >= DRAWN * (self.right - self.left + 1) as f32
        };
        let column = |x: usize| {
            let near = x.saturating_sub(depth).max(self.left)..=(x + depth).min(self.right);
            let drawn = (self.top..=self.bottom)
                .filter(|&y| near.clone().any(|x| at(x, y)))
                .count();
            drawn as f32 >= DRAWN * (self.bottom - self.top + 1) as f32
        };
        row(self.top)
            && row(self.bottom)
            && column(self.left)
            && column(self.right)
            && self.stands_alone(ink, width)
    }

    /// Whether nothing is right outside of it, and something at its corners: it is neither the inner border of a ring nor
    /// the outer one of a round one.
    fn stands_alone(&self, ink: &[u8], width: usize) -> bool {
        let rows = ink.len() / width;
        let at = |x: usize, y: usize| x < width && y < rows && ink[y * width + x] != 0;
        let (above, below) = (self.top.wrapping_sub(1), self.bottom + 1);
        let (before, after) = (self.left.wrapping_sub(1), self.right + 1);
        let across = (self.left..=self.right).flat_map(|x| [at(x, above), at(x, below)]);
        let down = (self.top..=self.bottom).flat_map(|y| [at(before, y), at(after, y)]);
        let outside = across.chain(down).filter(|&inked| inked).count();
        let around = 2 * (self.right - self.left + self.bottom - self.top + 2);
        let corner = |x: usize, y: usize| (y..y + 3).any(|y| (x..x + 3).any(|x| at(x, y)));
        let (right, bottom) = (self.right.saturating_sub(2), self.bottom.saturating_sub(2));
        let corners = [
            (self.left, self.top),
            (right, self.top),
            (self.left, bottom),
            (right, bottom),
        ];
        outside * 10 < around && corners.into_iter().all(|(x, y)| corner(x, y))
    }

    /// The share of the inside that is ink.
    fn ink_inside(&self, ink: &[u8], width: usize) -> f32 {
        let inset = ((self.right - self.left) / 4).max(3);
        let (columns, rows) = (
            self.left + inset..self.right.saturating_sub(inset),
            self.top + inset..self.bottom.saturating_sub(inset),
        );
        let all = columns.len() * rows.len();
        let inked: usize = rows
            .map(|y| columns.clone().filter(|&x| ink[y * width + x] != 0).count())
            .sum();
        if all == 0 { 0.0 } else { inked as f32 / all as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Picture;

    #[test]
    fn squares_beside_text_are_boxes_and_a_cross_ticks_them() {
        let page = Picture::from_fn(200, 60, |x, y| {
            let outline = |left: u32| {
                let within = (left..left + 18).contains(&x) && (20..38).contains(&y);
                let inside = (left + 2..left + 16).contains(&x) && (22..36).contains(&y);
                within && !inside
            };
            let cross = (100..118).contains(&x) && (20..38).contains(&y) && (x - 100).abs_diff(y - 20) < 2;
            let round = {
                let (dx, dy) = (x as f32 - 169.0, y as f32 - 29.0);
                (7.0..9.0).contains(&dx.hypot(dy))
            };
            image::Rgb(
                [if outline(20) || outline(100) || cross || round {
                    10
                } else {
                    250
                }; 3],
            )
        });
        let frame = Frame::of(&[], (200, 60), false);
        let label = |left: f32, text: &str| {
            let area = Area {
                left,
                top: 22.0,
                right: left + 40.0,
                bottom: 36.0,
            };
            let line = Line {
                text: text.to_owned(),
                ..Line::default()
            };
            (line, area)
        };
        let (lines, areas): (Vec<_>, Vec<_>) = [label(42.0, "Yes"), label(121.0, "No")].into_iter().unzip();
        let found = marks(&Ground::of(&page, &frame), &lines, &areas, &frame, 14.0);
        let told: Vec<_> = found
            .iter()
            .map(|field| (field.name.text.as_str(), field.ticked))
            .collect();
        assert_eq!(told, [("Yes", Some(false)), ("No", Some(true))]);
    }
}
