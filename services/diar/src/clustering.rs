//! Which voices are one person: groups of embeddings, from their angles alone.
//!
//! Knows nothing of audio or models. Two methods: [`agglomerative`] goes by a threshold, [`spectral`] by the shape of
//! the similarities; both take a given number of people. [`refine`] then lets every embedding choose among the groups.
//! The cost grows with the square of the number of points, so long recordings are [condensed](condense) first.

pub mod agglomerative;
pub mod condense;
pub mod refine;
pub mod spectral;
mod vectors;

use crate::domain::Clustering;

pub use vectors::{Vectors, dot};

/// What kind of grouping is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// How.
    pub method: Clustering,
    /// How the distance of two groups is told, for agglomerative clustering.
    pub linkage: agglomerative::Linkage,
    /// Groups less distant than this are one: cosine distance, 0 to 2.
    pub threshold: f32,
    /// At least this many groups that are solid.
    pub at_least: usize,
    /// At most this many.
    pub at_most: usize,
    /// A group of less weight than this is not taken for a person, unless all are so.
    pub solid: f32,
}

/// More points than this are condensed: the matrix of their distances takes 32 MiB.
pub const MOST_POINTS: usize = 4096;
/// The same for spectral clustering, whose cost grows with the cube.
pub const MOST_SPECTRAL: usize = 512;

/// The part of the threshold below which two groups are surely one person.
const SURE: f32 = 0.7;

/// Groups points that follow one another in time. `weights`, in seconds of speech, has one for each. Gives each point its
/// group, numbered from 0 in order of appearance; groups too light to be a person are dissolved into the nearest others.
pub fn group(points: &Vectors, weights: &[f32], wanted: &Wanted) -> Vec<usize> {
    if points.is_empty() {
        return Vec::new();
    }
    let most = match wanted.method {
        Clustering::Agglomerative => MOST_POINTS,
        Clustering::Spectral => MOST_SPECTRAL,
    };
    let condensed = condense::condense(points, weights, most);
    let groups = match (wanted.method, wanted.linkage) {
        (Clustering::Spectral, _) => spectral::group(&condensed.points, wanted.at_least, wanted.at_most),
        (Clustering::Agglomerative, agglomerative::Linkage::Centroid) => {
            let tree = agglomerative::tree(&condensed.points, &condensed.weights, wanted.linkage);
            tree.cut(&condensed.weights, wanted)
        }
        (Clustering::Agglomerative, agglomerative::Linkage::Average) => {
            in_two_stages(&condensed.points, &condensed.weights, wanted)
        }
    };
    let labels: Vec<usize> = condensed.part.iter().map(|part| groups[*part]).collect();
    refine::refine(points, weights, labels, wanted)
}

/// First groups of points that are surely one person; each point may then choose among these, and then the groups
/// themselves are grouped. A point that sounds of two people no longer ties them together.
fn in_two_stages(points: &Vectors, weights: &[f32], wanted: &Wanted) -> Vec<usize> {
    let sure = Wanted {
        threshold: SURE * wanted.threshold,
        at_most: usize::MAX,
        ..wanted.clone()
    };
    let tree = agglomerative::tree(points, weights, wanted.linkage);
    let mut labels = refine::refine(points, weights, tree.cut(weights, &sure), &sure);
    in_order(&mut labels);
    let condensed = condense::gathered(points, weights, labels);
    let tree = agglomerative::tree(&condensed.points, &condensed.weights, wanted.linkage);
    let groups = tree.cut(&condensed.weights, wanted);
    condensed.part.iter().map(|part| groups[*part]).collect()
}

/// Renumbers groups in order of appearance.
pub fn in_order(labels: &mut [usize]) {
    let mut names: Vec<usize> = Vec::new();
    for label in labels {
        let name = names.iter().position(|known| known == label);
        *label = name.unwrap_or_else(|| {
            names.push(*label);
            names.len() - 1
        });
    }
}
