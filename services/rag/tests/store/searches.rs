//! Searches: filters, pages, and what a score is made of.

use std::time::{Duration, UNIX_EPOCH};

use polyphony_error::{Fault, Kind};
use polyphony_rag::domain::{Fusion, Head, Query, ScoreSource};
use serde_json::json;

use super::support::*;

#[tokio::test]
async fn filters_hold_in_both_indexes() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let made = |id: &str, kind: &str, tags: &[&str], day: u64, data: serde_json::Value| Head {
        doc_type: Some(kind.to_owned()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        time: Some(UNIX_EPOCH + Duration::from_secs(day * 86_400)),
        metadata: data.as_object().cloned().unwrap(),
        ..head(id)
    };
    ingest(
        &store,
        &scope,
        vec![
            (
                made(
                    "a",
                    "invoice",
                    &["x", "y"],
                    1,
                    json!({"year": 2024, "who": ["ana", "ben"]}),
                ),
                "whale one",
            ),
            (
                made("b", "manual", &["x"], 2, json!({"year": 2025, "ok": true})),
                "whale two",
            ),
            (
                made("c", "manual", &["z"], 3, json!({"year": 2024.0})),
                "whale three",
            ),
        ],
    )
    .await;
    for fusion in [Fusion::DenseOnly, Fusion::LexicalOnly] {
        let found = async |change: &dyn Fn(&mut Query)| {
            let mut query = with("whale", fusion);
            change(&mut query);
            let found = search(&store, &scope, &query).await;
            let mut documents: Vec<String> = found.hits.into_iter().map(|hit| hit.document).collect();
            documents.sort_unstable();
            documents
        };
        let day = |day: u64| Some(UNIX_EPOCH + Duration::from_secs(day * 86_400));
        let data = |data: serde_json::Value| data.as_object().cloned().unwrap();
        assert_eq!(found(&|_| ()).await, ["a", "b", "c"], "{fusion:?}");
        assert_eq!(
            found(&|query| query.filter.doc_types = vec!["manual".to_owned(), "letter".to_owned()]).await,
            ["b", "c"]
        );
        assert_eq!(
            found(&|query| query.filter.tags = vec!["x".to_owned(), "y".to_owned()]).await,
            ["a"]
        );
        assert_eq!(
            found(&|query| query.filter.documents = vec!["a".to_owned(), "c".to_owned()]).await,
            ["a", "c"]
        );
        assert_eq!(found(&|query| query.filter.from = day(2)).await, ["b", "c"]);
        assert_eq!(found(&|query| query.filter.until = day(2)).await, ["a"]);
        assert_eq!(
            found(&|query| query.filter.metadata = data(json!({"year": 2024}))).await,
            ["a", "c"]
        );
        assert_eq!(
            found(&|query| query.filter.metadata = data(json!({"who": "ben"}))).await,
            ["a"]
        );
        assert_eq!(
            found(&|query| query.filter.metadata = data(json!({"year": 2025, "ok": true}))).await,
            ["b"]
        );
        assert_eq!(
            found(&|query| query.filter.metadata = data(json!({"who": "eve"}))).await,
            [""; 0]
        );
    }
    store.close().await;
}

#[tokio::test]
async fn pages_are_parts_of_one_search_and_end_with_their_epoch() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let text: String = (0..25).map(|line| format!("whale number {line}\n")).collect();
    ingest(&store, &scope, vec![(head("a"), &text)]).await;
    let mut query = query("whale number");
    query.page_size = 25;
    let whole = search(&store, &scope, &query).await;
    assert_eq!((whole.hits.len(), whole.next_page.as_str()), (25, ""));
    query.page_size = 10;
    let mut paged = Vec::new();
    loop {
        let page = search(&store, &scope, &query).await;
        paged.extend(page.hits.iter().map(|hit| hit.id));
        if page.next_page.is_empty() {
            break;
        }
        query.page = page.next_page;
    }
    assert_eq!(paged, whole.hits.iter().map(|hit| hit.id).collect::<Vec<_>>());

    let mut other = query.clone();
    other.text = "another".to_owned();
    let refused = Fault::from(store.search(&scope, &other).await.unwrap_err());
    assert_eq!(
        (refused.kind, &*refused.violations[0].field),
        (Kind::InvalidArgument, "page_token")
    );
    ingest(&store, &scope, vec![(head("b"), "whale number 99")]).await;
    let gone = Fault::from(store.search(&scope, &query).await.unwrap_err());
    assert_eq!((gone.kind, gone.reason), (Kind::Aborted, "EPOCH_GONE"));
    // The scope is older than the document; what is found is not.
    query.page.clear();
    let found = search(&store, &scope, &query).await;
    assert_eq!(found.epoch, store.epoch(&scope).await.unwrap());
    assert!(found.epoch > scope.epoch() && found.hits.iter().any(|hit| hit.document == "b"));
    store.close().await;
}

#[tokio::test]
async fn scores_are_the_sum_of_their_parts_whatever_made_the_order() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let text = "whale\nwhale whale\nwhale and much more is said in this one\nwhale whale\ntrain";
    ingest(
        &store,
        &scope,
        vec![(head("a"), text), (head("b"), "whale of another document")],
    )
    .await;
    let base = query("whale");
    let mut ranked = base.clone();
    (ranked.retrieval.rerank, ranked.retrieval.rerank_model) = (Some(true), "longest".to_owned());
    let mut diverse = base.clone();
    diverse.retrieval.diversity = Some(0.5);
    let mut few = base.clone();
    few.retrieval.max_per_document = Some(1);
    let mut good = base.clone();
    good.retrieval.score_threshold = Some(0.5);
    for (query, first) in [
        (&base, None),
        (&ranked, Some("whale and much more is said in this one")),
        (&diverse, None),
        (&few, None),
        (&good, None),
    ] {
        let found = search(&store, &scope, query).await;
        assert!(!found.hits.is_empty());
        for hit in &found.hits {
            let sum: f32 = hit.components.iter().map(|part| part.contribution).sum();
            assert!((sum - hit.score).abs() < 1e-5, "{hit:?}");
        }
        assert!(found.hits.is_sorted_by(|a, b| a.score >= b.score) || query.retrieval.diversity.is_some());
        if let Some(first) = first {
            assert_eq!(found.hits[0].text, first);
            assert!(
                found.hits[0]
                    .components
                    .iter()
                    .any(|part| part.source == ScoreSource::Rerank)
            );
        }
    }
    let found = search(&store, &scope, &diverse).await;
    let texts: Vec<&str> = found.hits.iter().map(|hit| hit.text.as_str()).collect();
    let (one, other) = (
        texts.iter().position(|text| *text == "whale whale"),
        texts.iter().rposition(|text| *text == "whale whale"),
    );
    assert!(
        other > one.map(|one| one + 1),
        "passages that are the same are not neighbours: {texts:?}"
    );
    let found = search(&store, &scope, &few).await;
    assert_eq!(documents(&found).len(), 2);
    assert!(
        search(&store, &scope, &good)
            .await
            .hits
            .iter()
            .all(|hit| hit.score >= 0.5)
    );
    let no_ranker = {
        let mut query = base.clone();
        query.retrieval.rerank = Some(true);
        Fault::from(store.search(&scope, &query).await.unwrap_err())
    };
    assert_eq!(&*no_ranker.violations[0].field, "retrieval.rerank");
    store.close().await;
}

#[tokio::test]
async fn a_page_that_is_longer_than_usual_is_filled() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let text: Vec<String> = (0..150).map(|at| format!("whale {at}")).collect();
    ingest(&store, &scope, vec![(head("a"), &text.join("\n"))]).await;
    for fusion in [Fusion::LexicalOnly, Fusion::DenseOnly] {
        let mut query = with("whale", fusion);
        query.page_size = 150;
        let found = search(&store, &scope, &query).await;
        assert_eq!(
            (found.hits.len(), found.next_page.as_str()),
            (150, ""),
            "{fusion:?}"
        );
    }
    store.close().await;
}

#[tokio::test]
async fn bad_queries_are_refused_by_their_field() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let refused = async |change: &dyn Fn(&mut Query)| {
        let mut query = query("whale");
        change(&mut query);
        let fault = Fault::from(store.search(&scope, &query).await.unwrap_err());
        fault.violations[0].field.clone().into_owned()
    };
    assert_eq!(refused(&|query| query.text = " ".to_owned()).await, "query");
    assert_eq!(refused(&|query| query.text = "x".repeat(4_001)).await, "query");
    assert_eq!(refused(&|query| query.page_size = 0).await, "page_size");
    assert_eq!(refused(&|query| query.page = "x".to_owned()).await, "page_token");
    assert_eq!(
        refused(&|query| query.retrieval.dense_weight = Some(1.5)).await,
        "retrieval.dense_weight"
    );
    assert_eq!(
        refused(&|query| query.retrieval.diversity = Some(f32::NAN)).await,
        "retrieval.diversity"
    );
    assert_eq!(
        refused(&|query| query.retrieval.candidates = Some(0)).await,
        "retrieval.candidates"
    );
    assert_eq!(
        refused(&|query| query.retrieval.rrf_k = Some(5_000)).await,
        "retrieval.rrf_k"
    );
    assert_eq!(
        refused(&|query| query.retrieval.score_threshold = Some(f32::NAN)).await,
        "retrieval.score_threshold"
    );
    store.close().await;
}
