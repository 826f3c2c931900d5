//! Spectral clustering: how many groups there are is read off the eigenvalues of the similarities.
//!
//! The refinement is that of Wang et al. 2018 ("Speaker diarization with LSTM"): each point keeps the nearest part of the
//! others, the rest is damped, the matrix is made symmetric and diffused. It is then normalised by its row sums (a random
//! walk), whose eigenvalues lie in 0 to 1: one near 1 for each group, and a gap after the last of them.

use nalgebra::{DMatrix, SymmetricEigen};

use super::vectors::{Vectors, dot, normalise};

/// The part of the others that a point keeps.
const KEPT: f64 = 0.2;
/// What becomes of the similarity to the rest.
const DAMPED: f32 = 0.01;
/// Rounds of k-means at most.
const ROUNDS: usize = 50;

/// Groups points; between `at_least` and `at_most` groups where there are so many points. The cost is cubic.
pub fn group(points: &Vectors, at_least: usize, at_most: usize) -> Vec<usize> {
    let count = points.len();
    if count <= 2 {
        let several = at_least > 1 && count > 1;
        return (0..count).map(|at| if several { at } else { 0 }).collect();
    }
    let refined = refined(points);
    let degrees: Vec<f32> = (0..count).map(|row| refined.row(row).sum().max(1e-9)).collect();
    // The walk's matrix is not symmetric; this one is, and has the same eigenvalues.
    let walk = DMatrix::from_fn(count, count, |i, j| {
        refined[(i, j)] / (degrees[i] * degrees[j]).sqrt()
    });
    let SymmetricEigen {
        eigenvalues,
        eigenvectors,
    } = SymmetricEigen::new(walk);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| eigenvalues[*b].total_cmp(&eigenvalues[*a]));
    let at_most = at_most.clamp(1, count - 1);
    let at_least = at_least.clamp(1, at_most);
    let gap = |groups: usize| eigenvalues[order[groups - 1]] - eigenvalues[order[groups]];
    let groups = (at_least..=at_most)
        .max_by(|a, b| gap(*a).total_cmp(&gap(*b)).then(b.cmp(a)))
        .unwrap_or(at_least);
    let mut spectra = Vectors::new(groups);
    for (at, degree) in degrees.iter().enumerate() {
        let mut row: Vec<f32> = order[..groups]
            .iter()
            .map(|column| eigenvectors[(at, *column)] / degree.sqrt())
            .collect();
        normalise(&mut row);
        spectra.push(&row);
    }
    k_means(&spectra, groups)
}

/// The similarities, refined.
fn refined(points: &Vectors) -> DMatrix<f32> {
    let count = points.len();
    let mut unit = points.clone();
    unit.normalise();
    let mut matrix = DMatrix::from_fn(count, count, |i, j| (1.0 + dot(unit.row(i), unit.row(j))) / 2.0);
    for at in 0..count {
        // A point is no neighbour of its own.
        matrix[(at, at)] = 0.0;
        matrix[(at, at)] = matrix.row(at).max();
    }
    let mut damped = matrix.clone();
    for at in 0..count {
        let least = quantile(matrix.row(at).iter().copied().collect(), 1.0 - KEPT);
        for value in damped.row_mut(at).iter_mut().filter(|value| **value < least) {
            *value *= DAMPED;
        }
    }
    let symmetric = DMatrix::from_fn(count, count, |i, j| damped[(i, j)].max(damped[(j, i)]));
    &symmetric * &symmetric
}

/// The value below which the part `part` of all lies, between the two nearest.
fn quantile(mut values: Vec<f32>, part: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    let at = part * (values.len() - 1) as f64;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract() as f32
}

/// Lloyd's k-means. It begins with the points that are farthest from one another, so that it gives the same every time.
fn k_means(points: &Vectors, groups: usize) -> Vec<usize> {
    let mut centres = farthest(points, groups);
    let mut labels = vec![0; points.len()];
    for _ in 0..ROUNDS {
        let chosen: Vec<usize> = points
            .rows()
            .map(|row| {
                (0..groups)
                    .min_by(|a, b| apart(centres.row(*a), row).total_cmp(&apart(centres.row(*b), row)))
                    .unwrap_or(0)
            })
            .collect();
        if chosen == labels {
            break;
        }
        labels = chosen;
        let mut moved = Vectors::new(points.width());
        for group in 0..groups {
            let members: Vec<&[f32]> = points
                .rows()
                .zip(&labels)
                .filter(|(_, label)| **label == group)
                .map(|(row, _)| row)
                .collect();
            if members.is_empty() {
                moved.push(centres.row(group));
                continue;
            }
            let mean: Vec<f32> = (0..points.width())
                .map(|at| members.iter().map(|row| row[at]).sum::<f32>() / members.len() as f32)
                .collect();
            moved.push(&mean);
        }
        centres = moved;
    }
    labels
}

fn farthest(points: &Vectors, groups: usize) -> Vectors {
    let width = points.width();
    let mean: Vec<f32> = (0..width)
        .map(|at| points.rows().map(|row| row[at]).sum::<f32>() / points.len() as f32)
        .collect();
    let mut distance: Vec<f32> = points.rows().map(|row| apart(row, &mean)).collect();
    let mut centres = Vectors::new(width);
    for group in 0..groups {
        let next = (0..points.len())
            .max_by(|a, b| distance[*a].total_cmp(&distance[*b]).then(b.cmp(a)))
            .unwrap_or(0);
        centres.push(points.row(next));
        for (distance, row) in distance.iter_mut().zip(points.rows()) {
            let to_new = apart(row, points.row(next));
            *distance = if group == 0 { to_new } else { distance.min(to_new) };
        }
    }
    centres
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum()
}
