//! The slant of a page, and its lines as upright boxes along it.

use crate::domain::{Line, Point, Quad};

/// Lines shorter than this many times their height say little about the slant.
const LONG: f32 = 3.0;

/// A frame whose x axis runs along the baselines of a page. It is turned about the middle of the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    center: Point,
    sin: f32,
    cos: f32,
    /// The angle of the baselines, clockwise, in degrees.
    pub(super) degrees: f32,
}

/// An upright box in a [`Frame`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

// === impl Frame ===

impl Frame {
    /// The frame of a page of this size. Not `straighten`: the page's own.
    pub(super) fn of(lines: &[Line], (width, height): (u32, u32), straighten: bool) -> Self {
        let degrees = if straighten { slant(lines) } else { 0.0 };
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self {
            center: Point {
                x: width as f32 / 2.0,
                y: height as f32 / 2.0,
            },
            sin,
            cos,
            degrees,
        }
    }

    /// A place of the page in the frame.
    pub(super) fn inward(&self, point: Point) -> Point {
        let (x, y) = (point.x - self.center.x, point.y - self.center.y);
        Point {
            x: self.center.x + x * self.cos + y * self.sin,
            y: self.center.y - x * self.sin + y * self.cos,
        }
    }

    /// A place of the frame on the page.
    pub(super) fn outward(&self, point: Point) -> Point {
        let (x, y) = (point.x - self.center.x, point.y - self.center.y);
        Point {
            x: self.center.x + x * self.cos - y * self.sin,
            y: self.center.y + x * self.sin + y * self.cos,
        }
    }

    /// The box of an outline. The sides of slanted outlines are taken at their middle.
    pub(super) fn area(&self, outline: &Quad) -> Area {
        let [a, b, c, d] = outline.0.map(|corner| self.inward(corner));
        if (b.x - a.x).abs() > (b.y - a.y).abs() {
            let (left, right) = ((a.x + d.x) / 2.0, (b.x + c.x) / 2.0);
            let (top, bottom) = ((a.y + b.y) / 2.0, (c.y + d.y) / 2.0);
            return Area {
                left: left.min(right),
                top: top.min(bottom),
                right: left.max(right),
                bottom: top.max(bottom),
            };
        }
        let corners = [a, b, c, d];
        let least = |axis: fn(&Point) -> f32| corners.iter().map(axis).fold(f32::INFINITY, f32::min);
        let most = |axis: fn(&Point) -> f32| corners.iter().map(axis).fold(f32::NEG_INFINITY, f32::max);
        Area {
            left: least(|p| p.x),
            top: least(|p| p.y),
            right: most(|p| p.x),
            bottom: most(|p| p.y),
        }
    }

    /// The outline of a box, on the page.
    pub(super) fn outline(&self, area: &Area) -> Quad {
        let at = |x: f32, y: f32| self.outward(Point { x, y });
        Quad([
            at(area.left, area.top),
            at(area.right, area.top),
            at(area.right, area.bottom),
            at(area.left, area.bottom),
        ])
    }
}

/// The angle of most baselines, weighed by their length, -45 to 45 degrees.
fn slant(lines: &[Line]) -> f32 {
    let mut angles: Vec<(f32, f32)> = lines
        .iter()
        .filter_map(|line| {
            let [a, b, _, d] = line.outline.0;
            let length = (b.x - a.x).hypot(b.y - a.y);
            let height = (d.x - a.x).hypot(d.y - a.y);
            let angle = line.angle_degrees;
            (angle.abs() <= 45.0 && length > LONG * height).then_some((angle, length))
        })
        .collect();
    angles.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = angles.iter().map(|(_, length)| length).sum::<f32>() / 2.0;
    let mut passed = 0.0;
    for (angle, length) in angles {
        passed += length;
        if passed >= half {
            return angle;
        }
    }
    0.0
}

// === impl Area ===

impl Area {
    pub(super) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    pub(super) fn middle(&self) -> Point {
        Point {
            x: (self.left + self.right) / 2.0,
            y: (self.top + self.bottom) / 2.0,
        }
    }

    /// The least box around boxes; an empty one around none.
    pub(super) fn around<'a>(areas: impl IntoIterator<Item = &'a Self>) -> Self {
        areas
            .into_iter()
            .copied()
            .reduce(|a, b| Self {
                left: a.left.min(b.left),
                top: a.top.min(b.top),
                right: a.right.max(b.right),
                bottom: a.bottom.max(b.bottom),
            })
            .unwrap_or_default()
    }

    pub(super) fn holds(&self, point: Point) -> bool {
        (self.left..=self.right).contains(&point.x) && (self.top..=self.bottom).contains(&point.y)
    }

    /// Whether two boxes stand beside one another: they share at least half of the lower one's height.
    pub(super) fn beside(&self, other: &Self) -> bool {
        let shared = self.bottom.min(other.bottom) - self.top.max(other.top);
        shared >= self.height().min(other.height()) * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(x: f32, y: f32, length: f32, degrees: f32) -> Line {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let at = |along: f32, across: f32| Point {
            x: x + along * cos - across * sin,
            y: y + along * sin + across * cos,
        };
        Line {
            outline: Quad([at(0.0, 0.0), at(length, 0.0), at(length, 10.0), at(0.0, 10.0)]),
            angle_degrees: degrees,
            ..Line::default()
        }
    }

    #[test]
    fn the_slant_is_that_of_the_longest_lines() {
        let lines = [
            line(0.0, 0.0, 300.0, 3.0),
            line(0.0, 50.0, 280.0, 3.2),
            line(0.0, 90.0, 40.0, -9.0),
        ];
        let frame = Frame::of(&lines, (400, 200), true);
        assert!((frame.degrees - 3.0).abs() < 0.01, "{}", frame.degrees);
        let area = frame.area(&lines[0].outline);
        assert!(
            (area.width() - 300.0).abs() < 0.01 && (area.height() - 10.0).abs() < 0.01,
            "{area:?}"
        );
        let outline = frame.outline(&area);
        assert!(
            (outline.0[2].y - lines[0].outline.0[2].y).abs() < 0.01,
            "{outline:?}"
        );
        assert_eq!(Frame::of(&lines, (400, 200), false).degrees, 0.0);
        assert_eq!(Frame::of(&[], (400, 200), true).degrees, 0.0);
    }
}
