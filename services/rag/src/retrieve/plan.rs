//! A query checked, with every default filled in.

use std::sync::Arc;

use polyphony_error::Fault;
use polyphony_wire::Refusals;

use crate::domain::{Fusion, Query, Retrieval, rules};
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

const CANDIDATES: u32 = 100;
const RRF_K: u32 = 60;

// === impl Plan ===

impl Plan {
    pub(super) async fn of(store: &Store, query: &Query) -> Result<Self, Error> {
        let mut refusals = Refusals::at("");
        rules::query(query, &mut refusals);
        refusals.finish()?;
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
