//! Finds lines of text: a map of how probable text is, thresholded, and around each patch of it a rectangle at any
//! angle (differentiable binarization, Liao et al. 2020). Steps and rounding are those of RapidOCR.

mod score;

use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Cancel, Error, SessionPool, TerminateOn};

use super::sheet::on_grid;
use super::tensor::Levels;
use crate::domain::{Picture, Point};
use crate::page::contour::contours;
use crate::page::grow::grow;
use crate::page::rectangle::Rectangle;
use crate::page::resize::resize;

/// The shorter side of what the model sees, at least.
const SHORTER_SIDE: u32 = 736;
/// The longer side of what the model sees, at most: a strip of the widest proportions, in [`SHORTER_SIDE`].
const LONGER_SIDE: u32 = 8 * SHORTER_SIDE;
/// Pixels that the model sees, at most: it needs about 150 bytes of memory for each.
const MOST_PIXELS: u32 = 2016 * 2016 * 2;
/// Patches that are looked at, at most.
const MOST_PATCHES: usize = 1000;
/// The shorter side of a patch, at least, and of the grown box.
const THINNEST: f32 = 3.0;
const THINNEST_BOX: f32 = 5.0;

/// How text is told from what is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thresholds {
    pub(super) pixel: f32,
    pub(super) patch: f32,
    pub(super) unclip: f32,
}

/// The model that finds lines.
pub(super) struct Detector {
    pool: SessionPool,
    input: String,
    levels: Levels,
}

/// How probable text is, 0 to 1, row by row.
struct Map {
    values: Vec<f32>,
    width: usize,
    height: usize,
}

/// Corners of a line on the sheet, clockwise from the top left, on whole pixels.
pub(super) type Corners = [Point; 4];

// === impl Thresholds ===

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            pixel: 0.3,
            patch: 0.5,
            unclip: 1.6,
        }
    }
}

// === impl Detector ===

impl Detector {
    pub(super) fn new(pool: SessionPool) -> Result<Self, Error> {
        let (inputs, outputs) = (pool.inputs(), pool.outputs());
        let shape = inputs.first().map(|input| input.shape.as_slice());
        let fits = inputs.len() == 1
            && outputs.len() == 1
            && matches!(shape, Some([_, 3, height, width]) if *height <= 0 && *width <= 0);
        if !fits {
            let problem =
                "expected a detector of text with one input [N, 3, height, width] of any size and one output";
            return Err(Error::unfit(pool.path(), problem));
        }
        Ok(Self {
            input: inputs[0].name.clone(),
            pool,
            levels: Levels::of_detection(),
        })
    }

    /// The lines on a sheet, from the top, and from the left where they begin at about the same height.
    pub(super) fn find(
        &self,
        sheet: &Picture,
        thresholds: Thresholds,
        cancel: &Cancel,
    ) -> Result<Vec<Corners>, Error> {
        if sheet.width() == 0 || sheet.height() == 0 {
            return Ok(Vec::new());
        }
        let map = self.look(sheet, cancel)?;
        let mut boxes = map.boxes(thresholds, sheet.width(), sheet.height());
        sort(&mut boxes);
        Ok(boxes)
    }

    fn look(&self, sheet: &Picture, cancel: &Cancel) -> Result<Map, Error> {
        let (width, height) = seen_size(sheet.width(), sheet.height());
        let planes = self.levels.planes(&resize(sheet, width, height), width as usize);
        let shape = [1, 3, height as usize, width as usize];
        let input = TensorRef::from_array_view((shape, planes.as_slice()))?;
        let inputs = polyphony_inference::ort::inputs![self.input.as_str() => input];
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let values = TerminateOn::new(|| cancel.is_cancelled()).run(|options| {
            let outputs = session.run_with_options(inputs, options)?;
            Ok(outputs[0].try_extract_tensor::<f32>()?.1.to_vec())
        })?;
        if values.len() != width as usize * height as usize {
            let problem = format!(
                "gave {} values for a picture of {height} by {width}",
                values.len()
            );
            return Err(Error::unfit(self.pool.path(), problem));
        }
        Ok(Map {
            values,
            width: width as usize,
            height: height as usize,
        })
    }
}

/// The size at which the model sees a sheet.
fn seen_size(width: u32, height: u32) -> (u32, u32) {
    let (shorter, longer) = (width.min(height), width.max(height));
    let mut ratio = if shorter < SHORTER_SIDE {
        f64::from(SHORTER_SIDE) / f64::from(shorter.max(1))
    } else {
        1.0
    };
    if f64::from(longer) * ratio > f64::from(LONGER_SIDE.max(longer)) {
        ratio = f64::from(LONGER_SIDE.max(longer)) / f64::from(longer);
    }
    let pixels = f64::from(width) * f64::from(height) * ratio * ratio;
    if pixels > f64::from(MOST_PIXELS) {
        ratio *= (f64::from(MOST_PIXELS) / pixels).sqrt();
    }
    (
        on_grid(f64::from(width) * ratio),
        on_grid(f64::from(height) * ratio),
    )
}

// === impl Map ===

impl Map {
    /// The boxes around patches of text, on a sheet of this size.
    fn boxes(&self, thresholds: Thresholds, width: u32, height: u32) -> Vec<Corners> {
        let patches = contours(&self.mask(thresholds.pixel), self.width);
        // The last found first, as OpenCV lists them: it decides which are dropped where there are too many.
        let patches = patches.iter().rev().take(MOST_PATCHES);
        patches
            .filter_map(|patch| {
                let points: Vec<[f32; 2]> = patch.iter().map(|p| [p[0] as f32, p[1] as f32]).collect();
                self.box_around(&points, thresholds)
            })
            .filter_map(|corners| {
                let place = |value: f32, from: usize, to: u32| {
                    let value = (value / from as f32 * to as f32).round_ties_even();
                    value.clamp(0.0, to as f32).trunc()
                };
                let corners = corners.map(|[x, y]| Point {
                    x: place(x, self.width, width),
                    y: place(y, self.height, height),
                });
                on_sheet(corners, width, height)
            })
            .collect()
    }

    /// Where text is more probable than the threshold, and the pixel to the right, below, and both.
    fn mask(&self, threshold: f32) -> Vec<u8> {
        let mut mask: Vec<u8> = self
            .values
            .iter()
            .map(|&value| u8::from(value > threshold))
            .collect();
        for row in mask.chunks_exact_mut(self.width) {
            for column in (1..self.width).rev() {
                row[column] |= row[column - 1];
            }
        }
        for row in (1..self.height).rev() {
            let (above, below) = mask.split_at_mut(row * self.width);
            let above = &above[(row - 1) * self.width..];
            below[..self.width]
                .iter_mut()
                .zip(above)
                .for_each(|(below, above)| *below |= above);
        }
        mask
    }

    fn box_around(&self, patch: &[[f32; 2]], thresholds: Thresholds) -> Option<[[f32; 2]; 4]> {
        let tight = Rectangle::around(patch)?;
        if tight.short_side() < THINNEST {
            return None;
        }
        let corners = ordered(tight.corners());
        if self.score(&corners) < f64::from(thresholds.patch) {
            return None;
        }
        let distance = area(&corners) * f64::from(thresholds.unclip) / perimeter(&corners);
        let grown: Vec<[f32; 2]> = grow(&corners, distance)
            .iter()
            .map(|p| [p[0] as f32, p[1] as f32])
            .collect();
        let loose = Rectangle::around(&grown)?;
        (loose.short_side() >= THINNEST_BOX).then(|| ordered(loose.corners()))
    }
}

/// Corners clockwise from the top left: the two leftmost by height, the two rightmost by height.
fn ordered(mut corners: [[f32; 2]; 4]) -> [[f32; 2]; 4] {
    corners.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let [a, b, c, d] = corners;
    let (top_left, bottom_left) = if b[1] > a[1] { (a, b) } else { (b, a) };
    let (top_right, bottom_right) = if d[1] > c[1] { (c, d) } else { (d, c) };
    [top_left, top_right, bottom_right, bottom_left]
}

/// The corners clockwise from the top left and within the sheet; none if the box is too thin to hold a letter.
fn on_sheet(mut corners: Corners, width: u32, height: u32) -> Option<Corners> {
    corners.sort_by(|a, b| a.x.total_cmp(&b.x));
    corners[..2].sort_by(|a, b| a.y.total_cmp(&b.y));
    corners[2..].sort_by(|a, b| a.y.total_cmp(&b.y));
    let [top_left, bottom_left, top_right, bottom_right] = corners;
    let corners = [top_left, top_right, bottom_right, bottom_left].map(|corner| Point {
        x: corner.x.min(width as f32 - 1.0),
        y: corner.y.min(height as f32 - 1.0),
    });
    let side = |a: Point, b: Point| distance(a, b).trunc();
    (side(corners[0], corners[1]) > 3.0 && side(corners[0], corners[3]) > 3.0).then_some(corners)
}

/// From one point to another, as NumPy computes norms of single precision.
pub(super) fn distance(a: Point, b: Point) -> f32 {
    let (dx, dy) = (a.x - b.x, a.y - b.y);
    (dx * dx + dy * dy).sqrt()
}

fn area(corners: &[[f32; 2]; 4]) -> f64 {
    let twice: f64 = (0..4)
        .map(|i| {
            let (a, b) = (corners[i], corners[(i + 1) % 4]);
            f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1])
        })
        .sum();
    twice.abs() / 2.0
}

fn perimeter(corners: &[[f32; 2]; 4]) -> f64 {
    (0..4)
        .map(|i| {
            let (a, b) = (corners[i], corners[(i + 1) % 4]);
            (f64::from(a[0]) - f64::from(b[0])).hypot(f64::from(a[1]) - f64::from(b[1]))
        })
        .sum()
}

/// By the top left corner: from the top; then neighbours within 10 pixels of height from the left.
fn sort(boxes: &mut [Corners]) {
    const SAME_HEIGHT: f32 = 10.0;
    boxes.sort_by(|a, b| a[0].y.total_cmp(&b[0].y).then(a[0].x.total_cmp(&b[0].x)));
    for end in 1..boxes.len() {
        for i in (0..end).rev() {
            let (above, below) = (boxes[i][0], boxes[i + 1][0]);
            if (below.y - above.y).abs() < SAME_HEIGHT && below.x < above.x {
                boxes.swap(i, i + 1);
            } else {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_sees_small_pages_enlarged_and_strips_within_bounds() {
        assert_eq!(seen_size(640, 480), (992, 736));
        assert_eq!(seen_size(1984, 1440), (1984, 1440));
        assert_eq!(seen_size(1570, 226), (5120, 736));
        assert_eq!(seen_size(32, 1984), (96, 5888));
        let (width, height) = seen_size(8192, 8192);
        assert!(
            width * height <= MOST_PIXELS && width > 2500,
            "{width} by {height}"
        );
    }

    #[test]
    fn a_patch_of_text_gets_a_box_around_it() {
        let (width, height) = (96, 64);
        let values = (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                if (20..70).contains(&x) && (24..34).contains(&y) {
                    0.9
                } else {
                    0.01
                }
            })
            .collect();
        let map = Map {
            values,
            width,
            height,
        };
        let boxes = map.boxes(Thresholds::default(), 96, 64);
        let [corners] = boxes.as_slice() else {
            panic!("one patch, and {boxes:?}");
        };
        assert!(corners[0].x < 20.0 && corners[0].x > 8.0, "{corners:?}");
        assert!(corners[2].y > 34.0 && corners[2].y < 46.0, "{corners:?}");
        let strict = Thresholds {
            patch: 0.95,
            ..Thresholds::default()
        };
        assert!(map.boxes(strict, 96, 64).is_empty());
    }

    #[test]
    fn boxes_of_a_row_are_sorted_from_the_left() {
        let at = |x: f32, y: f32| [Point { x, y }; 4];
        let mut boxes = vec![at(50.0, 12.0), at(10.0, 18.0), at(90.0, 10.0), at(5.0, 40.0)];
        sort(&mut boxes);
        let order: Vec<f32> = boxes.iter().map(|b| b[0].x).collect();
        assert_eq!(order, [10.0, 50.0, 90.0, 5.0]);
    }
}
