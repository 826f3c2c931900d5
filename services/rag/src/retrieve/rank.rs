//! The best passages ordered anew by a cross-encoder, which reads query and passage together.

use std::sync::Arc;

use super::Candidate;
use crate::Error;
use crate::domain::{ScoreComponent, ScoreSource};
use crate::engine::Rank;
use crate::store::blocking;

/// So many are ordered anew: each costs a run of the model.
const DEPTH: usize = 50;

/// Orders the first [`DEPTH`] anew. The rest follow as they were, below the worst of those.
pub(super) async fn rank(
    ranker: Arc<dyn Rank>,
    query: String,
    candidates: Vec<Candidate>,
) -> Result<Vec<Candidate>, Error> {
    blocking(move || {
        let texts: Vec<&str> = candidates
            .iter()
            .take(DEPTH)
            .map(|candidate| &*candidate.loaded.passage.text)
            .collect();
        let logits = ranker.rank(&query, &texts)?;
        if logits.len() != texts.len() {
            return Err(Error::damaged(
                "a cross-encoder gave other scores than it was asked for",
            ));
        }
        Ok(ordered(candidates, &logits))
    })
    .await
}

fn ordered(mut candidates: Vec<Candidate>, logits: &[f32]) -> Vec<Candidate> {
    let rest = candidates.split_off(logits.len());
    for (candidate, &logit) in candidates.iter_mut().zip(logits) {
        let score = 1.0 / (1.0 + (-logit).exp());
        for component in &mut candidate.fused.components {
            component.weight = 0.0;
            component.contribution = 0.0;
        }
        candidate.fused.components.push(ScoreComponent {
            source: ScoreSource::Rerank,
            raw: logit,
            normalized: score,
            rank: 0,
            weight: 1.0,
            contribution: score,
        });
        candidate.fused.score = score;
    }
    candidates.sort_by(|a, b| {
        b.fused
            .score
            .total_cmp(&a.fused.score)
            .then(a.fused.key.cmp(&b.fused.key))
    });
    for (rank, candidate) in (1..).zip(&mut candidates) {
        if let Some(component) = candidate.fused.components.last_mut() {
            component.rank = rank;
        }
    }
    let least = candidates.last().map_or(1.0, |candidate| candidate.fused.score);
    candidates.extend(rest.into_iter().map(|mut candidate| {
        candidate.fused.score *= least;
        for component in &mut candidate.fused.components {
            component.weight *= least;
            component.contribution *= least;
        }
        candidate
    }));
    candidates
}
