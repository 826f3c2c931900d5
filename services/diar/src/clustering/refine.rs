//! Lets every point choose the nearest group, and dissolves groups that are too light to be a person.

use super::condense::means;
use super::vectors::{Vectors, dot};
use super::{Wanted, in_order};

/// Rounds of choosing; later ones change next to nothing.
const ROUNDS: usize = 2;

/// Better groups, numbered in order of appearance; at least one is left.
pub fn refine(points: &Vectors, weights: &[f32], mut labels: Vec<usize>, wanted: &Wanted) -> Vec<usize> {
    let mut unit = points.clone();
    unit.normalise();
    for _ in 0..ROUNDS {
        in_order(&mut labels);
        let solid = solid_groups(weights, &labels, wanted);
        let groups = labels.iter().max().map_or(0, |last| last + 1);
        let centres = means(points, weights, &labels, groups);
        for (label, row) in labels.iter_mut().zip(unit.rows()) {
            let nearest = solid
                .iter()
                .map(|group| (*group, dot(centres.row(*group), row)))
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
            if let Some((group, _)) = nearest {
                *label = group;
            }
        }
    }
    in_order(&mut labels);
    labels
}

/// The groups that are people: heavy enough, and at least as many as are wanted where there are so many.
fn solid_groups(weights: &[f32], labels: &[usize], wanted: &Wanted) -> Vec<usize> {
    let mut heavy = vec![0.0_f32; labels.iter().max().map_or(0, |last| last + 1)];
    for (label, weight) in labels.iter().zip(weights) {
        heavy[*label] += weight;
    }
    let mut groups: Vec<usize> = (0..heavy.len()).filter(|group| heavy[*group] > 0.0).collect();
    groups.sort_by(|a, b| heavy[*b].total_cmp(&heavy[*a]).then(a.cmp(b)));
    let solid = groups
        .iter()
        .filter(|group| heavy[**group] >= wanted.solid)
        .count();
    groups.truncate(solid.max(wanted.at_least).max(1).min(wanted.at_most.max(1)));
    groups.sort_unstable();
    groups
}
