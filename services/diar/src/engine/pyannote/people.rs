//! Which voices are one person: pyannote's agglomerative clustering.
//!
//! As `AgglomerativeClustering` of pyannote.audio 3.1: voices of length 1 are joined up to a threshold; groups of few windows
//! go to the nearest larger one; then every voice goes to the person whose mean voice is nearest. A voice that several
//! windows share counts for each of them, and one of a part of a window for that part.

use super::analysis::Heard;
use crate::clustering::agglomerative;
use crate::clustering::{self, MOST_POINTS, Vectors, Wanted, condense, dot};
use crate::domain::Clustering;

/// Who is who.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct People {
    /// The person of each of the heard.
    pub who: Vec<usize>,
    /// Mean voices, one for each person.
    pub centres: Vectors,
}

/// A person is heard in so many windows, fewer in a short recording.
pub(super) const SMALLEST: usize = 12;

/// Groups the voices of windows' people into people of the recording. `wanted.solid` is of no meaning.
pub(super) fn find(voices: &Vectors, heard: &[Heard], wanted: &Wanted) -> People {
    if heard.is_empty() {
        return People {
            who: Vec::new(),
            centres: Vectors::new(voices.width()),
        };
    }
    // How many windows each voice stands for.
    let mut weights = vec![0.0_f32; voices.len()];
    for heard in heard {
        weights[heard.voice] += heard.share;
    }
    let mut unit = voices.clone();
    unit.normalise();
    let groups = match wanted.method {
        Clustering::Agglomerative => agglomerate(&unit, &weights, wanted),
        Clustering::Spectral => clustering::group(&unit, &weights, wanted),
    };
    let centres = means(voices, &weights, &groups);
    let mut labels: Vec<usize> = unit.rows().map(|voice| nearest(&centres, voice)).collect();
    // In the order of windows, and without those whom nobody went to.
    clustering::in_order(&mut labels);
    People {
        who: heard.iter().map(|heard| labels[heard.voice]).collect(),
        centres: means(voices, &weights, &labels),
    }
}

/// Groups, numbered from 0 without gaps.
fn agglomerate(unit: &Vectors, weights: &[f32], wanted: &Wanted) -> Vec<usize> {
    if wanted.at_most < 2 {
        return vec![0; unit.len()];
    }
    let windows: f32 = weights.iter().sum();
    let smallest = smallest(windows.round() as usize) as f32;
    let wanted = Wanted {
        solid: smallest,
        ..wanted.clone()
    };
    let condensed = condense::condense(unit, weights, MOST_POINTS);
    let tree = agglomerative::tree(&condensed.points, &condensed.weights, wanted.linkage);
    let groups = tree.cut(&condensed.weights, &wanted);
    let mut labels: Vec<usize> = condensed.part.iter().map(|part| groups[*part]).collect();
    clustering::in_order(&mut labels);
    let means = means(unit, weights, &labels);
    let mut heavy = vec![0.0_f32; means.len()];
    for (label, weight) in labels.iter().zip(weights) {
        heavy[*label] += weight;
    }
    // As large as asked for, or as many of the largest as there must be.
    let mut ranked: Vec<usize> = (0..heavy.len()).collect();
    ranked.sort_by(|a, b| heavy[*b].total_cmp(&heavy[*a]).then(a.cmp(b)));
    let large = heavy.iter().filter(|weight| **weight >= smallest).count();
    ranked.truncate(large.max(wanted.at_least).max(1));
    ranked.sort_unstable();
    let mut kept = Vectors::new(unit.width());
    for group in &ranked {
        kept.push(means.row(*group));
    }
    let goes_to = |group: usize| {
        ranked
            .binary_search(&group)
            .unwrap_or_else(|_| nearest(&kept, means.row(group)))
    };
    let place: Vec<usize> = (0..heavy.len()).map(goes_to).collect();
    labels.iter().map(|label| place[*label]).collect()
}

/// The windows that make a person, for so many voices of windows.
fn smallest(windows: usize) -> usize {
    // A tenth, to the nearest.
    SMALLEST.min(((windows + 5) / 10).max(1))
}

/// The mean of each group.
fn means(voices: &Vectors, weights: &[f32], groups: &[usize]) -> Vectors {
    condense::gathered(voices, weights, groups.to_vec()).points
}

/// The centre at the smallest angle.
fn nearest(centres: &Vectors, voice: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (at, centre) in centres.rows().enumerate() {
        let fit = dot(centre, voice) / dot(centre, centre).sqrt().max(1e-9);
        if fit > best.1 {
            best = (at, fit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clustering::agglomerative::Linkage;

    fn wanted(at_least: usize, at_most: usize) -> Wanted {
        Wanted {
            method: Clustering::Agglomerative,
            linkage: Linkage::Centroid,
            threshold: 0.25,
            at_least,
            at_most,
            solid: 0.0,
        }
    }

    fn heard(voices: &[usize]) -> Vec<Heard> {
        let heard = |(window, voice): (usize, &usize)| Heard {
            window,
            person: 1,
            frames: 0..1,
            voice: *voice,
            share: 1.0,
        };
        voices.iter().enumerate().map(heard).collect()
    }

    /// Voices at these angles, of length 3.
    fn voices(angles: &[f32]) -> Vectors {
        let values = angles
            .iter()
            .flat_map(|angle| [3.0 * angle.cos(), 3.0 * angle.sin()]);
        Vectors::of(2, values.collect())
    }

    #[test]
    fn voices_at_a_small_angle_are_one_person() {
        let people = find(
            &voices(&[0.0, 1.5, 0.1, 1.6]),
            &heard(&[0, 1, 2, 3]),
            &wanted(1, 20),
        );
        assert_eq!(people.who, [0, 1, 0, 1]);
        assert_eq!(people.centres.len(), 2);
    }

    #[test]
    fn a_number_that_is_given_is_kept() {
        let apart = voices(&[0.0, 1.5, 0.1, 3.0]);
        for number in 1..=4 {
            let people = find(&apart, &heard(&[0, 1, 2, 3]), &wanted(number, number));
            assert_eq!(people.centres.len(), number, "{people:?}");
        }
    }

    #[test]
    fn a_voice_of_few_windows_is_nobody_in_a_long_recording() {
        // Forty windows of two people and one of somebody in between.
        let mut shared = vec![0; 20];
        shared.extend([1; 20]);
        shared.push(2);
        let people = find(&voices(&[0.0, 3.0, 1.0]), &heard(&shared), &wanted(1, 20));
        assert_eq!(people.centres.len(), 2);
        assert_eq!(people.who.last(), Some(&0));
    }

    #[test]
    fn nobody_heard_is_nobody() {
        let people = find(&Vectors::new(4), &[], &wanted(1, 20));
        assert!(people.who.is_empty() && people.centres.is_empty());
    }
}
