//! Fewer points where there are too many: neighbours in time that are alike become one.
//!
//! A point that stands for several is their weighted mean, so averages over pairs, which is what average linkage goes by,
//! stay what they were.

use super::vectors::{Vectors, dot, normalise};

/// Points that stand for others.
#[derive(Debug, Clone, PartialEq)]
pub struct Condensed {
    /// The points, in order of time.
    pub points: Vectors,
    /// Their weights.
    pub weights: Vec<f32>,
    /// Which of them stands for each of the original points.
    pub part: Vec<usize>,
}

/// At most `most` points, at least one, for all of `points`.
pub fn condense(points: &Vectors, weights: &[f32], most: usize) -> Condensed {
    gathered(points, weights, parts(points, most.max(1)))
}

/// One point for each group of points: their weighted mean.
pub fn gathered(points: &Vectors, weights: &[f32], part: Vec<usize>) -> Condensed {
    let count = part.iter().max().map_or(0, |last| last + 1);
    let width = points.width();
    let mut sums = vec![0.0_f32; count * width];
    let mut heavy = vec![0.0_f32; count];
    for ((row, weight), part) in points.rows().zip(weights).zip(&part) {
        // A point without weight still has a place.
        let weight = weight.max(1e-6);
        heavy[*part] += weight;
        for (sum, value) in sums[part * width..][..width].iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
    for (sum, weight) in sums.chunks_exact_mut(width).zip(&heavy) {
        for value in sum {
            *value /= weight;
        }
    }
    Condensed {
        points: Vectors::of(width, sums),
        weights: heavy,
        part,
    }
}

/// Joins the most similar neighbours until few enough are left.
fn parts(points: &Vectors, most: usize) -> Vec<usize> {
    let count = points.len();
    if count <= most {
        return (0..count).collect();
    }
    let mut unit = points.clone();
    unit.normalise();
    let mut joints: Vec<usize> = (1..count).collect();
    let alike = |at: usize| dot(unit.row(at - 1), unit.row(at));
    joints.sort_by(|a, b| alike(*b).total_cmp(&alike(*a)).then(a.cmp(b)));
    let mut joined = vec![false; count];
    for at in &joints[..count - most] {
        joined[*at] = true;
    }
    let mut part = 0;
    (0..count)
        .map(|at| {
            part += usize::from(at > 0 && !joined[at]);
            part
        })
        .collect()
}

/// The mean of each group of points, scaled to length 1. A group without weight has a mean of zeros.
pub fn means(points: &Vectors, weights: &[f32], labels: &[usize], groups: usize) -> Vectors {
    let width = points.width();
    let mut sums = vec![0.0_f32; groups * width];
    for ((row, weight), label) in points.rows().zip(weights).zip(labels) {
        for (sum, value) in sums[label * width..][..width].iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
    for sum in sums.chunks_exact_mut(width) {
        normalise(sum);
    }
    Vectors::of(width, sums)
}
