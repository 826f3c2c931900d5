//! A line on a sheet before it is read: where it is, and how to cut it out so that its text runs from left to right.

use super::detect::{Corners, distance};
use crate::domain::{Picture, Quad};
use crate::page::cut::cut;

/// So much higher than wide, a box holds a line that runs down the page.
const TALL: f32 = 1.5;

/// A line on a sheet.
#[derive(Debug, Clone)]
pub(super) struct Strip {
    /// Clockwise from the top left of the sheet.
    corners: Corners,
    width: u32,
    height: u32,
    /// It runs down the page.
    pub(super) tall: bool,
    /// The probability that it stands on its head, 0 without a classifier.
    pub(super) upside_down: f32,
}

// === impl Strip ===

impl Strip {
    /// The line within the corners; none if they hold not even a pixel.
    pub(super) fn of(corners: Corners) -> Option<Self> {
        let [a, b, c, d] = corners;
        let width = distance(a, b).max(distance(c, d)) as u32;
        let height = distance(a, d).max(distance(b, c)) as u32;
        (width > 0 && height > 0).then(|| Self {
            corners,
            width,
            height,
            tall: height as f32 / width as f32 >= TALL,
            upside_down: 0.0,
        })
    }

    /// Width and height of the line as it is read.
    pub(super) fn size(&self) -> (u32, u32) {
        if self.tall {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }

    /// Along the text, in pixels of the sheet.
    pub(super) fn length(&self) -> f32 {
        self.size().0 as f32
    }

    /// Across the text, in pixels of the sheet.
    pub(super) fn breadth(&self) -> f32 {
        self.size().1 as f32
    }

    /// The line as a picture of its own; a tall one is turned to the left. `on_head`: then by half a turn.
    pub(super) fn cut(&self, sheet: &Picture, on_head: bool) -> Picture {
        let line = cut(sheet, &self.corners, self.width, self.height);
        match (self.tall, on_head) {
            (false, false) => line,
            (false, true) => image::imageops::rotate180(&line),
            (true, false) => image::imageops::rotate270(&line),
            (true, true) => image::imageops::rotate90(&line),
        }
    }

    /// The corners clockwise from the top left of the text.
    pub(super) fn outline(&self, on_head: bool) -> Quad {
        let mut corners = self.corners;
        corners.rotate_left(match (self.tall, on_head) {
            (false, false) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (true, true) => 3,
        });
        Quad(corners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Point;

    fn strip(width: f32, height: f32) -> Strip {
        let at = |x: f32, y: f32| Point { x, y };
        Strip::of([at(0.0, 0.0), at(width, 0.0), at(width, height), at(0.0, height)]).expect("pixels")
    }

    #[test]
    fn a_tall_box_is_laid_down_so_that_text_runs_to_the_right() {
        // Black at the top right corner, where a line that runs down the page begins.
        let sheet = Picture::from_fn(10, 30, |x, y| {
            image::Rgb([if x > 6 && y < 5 { 0 } else { 255 }; 3])
        });
        let strip = strip(10.0, 30.0);
        assert!(strip.tall);
        assert_eq!(strip.size(), (30, 10));
        let line = strip.cut(&sheet, false);
        assert_eq!((line.dimensions(), line.get_pixel(1, 1).0[0]), ((30, 10), 0));
        assert_eq!(strip.outline(false).0[0], Point { x: 10.0, y: 0.0 });
        let head = strip.cut(&sheet, true);
        assert_eq!(head.get_pixel(28, 8).0[0], 0);
        assert_eq!(strip.outline(true).0[0], Point { x: 0.0, y: 30.0 });
    }

    #[test]
    fn a_wide_box_stays_as_it_is() {
        let strip = strip(40.0, 10.0);
        assert!(!strip.tall);
        assert_eq!(strip.outline(true).0[0], Point { x: 40.0, y: 10.0 });
        assert!(Strip::of([Point::default(); 4]).is_none());
    }
}
