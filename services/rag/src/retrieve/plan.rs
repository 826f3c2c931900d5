//! A query checked, with every default filled in.

use std::sync::Arc;

use polyphony_error::Fault;

use crate::domain::{Fusion, Query, Retrieval};
use crate::engine::Rank;
use crate::fuse::Rule;
use crate::{Error, Store};

/// How a query is answered.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// As it was asked, with every default.
    pub(super) effective: Retrieval,
    pub(super) rule: Rule,
    /// Passages that each index brings.
    pub(super) candidates: usize,
    /// The cross-encoder that orders the best anew.
    pub(super) ranker: Option<Arc<dyn Rank>>,
}

/// The most characters of a query.
const LONGEST_QUERY: usize = 4_000;
/// The most hits on a page.
const MOST_HITS: usize = 1_000;
const CANDIDATES: u32 = 100;
const MOST_CANDIDATES: u32 = 10_000;
const RRF_K: u32 = 60;

// === impl Plan ===

impl Plan {
    pub(super) async fn of(store: &Store, query: &Query) -> Result<Self, Error> {
        check(query)?;
        let asked = &query.retrieval;
        let ranker = match asked.rerank {
            Some(false) => None,
            Some(true) => {
                let ranker = store.models().ranker(&asked.rerank_model).await?;
                if ranker.is_none() {
                    let why = "there is no cross-encoder on disk; pull one with `polyphony models pull`, or leave it out";
                    return Err(Fault::invalid("retrieval.rerank", why).into());
                }
                ranker
            }
            None => store.models().ranker(&asked.rerank_model).await?,
        };
        // A page needs at least its own number of candidates.
        let page_size = u32::try_from(query.page_size).unwrap_or(u32::MAX);
        let candidates = asked.candidates.unwrap_or_else(|| CANDIDATES.max(page_size));
        let rule = Rule {
            fusion: asked.fusion,
            dense_weight: asked.dense_weight,
            rrf_k: asked.rrf_k.unwrap_or(RRF_K),
        };
        let effective = Retrieval {
            fusion: rule.fusion,
            // Without a weight the lists decide, when they are there.
            dense_weight: rule.dense_weight,
            rrf_k: Some(rule.rrf_k),
            candidates: Some(candidates),
            score_threshold: asked.score_threshold,
            diversity: Some(asked.diversity.unwrap_or(0.0)),
            rerank: Some(ranker.is_some()),
            rerank_model: ranker
                .as_ref()
                .map_or_else(String::new, |ranker| ranker.model().to_owned()),
            max_per_document: asked.max_per_document,
            exact: asked.exact,
        };
        Ok(Self {
            effective,
            rule,
            candidates: candidates as usize,
            ranker,
        })
    }

    /// Whether vectors are searched.
    pub(super) fn asks_vectors(&self) -> bool {
        self.rule.fusion != Fusion::LexicalOnly
    }
}

fn check(query: &Query) -> Result<(), Error> {
    let refused = |field: &'static str, why: String| Err(Fault::invalid(field, why).into());
    let length = query.text.chars().count();
    if query.text.trim().is_empty() || length > LONGEST_QUERY {
        return refused(
            "query",
            format!("must be 1 to {LONGEST_QUERY} characters, not all blank"),
        );
    }
    if !(1..=MOST_HITS).contains(&query.page_size) {
        return refused("page_size", format!("must be 1 to {MOST_HITS}"));
    }
    let Retrieval {
        fusion: _,
        dense_weight,
        rrf_k,
        candidates,
        score_threshold,
        diversity,
        rerank: _,
        rerank_model: _,
        max_per_document,
        exact: _,
    } = &query.retrieval;
    for (field, share) in [
        ("retrieval.dense_weight", dense_weight),
        ("retrieval.diversity", diversity),
    ] {
        if share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return refused(field, "must be 0 to 1".to_owned());
        }
    }
    if score_threshold.is_some_and(f32::is_nan) {
        return refused("retrieval.score_threshold", "must be a number".to_owned());
    }
    for (field, number, most) in [
        ("retrieval.rrf_k", rrf_k, 1_000),
        ("retrieval.candidates", candidates, MOST_CANDIDATES),
        ("retrieval.max_per_document", max_per_document, u32::MAX),
    ] {
        if number.is_some_and(|number| !(1..=most).contains(&number)) {
            return refused(field, format!("must be 1 to {most}"));
        }
    }
    if let (Some(from), Some(until)) = (query.filter.from, query.filter.until)
        && from >= until
    {
        return refused(
            "filter.document_time_until",
            "must be after document_time_from".to_owned(),
        );
    }
    Ok(())
}
