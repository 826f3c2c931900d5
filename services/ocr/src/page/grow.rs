//! Grows an outline by a distance, with round corners: Clipper's offsetting for convex outlines (Angus Johnson, after
//! Chen and McMains 2005), on whole pixels as PP-OCR's own post-processing uses it.

use std::f64::consts::PI;

/// How far a drawn arc may lie from the true one, in pixels.
const ARC_TOLERANCE: f64 = 0.25;

/// A convex outline, clockwise with rows downwards, grown by `distance` pixels. Corners are first cut to whole pixels.
/// Empty for an outline of fewer than three different corners.
pub fn grow(outline: &[[f32; 2]], distance: f64) -> Vec<[i64; 2]> {
    let mut corners: Vec<[f64; 2]> = outline
        .iter()
        .map(|corner| corner.map(|value| f64::from(value).trunc()))
        .collect();
    corners.dedup();
    while corners.len() > 1 && corners.first() == corners.last() {
        corners.pop();
    }
    if corners.len() < 3 {
        return Vec::new();
    }
    if distance.abs() < 1e-20 {
        return corners
            .iter()
            .map(|&corner| corner.map(|value| value as i64))
            .collect();
    }
    let normals: Vec<[f64; 2]> = (0..corners.len())
        .map(|i| normal(corners[i], corners[(i + 1) % corners.len()]))
        .collect();
    let arc = Arc::of(distance);
    let mut grown = Vec::with_capacity(corners.len() * 8);
    for (i, &corner) in corners.iter().enumerate() {
        let before = normals[(i + corners.len() - 1) % corners.len()];
        arc.corner(corner, before, normals[i], distance, &mut grown);
    }
    // Clipper's result begins after the rightmost of its topmost points.
    let top = (0..grown.len()).min_by_key(|&i| (grown[i][1], -grown[i][0]));
    if let Some(top) = top {
        let count = grown.len();
        grown.rotate_left((top + 1) % count);
    }
    grown
}

/// The direction outwards of a side, of length 1.
fn normal(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let inverse = 1.0 / (dx * dx + dy * dy).sqrt();
    [dy * inverse, -dx * inverse]
}

/// How an arc is drawn.
struct Arc {
    sin: f64,
    cos: f64,
    steps_per_radian: f64,
}

// === impl Arc ===

impl Arc {
    fn of(distance: f64) -> Self {
        let radius = distance.abs();
        let tolerance = ARC_TOLERANCE.min(radius * ARC_TOLERANCE);
        let steps = (PI / (1.0 - tolerance / radius).acos()).min(radius * PI);
        let (sin, cos) = (2.0 * PI / steps).sin_cos();
        Self {
            sin,
            cos,
            steps_per_radian: steps / (2.0 * PI),
        }
    }

    fn corner(
        &self,
        at: [f64; 2],
        before: [f64; 2],
        after: [f64; 2],
        distance: f64,
        out: &mut Vec<[i64; 2]>,
    ) {
        let mut push = |direction: [f64; 2]| {
            out.push([0, 1].map(|axis| round(at[axis] + direction[axis] * distance)));
        };
        let turn = (before[0] * after[1] - after[0] * before[1]).clamp(-1.0, 1.0);
        let cosine = before[0] * after[0] + before[1] * after[1];
        if (turn * distance).abs() < 1.0 && cosine > 0.0 {
            push(before);
            return;
        }
        let steps = round(self.steps_per_radian * turn.atan2(cosine).abs()).max(1);
        let mut direction = before;
        for _ in 0..steps {
            push(direction);
            let [x, y] = direction;
            direction = [x * self.cos - self.sin * y, x * self.sin + y * self.cos];
        }
        push(after);
    }
}

/// To the nearest, halves away from zero.
fn round(value: f64) -> i64 {
    if value < 0.0 {
        (value - 0.5) as i64
    } else {
        (value + 0.5) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_grows_by_the_distance_on_every_side() {
        let grown = grow(&[[10.9, 10.0], [50.0, 10.0], [50.0, 20.0], [10.0, 20.0]], 4.0);
        let reach = |axis: usize| {
            let values = grown.iter().map(|point| point[axis]);
            (values.clone().min(), values.max())
        };
        assert_eq!(reach(0), (Some(6), Some(54)));
        assert_eq!(reach(1), (Some(6), Some(24)));
        assert!(!grown.contains(&[6, 6]), "corners are round: {grown:?}");
    }

    #[test]
    fn what_has_no_area_does_not_grow() {
        assert!(grow(&[[1.0, 1.0], [1.4, 1.2], [5.0, 1.0], [1.0, 1.9]], 3.0).is_empty());
        assert!(grow(&[], 3.0).is_empty());
    }
}
