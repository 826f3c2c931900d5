//! Scales pictures as OpenCV's `INTER_LINEAR` does, to the bit: the models were trained and are compared on pictures
//! that were scaled so, and one grey level is enough to turn a doubtful letter into another.
//!
//! It takes the two nearest pixels each way, weighs them in units of 1/2048, and does not smooth what it makes smaller.

use crate::domain::Picture;

/// Units of a weight.
const ONE: f32 = 2048.0;

/// Where a pixel of the result comes from: the first of two neighbours, and the weights of both.
#[derive(Debug, Clone, Copy)]
struct Tap {
    at: isize,
    weights: [i32; 2],
}

/// The picture in another size. Sides of the result are at least 1; a picture without pixels gives a black one.
pub fn resize(picture: &Picture, width: u32, height: u32) -> Picture {
    let (width, height) = (width.max(1), height.max(1));
    let (from_width, from_height) = (picture.width() as usize, picture.height() as usize);
    if (picture.width(), picture.height()) == (width, height) {
        return picture.clone();
    }
    if from_width == 0 || from_height == 0 {
        return Picture::new(width, height);
    }
    if from_width == 2 * width as usize && from_height == 2 * height as usize {
        return halve(picture);
    }
    let columns = taps(from_width, width as usize, true);
    let rows = taps(from_height, height as usize, false);
    let stride = width as usize * 3;
    let mut out = vec![0; stride * height as usize];
    let mut upper = Row::new(stride);
    let mut lower = Row::new(stride);
    let last = from_height as isize - 1;
    for (tap, line) in rows.iter().zip(out.chunks_exact_mut(stride)) {
        let (first, second) = (
            tap.at.clamp(0, last) as usize,
            (tap.at + 1).clamp(0, last) as usize,
        );
        if lower.holds(first) {
            std::mem::swap(&mut upper, &mut lower);
        }
        upper.fill(picture, first, &columns);
        lower.fill(picture, second, &columns);
        let [a, b] = tap.weights;
        for ((pixel, &above), &below) in line.iter_mut().zip(&upper.values).zip(&lower.values) {
            *pixel = ((((a * (above >> 4)) >> 16) + ((b * (below >> 4)) >> 16) + 2) >> 2) as u8;
        }
    }
    Picture::from_raw(width, height, out).unwrap_or_else(|| Picture::new(width, height))
}

/// Where each of `to` pixels lies among `from`. `clamped`: at the ends one pixel has all the weight.
fn taps(from: usize, to: usize, clamped: bool) -> Vec<Tap> {
    let scale = 1.0 / (to as f64 / from as f64);
    (0..to)
        .map(|i| {
            let place = ((i as f64 + 0.5) * scale - 0.5) as f32;
            let mut at = place.floor() as isize;
            let mut share = place - at as f32;
            if clamped {
                let last = from as isize - 1;
                if at < 0 || at >= last {
                    (at, share) = (at.clamp(0, last), 0.0);
                }
            }
            let weights = [1.0 - share, share].map(|weight| (weight * ONE).round_ties_even() as i32);
            Tap { at, weights }
        })
        .collect()
}

/// Half the size each way: the mean of four pixels.
fn halve(picture: &Picture) -> Picture {
    let (width, height) = (picture.width() / 2, picture.height() / 2);
    let stride = picture.width() as usize * 3;
    let data = picture.as_raw();
    let mut out = Vec::with_capacity((width * height) as usize * 3);
    for y in 0..height as usize {
        let (above, below) = (
            &data[2 * y * stride..][..stride],
            &data[(2 * y + 1) * stride..][..stride],
        );
        for (above, below) in above.chunks_exact(6).zip(below.chunks_exact(6)) {
            out.extend((0..3).map(|c| {
                let sum: u16 = [above[c], above[c + 3], below[c], below[c + 3]]
                    .into_iter()
                    .map(u16::from)
                    .sum();
                ((sum + 2) / 4) as u8
            }));
        }
    }
    Picture::from_raw(width, height, out).unwrap_or_else(|| Picture::new(width, height))
}

/// A row of the picture, scaled to the new width, in units of 1/2048 grey level.
struct Row {
    of: Option<usize>,
    values: Vec<i32>,
}

// === impl Row ===

impl Row {
    fn new(length: usize) -> Self {
        Self {
            of: None,
            values: vec![0; length],
        }
    }

    fn holds(&self, row: usize) -> bool {
        self.of == Some(row)
    }

    fn fill(&mut self, picture: &Picture, row: usize, columns: &[Tap]) {
        if self.holds(row) {
            return;
        }
        let stride = picture.width() as usize * 3;
        let pixels = &picture.as_raw()[row * stride..][..stride];
        for (tap, out) in columns.iter().zip(self.values.chunks_exact_mut(3)) {
            let at = tap.at as usize * 3;
            let left = &pixels[at..at + 3];
            let right = pixels.get(at + 3..at + 6).unwrap_or(left);
            for (c, value) in out.iter_mut().enumerate() {
                *value = i32::from(left[c]) * tap.weights[0] + i32::from(right[c]) * tap.weights[1];
            }
        }
        self.of = Some(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, values: &[u8]) -> Picture {
        let data = values.iter().flat_map(|&value| [value; 3]).collect();
        Picture::from_raw(width, values.len() as u32 / width, data).expect("as many values as pixels")
    }

    fn values(picture: &Picture) -> Vec<u8> {
        picture.pixels().map(|pixel| pixel.0[0]).collect()
    }

    #[test]
    fn pixels_between_two_are_their_weighted_mean() {
        // As cv2.resize gives them.
        assert_eq!(values(&resize(&grey(2, &[0, 200]), 4, 1)), [0, 50, 150, 200]);
        assert_eq!(values(&resize(&grey(1, &[10, 30]), 1, 3)), [10, 20, 30]);
        assert_eq!(values(&resize(&grey(3, &[0, 90, 255]), 2, 1)), [23, 214]);
    }

    #[test]
    fn half_the_size_is_the_mean_of_four() {
        assert_eq!(values(&resize(&grey(2, &[1, 2, 3, 4]), 1, 1)), [3]);
    }

    #[test]
    fn a_picture_in_its_own_size_is_itself_and_none_is_black() {
        let picture = grey(3, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(resize(&picture, 3, 2), picture);
        assert_eq!(values(&resize(&Picture::new(0, 0), 2, 1)), [0, 0]);
    }
}
