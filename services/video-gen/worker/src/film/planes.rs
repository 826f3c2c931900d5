//! RGB to the planes that H.264 encodes: BT.709 of limited range, with colour at half the width and height.

use openh264::formats::YUVSource;

/// A picture as its three planes.
#[derive(Debug)]
pub(super) struct Planes {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

/// BT.709's shares of red and blue in brightness.
const RED: f32 = 0.2126;
const BLUE: f32 = 0.0722;

// === impl Planes ===

impl Planes {
    /// Dark planes for pictures of this size, both of whose sides are even.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            y: vec![0; width * height],
            u: vec![0; width * height / 4],
            v: vec![0; width * height / 4],
        }
    }

    /// Takes a picture in RGB.
    pub(super) fn fill(&mut self, rgb: &[u8]) {
        let stride = 3 * self.width;
        for (pair, rows) in rgb.chunks_exact(2 * stride).enumerate() {
            let (upper, lower) = rows.split_at(stride);
            for column in 0..self.width / 2 {
                // The colour of four pixels is that of their mean.
                let mut sum = [0.0; 3];
                for (down, row) in [upper, lower].into_iter().enumerate() {
                    for across in 0..2 {
                        let at = 2 * column + across;
                        let pixel = [row[3 * at], row[3 * at + 1], row[3 * at + 2]].map(f32::from);
                        self.y[(2 * pair + down) * self.width + at] =
                            byte(16.0 + brightness(pixel) * (219.0 / 255.0));
                        for (sum, part) in sum.iter_mut().zip(pixel) {
                            *sum += part;
                        }
                    }
                }
                let mean = sum.map(|part| part / 4.0);
                let bright = brightness(mean);
                let difference =
                    |part: f32, share: f32| 128.0 + (part - bright) / (2.0 * (1.0 - share)) * (224.0 / 255.0);
                let at = pair * (self.width / 2) + column;
                self.u[at] = byte(difference(mean[2], BLUE));
                self.v[at] = byte(difference(mean[0], RED));
            }
        }
    }
}

fn brightness([red, green, blue]: [f32; 3]) -> f32 {
    RED * red + (1.0 - RED - BLUE) * green + BLUE * blue
}

/// Rounded; a value outside of a byte's range becomes its nearest end.
fn byte(value: f32) -> u8 {
    value.round() as u8
}

impl YUVSource for Planes {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}
