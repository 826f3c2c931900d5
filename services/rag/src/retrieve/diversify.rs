//! Passages that repeat each other give way to others (maximal marginal relevance, Carbonell and Goldstein 1998).

use std::collections::HashMap;

use super::Candidate;
use crate::domain::{ScoreComponent, ScoreSource};

/// So many passages are compared with each other.
pub(super) const MOST: usize = 500;

/// Orders passages so that each next one fits well and differs from those before it. `diversity` is 0 for relevance alone
/// to 1 for difference alone.
pub(super) fn diversify(
    mut rest: Vec<Candidate>,
    vectors: &HashMap<i64, Vec<f32>>,
    diversity: f32,
) -> Vec<Candidate> {
    let mut chosen: Vec<Candidate> = Vec::with_capacity(rest.len());
    // How near each of the rest is to the nearest of the chosen.
    let mut nearest = vec![0.0_f32; rest.len()];
    while !rest.is_empty() {
        let mut best = 0;
        let mut best_score = f32::NEG_INFINITY;
        for (at, candidate) in rest.iter().enumerate() {
            let score = (1.0 - diversity) * candidate.fused.score - diversity * nearest[at];
            if score > best_score {
                (best, best_score) = (at, score);
            }
        }
        let mut next = rest.remove(best);
        let similarity = nearest.remove(best);
        for component in &mut next.fused.components {
            component.weight *= 1.0 - diversity;
            component.contribution *= 1.0 - diversity;
        }
        next.fused.components.push(ScoreComponent {
            source: ScoreSource::Diversity,
            raw: similarity,
            normalized: similarity.clamp(0.0, 1.0),
            rank: u32::try_from(chosen.len() + 1).unwrap_or(u32::MAX),
            weight: diversity,
            contribution: -diversity * similarity,
        });
        next.fused.score = best_score;
        if let Some(vector) = vectors.get(&next.fused.key) {
            for (candidate, nearest) in rest.iter().zip(&mut nearest) {
                if let Some(other) = vectors.get(&candidate.fused.key) {
                    *nearest = nearest.max(dot(vector, other));
                }
            }
        }
        chosen.push(next);
    }
    chosen
}

/// The cosine of vectors of unit length.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}
