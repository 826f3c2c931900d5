//! A page in the size at which it is read, and the way back to the page.
//!
//! As RapidOCR prepares pages: the longer side at most 2,000 pixels, the shorter at least 30, and strips of text get
//! black margins, because detection was trained on pages.

use crate::domain::{Picture, Point};
use crate::page::resize::resize;

/// The longer side, at most, in pixels.
pub(super) const MAX_SIDE: u32 = 2000;
/// The shorter side, at least, in pixels.
const MIN_SIDE: u32 = 30;
/// A page that is wider than this many times its height is a strip.
const WIDEST: u32 = 8;
/// Sides of what the models see are multiples of this.
pub(super) const GRID: u32 = 32;

/// A page in reading size.
pub(super) struct Sheet {
    pub(super) picture: Picture,
    /// Pixels of the page for one pixel of the sheet, across and down.
    scale: [f32; 2],
    /// Rows of margin above the page.
    margin: u32,
    /// The size of the page.
    page: [f32; 2],
}

/// To the nearest multiple of [`GRID`] as Python rounds, but never nothing.
pub(super) fn on_grid(side: f64) -> u32 {
    let steps = (side.trunc() / f64::from(GRID)).round_ties_even();
    (steps as u32 * GRID).max(GRID)
}

// === impl Sheet ===

impl Sheet {
    /// The page, its longer side at most `max_side` pixels.
    pub(super) fn of(page: &Picture, max_side: u32) -> Self {
        let (width, height) = (page.width(), page.height());
        let mut picture = None;
        let longer = width.max(height);
        if longer > max_side {
            let ratio = f64::from(max_side) / f64::from(longer);
            picture = Some(scaled(page, ratio));
        }
        let current = picture.as_ref().unwrap_or(page);
        let shorter = current.width().min(current.height()).max(1);
        if shorter < MIN_SIDE {
            let ratio = f64::from(MIN_SIDE) / f64::from(shorter);
            picture = Some(scaled(current, ratio));
        }
        let picture = picture.unwrap_or_else(|| page.clone());
        let scale = [
            width as f32 / picture.width().max(1) as f32,
            height as f32 / picture.height().max(1) as f32,
        ];
        let (picture, margin) = with_margins(picture);
        Self {
            picture,
            scale,
            margin,
            page: [width as f32, height as f32],
        }
    }

    /// A place on the page.
    pub(super) fn to_page(&self, point: Point) -> Point {
        Point {
            x: (point.x * self.scale[0]).clamp(0.0, self.page[0]),
            y: ((point.y - self.margin as f32) * self.scale[1]).clamp(0.0, self.page[1]),
        }
    }
}

fn scaled(picture: &Picture, ratio: f64) -> Picture {
    let side = |side: u32| on_grid(f64::from(side) * ratio);
    resize(picture, side(picture.width()), side(picture.height()))
}

/// A strip gets so much black above and below that it is a page; the rows above.
fn with_margins(picture: Picture) -> (Picture, u32) {
    let (width, height) = (picture.width(), picture.height());
    if height > MIN_SIDE && width <= WIDEST * height {
        return (picture, 0);
    }
    let wanted = (width / WIDEST).max(MIN_SIDE) * 2;
    let margin = wanted.abs_diff(height) / 2;
    let mut sheet = Picture::new(width, height + 2 * margin);
    image::imageops::replace(&mut sheet, &picture, 0, i64::from(margin));
    (sheet, margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(sheet: &Sheet) -> (u32, u32) {
        sheet.picture.dimensions()
    }

    #[test]
    fn large_pages_are_made_smaller_and_places_lead_back() {
        let sheet = Sheet::of(&Picture::new(4000, 2864), MAX_SIDE);
        assert_eq!(size(&sheet), (1984, 1440));
        let corner = sheet.to_page(Point { x: 1984.0, y: 720.0 });
        assert!(
            (corner.x - 4000.0).abs() < 0.1 && (corner.y - 1432.0).abs() < 0.1,
            "{corner:?}"
        );
        assert_eq!(
            sheet.to_page(Point { x: -3.0, y: 9000.0 }),
            Point { x: 0.0, y: 2864.0 }
        );
    }

    #[test]
    fn a_strip_becomes_a_page_and_nothing_is_lost_to_rounding() {
        let sheet = Sheet::of(&Picture::new(280, 32), MAX_SIDE);
        assert_eq!(size(&sheet), (280, 70));
        assert_eq!(sheet.to_page(Point { x: 5.0, y: 19.0 }), Point { x: 5.0, y: 0.0 });
        assert_eq!(size(&Sheet::of(&Picture::new(10, 3), MAX_SIDE)), (96, 32));
        assert_eq!(size(&Sheet::of(&Picture::new(9000, 12), MAX_SIDE)), (1984, 496));
    }
}
