//! Queries and hits between the wire and the domain.

use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Refusals, wire_duration};

use super::{data, hits, names};
use crate::domain::rules::{self, MOST_HITS, MOST_NAMES};
use crate::domain::{Filter, Found, Fusion, Query, Retrieval};

/// Hits on a page.
const PAGE: usize = 10;

/// A search that is well asked for.
#[derive(Debug)]
pub(crate) struct Search {
    /// The space's id.
    pub(crate) space: String,
    pub(crate) query: Query,
}

/// Parses a search.
pub(crate) fn search(wire: pb::SearchRequest) -> Result<Search, Fault> {
    let pb::SearchRequest {
        space,
        query,
        filter,
        retrieval,
        page_size,
        page_token,
    } = wire;
    let space = names::space(&space, "space")?;
    let mut refusals = Refusals::at("");
    rules::text(&query, &mut refusals);
    if page_size > MOST_HITS {
        refusals.add("page_size", format!("must be 1 to {MOST_HITS}; 0 is {PAGE}"));
    }
    let filter = self::filter(filter, &space, &mut refusals);
    let retrieval = self::retrieval(retrieval, &mut refusals);
    refusals.finish()?;
    Ok(Search {
        space,
        query: Query {
            text: query,
            filter,
            retrieval,
            page_size: if page_size == 0 { PAGE } else { page_size as usize },
            page: page_token,
        },
    })
}

/// Parses which passages may be found, in the space of this id.
pub(crate) fn filter(wire: Option<pb::Filter>, space: &str, refusals: &mut Refusals) -> Filter {
    let pb::Filter {
        doc_types,
        tags,
        documents,
        document_time_from,
        document_time_until,
        metadata,
    } = wire.unwrap_or_default();
    // One more than there may be is enough to be refused.
    let some = documents.iter().take(MOST_NAMES + 1);
    let mut ids = Vec::with_capacity(some.len());
    for (at, name) in some.enumerate() {
        match names::split(name) {
            Some((of, id)) if of == space => ids.push(id.to_owned()),
            _ => refusals.add(
                &format!("filter.documents[{at}]"),
                format!("must be the name of a document of this space, as \"spaces/{space}/documents/a.md\""),
            ),
        }
    }
    let filter = Filter {
        doc_types,
        tags: data::once(tags),
        documents: ids,
        from: data::time(document_time_from, "filter.document_time_from", refusals),
        until: data::time(document_time_until, "filter.document_time_until", refusals),
        metadata: data::map(metadata, "filter.metadata", refusals),
    };
    rules::filter(&filter, refusals);
    filter
}

/// Parses how to retrieve.
pub(crate) fn retrieval(wire: Option<pb::RetrievalConfig>, refusals: &mut Refusals) -> Retrieval {
    let pb::RetrievalConfig {
        fusion,
        dense_weight,
        rrf_k,
        candidates,
        score_threshold,
        diversity,
        rerank,
        rerank_model,
        max_per_document,
        exact,
    } = wire.unwrap_or_default();
    let fusion = match pb::Fusion::try_from(fusion) {
        Ok(pb::Fusion::Unspecified | pb::Fusion::RelativeScore) => Fusion::RelativeScore,
        Ok(pb::Fusion::Rrf) => Fusion::Rrf,
        Ok(pb::Fusion::Dbsf) => Fusion::Dbsf,
        Ok(pb::Fusion::DenseOnly) => Fusion::DenseOnly,
        Ok(pb::Fusion::LexicalOnly) => Fusion::LexicalOnly,
        Err(_) => {
            refusals.add("retrieval.fusion", "must be one of Fusion");
            Fusion::default()
        }
    };
    let retrieval = Retrieval {
        fusion,
        dense_weight,
        rrf_k,
        candidates,
        score_threshold,
        diversity,
        rerank,
        rerank_model,
        max_per_document,
        exact: exact.unwrap_or(false),
    };
    rules::retrieval(&retrieval, refusals);
    retrieval
}

/// The config with every default filled in, and nothing that this fusion does not use: it may be sent as it is.
pub(crate) fn effective(retrieval: &Retrieval) -> pb::RetrievalConfig {
    let Retrieval {
        fusion,
        dense_weight,
        rrf_k,
        candidates,
        score_threshold,
        diversity,
        rerank,
        rerank_model,
        max_per_document,
        exact,
    } = retrieval;
    let is = |of: Fusion| *fusion == of;
    let (dense_weight, rrf_k) = (
        dense_weight.filter(|_| is(Fusion::RelativeScore)),
        rrf_k.filter(|_| is(Fusion::Rrf)),
    );
    let fusion = match fusion {
        Fusion::RelativeScore => pb::Fusion::RelativeScore,
        Fusion::Rrf => pb::Fusion::Rrf,
        Fusion::Dbsf => pb::Fusion::Dbsf,
        Fusion::DenseOnly => pb::Fusion::DenseOnly,
        Fusion::LexicalOnly => pb::Fusion::LexicalOnly,
    };
    pb::RetrievalConfig {
        fusion: fusion.into(),
        dense_weight,
        rrf_k,
        candidates: *candidates,
        score_threshold: *score_threshold,
        diversity: *diversity,
        rerank: *rerank,
        rerank_model: rerank_model.clone(),
        max_per_document: *max_per_document,
        exact: Some(*exact),
    }
}

/// What was found in the space of this id.
pub(crate) fn found(space: &str, found: Found, receipt: types::Receipt) -> pb::SearchResponse {
    let Found {
        hits,
        next_page,
        epoch,
        effective,
        timings,
        embedding_model: _,
        rerank_model: _,
    } = found;
    pb::SearchResponse {
        hits: hits.iter().map(|hit| hits::hit(space, hit)).collect(),
        next_page_token: next_page,
        index_epoch: epoch,
        effective_retrieval: Some(self::effective(&effective)),
        timings: timings
            .iter()
            .map(|timing| stage(timing.stage, timing.duration))
            .collect(),
        receipt: Some(receipt),
    }
}

/// How long a stage took.
pub(crate) fn stage(stage: &str, duration: std::time::Duration) -> pb::StageTiming {
    pb::StageTiming {
        stage: stage.to_owned(),
        duration: Some(wire_duration(duration)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> pb::SearchRequest {
        pb::SearchRequest {
            space: "spaces/a".to_owned(),
            query: "wing".to_owned(),
            ..pb::SearchRequest::default()
        }
    }

    #[test]
    fn every_field_that_cannot_be_is_told_at_once() {
        let mut wire = asked();
        wire.query = " ".to_owned();
        wire.page_size = 1_001;
        wire.filter = Some(pb::Filter {
            documents: vec!["spaces/b/documents/x".to_owned()],
            tags: vec![String::new()],
            ..pb::Filter::default()
        });
        wire.retrieval = Some(pb::RetrievalConfig {
            fusion: 9,
            dense_weight: Some(f32::NAN),
            rrf_k: Some(0),
            candidates: Some(0),
            score_threshold: Some(f32::INFINITY),
            diversity: Some(1.5),
            max_per_document: Some(0),
            ..pb::RetrievalConfig::default()
        });
        let fault = search(wire).expect_err("refused");
        let fields: Vec<&str> = fault
            .violations
            .iter()
            .map(|violation| &*violation.field)
            .collect();
        assert_eq!(
            fields,
            [
                "query",
                "page_size",
                "filter.documents[0]",
                "filter.tags",
                "retrieval.fusion",
                "retrieval.dense_weight",
                "retrieval.rrf_k",
                "retrieval.rrf_k",
                "retrieval.candidates",
                "retrieval.score_threshold",
                "retrieval.diversity",
                "retrieval.max_per_document",
            ]
        );
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let Search { space, query } = search(asked()).expect("a search");
        assert_eq!((space.as_str(), query.page_size), ("a", 10));
        assert_eq!(query.retrieval, Retrieval::default());
        assert_eq!(query.filter, Filter::default());
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let mut wire = asked();
        wire.retrieval = Some(pb::RetrievalConfig {
            fusion: pb::Fusion::DenseOnly.into(),
            dense_weight: Some(0.5),
            rerank: Some(false),
            rerank_model: "x".to_owned(),
            ..pb::RetrievalConfig::default()
        });
        let fault = search(wire).expect_err("refused");
        assert_eq!(fault.violations.len(), 2);
    }
}
