//! Spectral clustering: how many groups there are is read off the eigenvalues of the similarities.
//!
//! Two points are neighbours by a soft step over their cosine. A walk that goes from neighbour to neighbour stays within
//! a group: of the eigenvalues of its matrix one is near 1 for each group, and those above half are counted (the gap lies
//! there). The eigenvectors then part the points (Ng, Jordan and Weiss 2002; von Luxburg 2007). Unlike with a share of the
//! nearest neighbours that each point keeps (Wang et al. 2018), it does not matter how the speech is shared out.

use nalgebra::{DMatrix, SymmetricEigen};

use super::vectors::{Vectors, dot, normalise};

/// The cosine at which two points are half neighbours, and how soft the step is.
const HALF: f32 = 0.71;
const SOFT: f32 = 0.04;
/// An eigenvalue above it stands for a group.
const GROUP: f32 = 0.5;
/// Rounds of k-means at most.
const ROUNDS: usize = 50;

/// Groups points; between `at_least` and `at_most` groups where there are so many points. The cost is cubic.
pub fn group(points: &Vectors, at_least: usize, at_most: usize) -> Vec<usize> {
    let count = points.len();
    if count <= 2 {
        let several = at_least > 1 && count > 1;
        return (0..count).map(|at| if several { at } else { 0 }).collect();
    }
    let alike = neighbours(points);
    let degrees: Vec<f32> = (0..count).map(|row| alike.row(row).sum().max(1e-9)).collect();
    // The walk's matrix is not symmetric; this one is, and has the same eigenvalues.
    let walk = DMatrix::from_fn(count, count, |i, j| {
        alike[(i, j)] / (degrees[i] * degrees[j]).sqrt()
    });
    let SymmetricEigen {
        eigenvalues,
        eigenvectors,
    } = SymmetricEigen::new(walk);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| eigenvalues[*b].total_cmp(&eigenvalues[*a]));
    let at_most = at_most.clamp(1, count - 1);
    let at_least = at_least.clamp(1, at_most);
    let found = order.iter().filter(|at| eigenvalues[**at] > GROUP).count();
    let groups = found.clamp(at_least, at_most);
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

/// How much each two points are neighbours, 0 to 1.
fn neighbours(points: &Vectors) -> DMatrix<f32> {
    let count = points.len();
    let mut unit = points.clone();
    unit.normalise();
    let step = |cosine: f32| 1.0 / (1.0 + ((HALF - cosine) / SOFT).exp());
    let mut matrix = DMatrix::from_fn(count, count, |i, j| step(dot(unit.row(i), unit.row(j))));
    for at in 0..count {
        // A point is as near to itself as to its nearest neighbour, so that one far from all stays alone.
        matrix[(at, at)] = 0.0;
        matrix[(at, at)] = matrix.row(at).max();
    }
    matrix
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
