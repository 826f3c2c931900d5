//! Pictures as the models want them: three planes, blue first as OpenCV reads pictures, grey levels between -1 and 1.

use crate::domain::Picture;

/// What each grey level becomes.
pub(super) struct Levels([f32; 256]);

// === impl Levels ===

impl Levels {
    /// As detection is trained: PP-OCR's pipelines compute this one in double precision.
    pub(super) fn of_detection() -> Self {
        Self::each(|level| {
            let share = f32::from(level) * (1.0_f64 / 255.0) as f32;
            ((f64::from(share) - 0.5) / 0.5) as f32
        })
    }

    /// As classification and recognition are trained.
    pub(super) fn of_lines() -> Self {
        Self::each(|level| (f32::from(level) / 255.0 - 0.5) / 0.5)
    }

    fn each(value: impl Fn(u8) -> f32) -> Self {
        Self(std::array::from_fn(|level| value(level as u8)))
    }

    /// The picture in planes of `width` columns, which may be more than it has: the rest is 0.
    pub(super) fn planes(&self, picture: &Picture, width: usize) -> Vec<f32> {
        let (own, height) = (picture.width() as usize, picture.height() as usize);
        let width = width.max(own);
        let mut planes = vec![0.0; 3 * width * height];
        if own == 0 || height == 0 {
            return planes;
        }
        let (blue, rest) = planes.split_at_mut(width * height);
        let (green, red) = rest.split_at_mut(width * height);
        for (row, pixels) in picture.as_raw().chunks_exact(own * 3).enumerate() {
            let row = row * width..row * width + own;
            let outs = blue[row.clone()]
                .iter_mut()
                .zip(&mut green[row.clone()])
                .zip(&mut red[row]);
            for (pixel, ((blue, green), red)) in pixels.chunks_exact(3).zip(outs) {
                *red = self.0[usize::from(pixel[0])];
                *green = self.0[usize::from(pixel[1])];
                *blue = self.0[usize::from(pixel[2])];
            }
        }
        planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_blue_green_red_and_padded_with_zeros() {
        let picture = Picture::from_raw(1, 2, vec![255, 0, 51, 0, 255, 51]).expect("two pixels");
        let planes = Levels::of_lines().planes(&picture, 2);
        assert_eq!(
            planes,
            [-0.6, 0.0, -0.6, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0]
        );
    }
}
