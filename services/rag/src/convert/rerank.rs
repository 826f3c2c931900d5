//! Passages to order, and their order.

use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_wire::Refusals;

use crate::domain::rules::{self, longer};

/// Passages, and characters of each.
const MOST_PASSAGES: usize = 1_000;
const MOST_TEXT: usize = 20_000;
const MOST_ID: usize = 200;

/// Passages that are to be ordered.
#[derive(Debug)]
pub(crate) struct Rerank {
    /// The cross-encoder; empty: the server's default.
    pub(crate) model: String,
    pub(crate) query: String,
    /// The client's name and the text of each.
    pub(crate) passages: Vec<(String, String)>,
    /// Only the best so many.
    pub(crate) top: usize,
}

/// Parses passages to order.
pub(crate) fn rerank(wire: pb::RerankRequest) -> Result<Rerank, Fault> {
    let pb::RerankRequest {
        model,
        query,
        passages,
        top_n,
    } = wire;
    let mut refusals = Refusals::at("");
    if longer(&model, 200) {
        refusals.add("model", "must have at most 200 characters");
    }
    rules::text(&query, &mut refusals);
    if passages.is_empty() || passages.len() > MOST_PASSAGES {
        refusals.add("passages", "must be 1 to 1000");
    }
    if top_n == Some(0) {
        refusals.add("top_n", "must be at least 1");
    }
    let mut parsed = Vec::with_capacity(passages.len().min(MOST_PASSAGES));
    for (at, passage) in passages.into_iter().take(MOST_PASSAGES).enumerate() {
        let pb::RerankPassage { id, text } = passage;
        if longer(&id, MOST_ID) {
            refusals.add(&format!("passages[{at}].id"), "must have at most 200 characters");
        }
        if text.trim().is_empty() || longer(&text, MOST_TEXT) {
            refusals.add(&format!("passages[{at}].text"), "must have 1 to 20000 characters");
        }
        parsed.push((id, text));
    }
    refusals.finish()?;
    Ok(Rerank {
        model,
        query,
        top: top_n.map_or(parsed.len(), |top| top as usize),
        passages: parsed,
    })
}

/// The passages in order of their logits; a score is the logistic function of one.
pub(crate) fn ranked(asked: &Rerank, logits: &[f32]) -> Vec<pb::RankedPassage> {
    let mut order: Vec<(usize, f32)> = logits.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let passage = |(at, logit): (usize, f32)| pb::RankedPassage {
        id: asked
            .passages
            .get(at)
            .map(|(id, _)| id.clone())
            .unwrap_or_default(),
        index: u32::try_from(at).unwrap_or(u32::MAX),
        score: 1.0 / (1.0 + (-logit).exp()),
        raw_score: logit,
    };
    order.into_iter().take(asked.top).map(passage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(texts: &[&str], top_n: Option<u32>) -> Result<Rerank, Fault> {
        let passages = texts.iter().map(|text| pb::RerankPassage {
            id: format!("id of {text}"),
            text: (*text).to_owned(),
        });
        rerank(pb::RerankRequest {
            query: "wing".to_owned(),
            passages: passages.collect(),
            top_n,
            ..pb::RerankRequest::default()
        })
    }

    #[test]
    fn the_best_come_first_and_keep_their_names() {
        let asked = asked(&["a", "b", "c"], Some(2)).expect("passages");
        let ranked = ranked(&asked, &[0.0, 2.0, -1.0]);
        let ids: Vec<(&str, u32)> = ranked
            .iter()
            .map(|passage| (passage.id.as_str(), passage.index))
            .collect();
        assert_eq!(ids, [("id of b", 1), ("id of a", 0)]);
        assert!((ranked[1].score - 0.5).abs() < 1e-6 && ranked[0].score > 0.8);
    }

    #[test]
    fn nothing_to_order_is_refused() {
        for (texts, top, field) in [
            (&[][..], None, "passages"),
            (&["a", " "], None, "passages[1].text"),
            (&["a"], Some(0), "top_n"),
        ] {
            let fault = asked(texts, top).expect_err("refused");
            assert_eq!(fault.violations[0].field, field);
        }
    }
}
