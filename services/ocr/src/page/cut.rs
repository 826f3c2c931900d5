//! Cuts a quadrilateral out of a page as an upright picture: perspective and bicubic interpolation, as OpenCV's
//! `warpPerspective` with `INTER_CUBIC` and `BORDER_REPLICATE`.

use crate::domain::{Picture, Point};

/// What lies within the corners (clockwise from the top left), in `width` by `height` pixels.
pub fn cut(page: &Picture, corners: &[Point; 4], width: u32, height: u32) -> Picture {
    if page.width() == 0 || page.height() == 0 {
        return Picture::new(width, height);
    }
    if let Some((left, top)) = upright(page, corners, width, height) {
        return image::imageops::crop_imm(page, left, top, width, height).to_image();
    }
    let plane = Plane::between(corners, f64::from(width), f64::from(height));
    let source = Source::of(page);
    let mut out = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = plane.place(f64::from(x), f64::from(y));
            out.extend(source.at(x as f32, y as f32));
        }
    }
    Picture::from_raw(width, height, out).unwrap_or_else(|| Picture::new(width, height))
}

/// The top left pixel, if the corners are those of an upright rectangle of whole pixels in the size that is wanted:
/// then there is nothing to interpolate.
fn upright(page: &Picture, corners: &[Point; 4], width: u32, height: u32) -> Option<(u32, u32)> {
    let [a, b, c, d] = *corners;
    let straight = a.y == b.y && b.x == c.x && c.y == d.y && d.x == a.x;
    let fits = a.x >= 0.0 && a.y >= 0.0 && b.x - a.x == width as f32 && d.y - a.y == height as f32;
    let whole = a.x.fract() == 0.0 && a.y.fract() == 0.0;
    let (left, top) = (a.x as u32, a.y as u32);
    let inside = left + width <= page.width() && top + height <= page.height();
    (straight && fits && whole && inside).then_some((left, top))
}

/// The projective map from a rectangle to a quadrilateral (Heckbert 1989).
struct Plane {
    x: [f64; 3],
    y: [f64; 3],
    w: [f64; 2],
}

/// A page and how to look between its pixels.
struct Source<'a> {
    data: &'a [u8],
    width: isize,
    height: isize,
}

// === impl Plane ===

impl Plane {
    fn between(corners: &[Point; 4], width: f64, height: f64) -> Self {
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] =
            corners.map(|corner| (f64::from(corner.x), f64::from(corner.y)));
        let (dx1, dy1) = (x1 - x2, y1 - y2);
        let (dx2, dy2) = (x3 - x2, y3 - y2);
        let (sx, sy) = (x0 - x1 + x2 - x3, y0 - y1 + y2 - y3);
        let area = dx1 * dy2 - dx2 * dy1;
        let (g, h) = if area == 0.0 {
            (0.0, 0.0)
        } else {
            ((sx * dy2 - sy * dx2) / area, (dx1 * sy - dy1 * sx) / area)
        };
        Self {
            x: [(x1 - x0 + g * x1) / width, (x3 - x0 + h * x3) / height, x0],
            y: [(y1 - y0 + g * y1) / width, (y3 - y0 + h * y3) / height, y0],
            w: [g / width, h / height],
        }
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let scale = 1.0 / (self.w[0] * x + self.w[1] * y + 1.0);
        let along = |[a, b, c]: [f64; 3]| (a * x + b * y + c) * scale;
        (along(self.x), along(self.y))
    }
}

// === impl Source ===

impl<'a> Source<'a> {
    fn of(page: &'a Picture) -> Self {
        Self {
            data: page.as_raw(),
            width: page.width() as isize,
            height: page.height() as isize,
        }
    }

    /// The colour at a place between pixels; beyond an edge the edge goes on.
    fn at(&self, x: f32, y: f32) -> [u8; 3] {
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (weights(x - left), weights(y - top));
        let (left, top) = (left as isize - 1, top as isize - 1);
        let inside = left >= 0 && top >= 0 && left + 4 <= self.width && top + 4 <= self.height;
        let mut sum = [0.0_f32; 3];
        for (row, down) in down.iter().enumerate() {
            let row = (top + row as isize).clamp(0, self.height - 1) * self.width;
            let pixels: [[u8; 3]; 4] = if inside {
                let start = (row + left) as usize * 3;
                let pixels = &self.data[start..start + 12];
                [0, 3, 6, 9].map(|i| [pixels[i], pixels[i + 1], pixels[i + 2]])
            } else {
                [0, 1, 2, 3].map(|i| {
                    let start = (row + (left + i).clamp(0, self.width - 1)) as usize * 3;
                    [self.data[start], self.data[start + 1], self.data[start + 2]]
                })
            };
            for (pixel, across) in pixels.iter().zip(across) {
                let weight = across * down;
                for (sum, &value) in sum.iter_mut().zip(pixel) {
                    *sum += f32::from(value) * weight;
                }
            }
        }
        sum.map(|value| value.round_ties_even().clamp(0.0, 255.0) as u8)
    }
}

/// The weights of four neighbours at `x` (0 to 1) between the second and the third: Keys 1981 with a = -0.75.
fn weights(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let before = x + 1.0;
    let after = 1.0 - x;
    let first = ((A * before - 5.0 * A) * before + 8.0 * A) * before - 4.0 * A;
    let second = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let third = ((A + 2.0) * after - (A + 3.0)) * after * after + 1.0;
    [first, second, third, 1.0 - first - second - third]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Picture {
        Picture::from_fn(40, 30, |x, y| {
            image::Rgb([(x * 6) as u8, (y * 8) as u8, (x + y) as u8])
        })
    }

    fn corners(points: [(f32, f32); 4]) -> [Point; 4] {
        points.map(|(x, y)| Point { x, y })
    }

    #[test]
    fn an_upright_rectangle_is_copied() {
        let part = cut(
            &page(),
            &corners([(5.0, 4.0), (15.0, 4.0), (15.0, 12.0), (5.0, 12.0)]),
            10,
            8,
        );
        assert_eq!(part.get_pixel(0, 0), page().get_pixel(5, 4));
        assert_eq!(part.get_pixel(9, 7), page().get_pixel(14, 11));
    }

    #[test]
    fn a_slanted_one_is_straightened() {
        // Along (4, 1) and across (-1, 4), so that each step lands between pixels of a linear ramp.
        let part = cut(
            &page(),
            &corners([(12.0, 8.0), (28.0, 12.0), (26.0, 20.0), (10.0, 16.0)]),
            16,
            8,
        );
        let place = |x: f32, y: f32| (12.0 + x - y * 0.25, 8.0 + x * 0.25 + y);
        for (x, y) in [(0, 0), (8, 4), (15, 7)] {
            let (px, py) = place(x as f32, y as f32);
            let pixel = part.get_pixel(x, y).0;
            assert!(
                (f32::from(pixel[0]) - px * 6.0).abs() <= 1.0,
                "{pixel:?} at {px} {py}"
            );
            assert!(
                (f32::from(pixel[1]) - py * 8.0).abs() <= 1.0,
                "{pixel:?} at {px} {py}"
            );
        }
    }

    #[test]
    fn beyond_the_edge_the_edge_goes_on() {
        let part = cut(
            &page(),
            &corners([(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)]),
            8,
            8,
        );
        assert_eq!(part.get_pixel(0, 0), page().get_pixel(0, 0));
        assert_eq!(
            cut(&Picture::new(0, 0), &[Point::default(); 4], 2, 2),
            Picture::new(2, 2)
        );
    }
}
