//! Rules: thin straight lines that are drawn along or across a page, as tables have them.
//!
//! A pixel belongs to a rule along the page if it differs in the same way from what is a few pixels above and below;
//! runs of such pixels that follow one another are a rule. So neither the colour of the ground nor that of the rule
//! matters, and the edge of a filled area is none.

use image::GrayImage;

use super::frame::{Area, Frame};
use crate::domain::{Picture, Point};

/// A picture is looked at with its longer side at most so long, in pixels.
const LONGEST_SIDE: u32 = 2400;
/// Grey levels by which a rule differs from what is around it.
const CONTRAST: i16 = 24;
/// Holes in a rule, at most, in pixels.
const HOLE: usize = 3;
/// A run that is shorter than this begins no rule.
const SHORTEST_RUN: usize = 12;
/// A slant below this leaves a rule in one row of pixels for long enough.
const STRAIGHT: f32 = 0.15;

/// A rule: where it is across its direction, and from where to where along it; in a page's frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub(super) at: f32,
    pub(super) from: f32,
    pub(super) to: f32,
}

/// The rules of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rules {
    /// Along the baselines, from the top.
    pub(super) along: Vec<Rule>,
    /// Across them, from the left.
    pub(super) across: Vec<Rule>,
}

/// A page in grey along its frame, maybe smaller.
pub(super) struct Ground {
    pub(super) grey: GrayImage,
    /// Pixels of the page for one of the ground.
    pub(super) scale: f32,
}

// === impl Ground ===

impl Ground {
    /// The page along its frame; beyond its edges it is white.
    pub(super) fn of(page: &Picture, frame: &Frame) -> Self {
        let longer = page.width().max(page.height()).max(1);
        let factor = longer.div_ceil(LONGEST_SIDE);
        let scale = factor as f32;
        let (width, height) = (page.width() / factor, page.height() / factor);
        let grey = |x: u32, y: u32| {
            let [r, g, b] = page.get_pixel(x, y).0.map(u32::from);
            ((r * 77 + g * 150 + b * 29) >> 8) as u8
        };
        let straight = frame.degrees.abs() < STRAIGHT;
        let grey = GrayImage::from_fn(width, height, |x, y| {
            // The darkest of the pixels that become one: thin rules stay.
            let darkest = |x: u32, y: u32| {
                let pixels = (0..factor).flat_map(|dy| (0..factor).map(move |dx| (x + dx, y + dy)));
                pixels.map(|(x, y)| grey(x, y)).min().unwrap_or(255)
            };
            if straight {
                return image::Luma([darkest(x * factor, y * factor)]);
            }
            let middle = Point {
                x: (x as f32 + 0.5) * scale,
                y: (y as f32 + 0.5) * scale,
            };
            let Point { x, y } = frame.outward(middle);
            let inside = x >= 0.0
                && y >= 0.0
                && (x as u32) + factor <= page.width()
                && (y as u32) + factor <= page.height();
            image::Luma([if inside { darkest(x as u32, y as u32) } else { 255 }])
        });
        Self { grey, scale }
    }

    /// The grey level behind the text in an area of the page: the one that most pixels are near to.
    pub(super) fn level(&self, area: &Area) -> Option<u8> {
        let side = |value: f32, most: u32| ((value / self.scale).max(0.0) as u32).min(most);
        let (left, right) = (
            side(area.left, self.grey.width()),
            side(area.right, self.grey.width()),
        );
        let (top, bottom) = (
            side(area.top, self.grey.height()),
            side(area.bottom, self.grey.height()),
        );
        let mut levels = [0_u32; 32];
        for y in top..bottom {
            for x in left..right {
                levels[usize::from(self.grey.get_pixel(x, y).0[0] / 8)] += 1;
            }
        }
        let most = levels.iter().max().filter(|&&count| count > 0)?;
        let step = levels.iter().position(|count| count == most)?;
        Some(step as u8 * 8 + 4)
    }
}

// === impl Rules ===

impl Rules {
    /// The rules on a ground whose lines of text are so high, in pixels of the page.
    pub(super) fn on(ground: &Ground, line_height: f32) -> Self {
        let (width, height) = (ground.grey.width() as usize, ground.grey.height() as usize);
        let line = line_height / ground.scale;
        let sought = Sought {
            thickness: (line * 0.3).clamp(4.0, 12.0) as usize,
            length: (line * 2.5).max(24.0),
        };
        let pixels = ground.grey.as_raw();
        let mut turned = vec![0; pixels.len()];
        for (y, row) in pixels.chunks_exact(width.max(1)).enumerate() {
            for (x, &pixel) in row.iter().enumerate() {
                turned[x * height + y] = pixel;
            }
        }
        let page = |rules: Vec<Rule>| {
            let on_page = |rule: Rule| Rule {
                at: rule.at * ground.scale,
                from: rule.from * ground.scale,
                to: rule.to * ground.scale,
            };
            rules.into_iter().map(on_page).collect()
        };
        Self {
            along: page(sought.find(pixels, width)),
            across: page(sought.find(&turned, height)),
        }
    }
}

/// What counts as a rule, in pixels.
struct Sought {
    /// Thinner than this.
    thickness: usize,
    /// Longer than this.
    length: f32,
}

/// A rule that may go on in the next row.
struct Growing {
    from: usize,
    to: usize,
    first_row: usize,
    last_row: usize,
}

// === impl Sought ===

impl Sought {
    /// Rules along the rows of a picture of `width` columns.
    fn find(&self, pixels: &[u8], width: usize) -> Vec<Rule> {
        let reach = self.thickness;
        let height = pixels.len() / width.max(1);
        let mut growing: Vec<Growing> = Vec::new();
        let mut found = Vec::new();
        for row in reach..height.saturating_sub(reach) {
            let line = |row: usize| &pixels[row * width..][..width];
            for (from, to) in runs(line(row), line(row - reach), line(row + reach)) {
                let follows = |rule: &Growing| {
                    row - rule.last_row <= 2
                        && from <= rule.to + HOLE
                        && rule.from <= to + HOLE
                        && row - rule.first_row < reach * 8
                };
                match growing.iter_mut().find(|rule| follows(rule)) {
                    Some(rule) => {
                        rule.from = rule.from.min(from);
                        rule.to = rule.to.max(to);
                        rule.last_row = row;
                    }
                    None => growing.push(Growing {
                        from,
                        to,
                        first_row: row,
                        last_row: row,
                    }),
                }
            }
            growing.retain(|rule| {
                let ended = row - rule.last_row > 2;
                if ended {
                    found.push((rule.from, rule.to, rule.first_row, rule.last_row));
                }
                !ended
            });
        }
        found.extend(
            growing
                .iter()
                .map(|rule| (rule.from, rule.to, rule.first_row, rule.last_row)),
        );
        let mut rules: Vec<Rule> = found
            .into_iter()
            .filter(|&(from, to, first, last)| {
                let (length, thickness) = ((to - from) as f32, last - first);
                length >= self.length && thickness < reach.max((length * 0.02) as usize)
            })
            .map(|(from, to, first, last)| Rule {
                at: (first + last + 1) as f32 / 2.0,
                from: from as f32,
                to: to as f32,
            })
            .collect();
        rules.sort_by(|a, b| a.at.total_cmp(&b.at));
        rules
    }
}

/// From where to where a row differs from the rows above and below it.
fn runs(row: &[u8], above: &[u8], below: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let around = above.iter().zip(below);
    for (x, (&pixel, (&above, &below))) in row.iter().zip(around).enumerate() {
        let (up, down) = (
            i16::from(above) - i16::from(pixel),
            i16::from(below) - i16::from(pixel),
        );
        let stands_out = (up > CONTRAST && down > CONTRAST) || (up < -CONTRAST && down < -CONTRAST);
        if !stands_out {
            continue;
        }
        match runs.last_mut() {
            Some((_, to)) if x - *to <= HOLE => *to = x + 1,
            _ => runs.push((x, x + 1)),
        }
    }
    runs.retain(|(from, to)| to - from >= SHORTEST_RUN);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(slant: f32) -> Picture {
        let rows = [40.0, 80.0, 120.0];
        Picture::from_fn(300, 160, |x, y| {
            let (dx, dy) = (x as f32 - 150.0, y as f32 - 80.0);
            let (sin, cos) = slant.to_radians().sin_cos();
            let (x, y) = (150.0 + dx * cos + dy * sin, 80.0 - dx * sin + dy * cos);
            let on_rule = (30.0..270.0).contains(&x) && rows.iter().any(|row| (y - row).abs() < 1.0);
            let filled = (60.0..200.0).contains(&x) && (90.0..110.0).contains(&y);
            image::Rgb(
                [if on_rule {
                    20
                } else if filled {
                    120
                } else {
                    240
                }; 3],
            )
        })
    }

    fn rules(page: &Picture, degrees: f32) -> Rules {
        let mut line = crate::domain::Line {
            angle_degrees: degrees,
            ..crate::domain::Line::default()
        };
        line.outline.0[1].x = 100.0;
        let frame = Frame::of(&[line], (page.width(), page.height()), true);
        Rules::on(&Ground::of(page, &frame), 16.0)
    }

    #[test]
    fn thin_lines_are_rules_and_edges_are_not() {
        for degrees in [0.0, 3.0] {
            let found = rules(&page(degrees), degrees);
            assert!(found.across.is_empty(), "{found:?}");
            let at: Vec<f32> = found.along.iter().map(|rule| (rule.at / 10.0).round()).collect();
            assert_eq!(at, [4.0, 8.0, 12.0], "at {degrees} degrees: {found:?}");
            let lengths = found.along.iter().map(|rule| rule.to - rule.from);
            assert!(
                lengths.into_iter().all(|length| (length - 240.0).abs() < 8.0),
                "{found:?}"
            );
        }
    }

    #[test]
    fn an_empty_page_has_none() {
        assert_eq!(rules(&Picture::new(0, 0), 0.0), Rules::default());
    }
}
