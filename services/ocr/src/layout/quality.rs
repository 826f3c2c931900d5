//! How good a picture is to read: how sharp, how light, how much contrast, how large the letters.

use image::GrayImage;

use crate::domain::{Defect, Quality};

/// Letters below this height, in pixels, are read badly; at twice of it well.
const SMALL: f32 = 10.0;
/// Edges of a sharp page change by this share of its contrast from one pixel to the next; of a blurred one by less.
const SHARP: f32 = 0.45;
const BLURRED: f32 = 0.15;
/// Grey levels between paper and ink: less is faint.
const FAINT: f32 = 40.0;
const CLEAR: f32 = 120.0;
/// Grey levels of the lightest part of a page: less is dark.
const DARK: f32 = 70.0;
const LIGHT: f32 = 160.0;

/// What is to be said of a page; `line_height` in pixels of the page, 0 without lines.
pub(super) fn quality(grey: &GrayImage, line_height: f32) -> Quality {
    let mut levels = [0_u32; 256];
    for pixel in grey.as_raw() {
        levels[usize::from(*pixel)] += 1;
    }
    let darkest = percentile(&levels, 0.01);
    let lightest = percentile(&levels, 0.99);
    let contrast = lightest - darkest;
    // How far a value lies from good towards bad: 0 to 1.
    let lack = |value: f32, bad: f32, good: f32| ((good - value) / (good - bad)).clamp(0.0, 1.0);
    let mut defects = vec![
        Defect {
            kind: "DARK",
            confidence: lack(lightest, DARK, LIGHT),
        },
        Defect {
            kind: "FAINT",
            confidence: lack(contrast, FAINT, CLEAR),
        },
    ];
    if contrast > 8.0 {
        let sharpness = steepest(grey) / contrast;
        defects.push(Defect {
            kind: "BLURRY",
            confidence: lack(sharpness, BLURRED, SHARP),
        });
    }
    if line_height > 0.0 {
        defects.push(Defect {
            kind: "TEXT_TOO_SMALL",
            confidence: lack(line_height, SMALL, SMALL * 2.0),
        });
    }
    let score = defects.iter().map(|defect| 1.0 - defect.confidence).product();
    defects.retain(|defect| defect.confidence > 0.3);
    defects.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    Quality { score, defects }
}

/// The grey level below which this share of the pixels is.
fn percentile(levels: &[u32; 256], share: f32) -> f32 {
    let all: u32 = levels.iter().sum();
    let mut passed = 0;
    for (level, count) in levels.iter().enumerate() {
        passed += count;
        if passed as f32 >= share * all as f32 {
            return level as f32;
        }
    }
    255.0
}

/// The change from pixel to pixel of the steepest edges: of one pixel in two hundred.
fn steepest(grey: &GrayImage) -> f32 {
    let mut steps = [0_u32; 256];
    for row in grey.as_raw().chunks_exact(grey.width().max(1) as usize) {
        for pair in row.windows(2) {
            steps[usize::from(pair[0].abs_diff(pair[1]))] += 1;
        }
    }
    percentile(&steps, 0.995)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Black bars on white, their edges `soft` pixels wide.
    fn bars(ink: f32, paper: f32, soft: f32) -> GrayImage {
        GrayImage::from_fn(200, 50, |x, _| {
            let x = (x % 40) as f32;
            let share = ((x - 5.0) / soft).clamp(0.0, 1.0) - ((x - 25.0) / soft).clamp(0.0, 1.0);
            image::Luma([(paper + (ink - paper) * share) as u8])
        })
    }

    fn worst(grey: &GrayImage, height: f32) -> Option<&'static str> {
        quality(grey, height).defects.first().map(|defect| defect.kind)
    }

    #[test]
    fn each_fault_is_told_and_a_good_page_has_none() {
        let good = quality(&bars(10.0, 250.0, 1.0), 30.0);
        assert!(good.score > 0.9 && good.defects.is_empty(), "{good:?}");
        assert_eq!(worst(&bars(10.0, 250.0, 9.0), 30.0), Some("BLURRY"));
        assert_eq!(worst(&bars(200.0, 240.0, 1.0), 30.0), Some("FAINT"));
        assert_eq!(worst(&bars(2.0, 60.0, 1.0), 30.0), Some("DARK"));
        assert_eq!(worst(&bars(10.0, 250.0, 1.0), 9.0), Some("TEXT_TOO_SMALL"));
        assert!(quality(&GrayImage::new(0, 0), 0.0).score.is_finite());
    }
}
