//! Documents: taken in, found, replaced, deleted, and still there after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use polyphony_config::HumanDuration;
use polyphony_error::{Fault, Kind};
use polyphony_rag::domain::{DocumentState, Fusion, Head};
use polyphony_rag::engine::{Prepare, Prepared, Source, StepFn};
use polyphony_rag::ingest::ConflictPolicy;
use polyphony_rag::{Config, DocumentListing, Store};

use super::hashed::{Hashed, Lines};
use super::support::*;

#[tokio::test]
async fn a_document_is_found_by_words_and_by_meaning_and_is_there_after_a_restart() {
    let folder = quick();
    let caller = caller("books");
    {
        let store = open(folder.path()).await;
        let scope = space(&store, &caller, "library").await;
        let outcome = ingest(
            &store,
            &scope,
            vec![
                (head("whales"), "The whale swims in the ocean\nIt breathes air"),
                (head("trains"), "A train runs on rails"),
            ],
        )
        .await;
        assert_eq!(outcome.results.len(), 2);
        assert!(
            outcome
                .results
                .iter()
                .all(|result| result.failure.is_none() && !result.unchanged)
        );
        let document = outcome.results[0].document.as_ref().unwrap();
        assert_eq!((document.state, document.passages), (DocumentState::Ready, 2));
        assert_eq!(outcome.epoch, store.epoch(&scope).await.unwrap());
        store.close().await;
    }
    let store = open(folder.path()).await;
    let scope = space(&store, &caller, "library").await;
    for fusion in [
        Fusion::RelativeScore,
        Fusion::Rrf,
        Fusion::Dbsf,
        Fusion::DenseOnly,
        Fusion::LexicalOnly,
    ] {
        let found = search(&store, &scope, &with("the whale swims", fusion)).await;
        assert_eq!(found.hits[0].document, "whales", "{fusion:?}");
        assert_eq!(found.hits[0].text, "The whale swims in the ocean");
        assert_eq!(found.hits[0].range, 0..28);
    }
    let found = search(&store, &scope, &with("swimming whales", Fusion::LexicalOnly)).await;
    let hit = &found.hits[0];
    let marked: Vec<&str> = hit
        .highlights
        .iter()
        .map(|range| &hit.text[range.clone()])
        .collect();
    assert_eq!(marked, ["whale", "swims"]);
    assert_eq!(store.space(&scope).await.unwrap().documents, 2);
    at_rest(&store, &scope).await;
    store.close().await;
}

#[tokio::test]
async fn what_is_the_same_is_not_done_again_and_what_differs_follows_the_policy() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    ingest(&store, &scope, vec![(head("a"), "one whale")]).await;
    let epoch = store.epoch(&scope).await.unwrap();

    let again = ingest(&store, &scope, vec![(head("a"), "one whale")]).await;
    assert!(again.results[0].unchanged && again.epoch == epoch);

    let policy = |policy| ingest_with(&store, &scope, vec![(head("a"), "two trains")], policy);
    let skipped = policy(ConflictPolicy::Skip).await;
    assert!(skipped.results[0].unchanged && skipped.results[0].failure.is_none());
    let refused = policy(ConflictPolicy::Fail).await;
    assert_eq!(
        refused.results[0].failure.as_ref().unwrap().kind(),
        Kind::AlreadyExists
    );
    assert_eq!(
        documents(&search(&store, &scope, &with("whale", Fusion::LexicalOnly)).await),
        ["a"]
    );

    let replaced = policy(ConflictPolicy::Replace).await;
    assert!(!replaced.results[0].unchanged && replaced.epoch > epoch);
    assert!(
        search(&store, &scope, &with("whale", Fusion::LexicalOnly))
            .await
            .hits
            .is_empty()
    );
    let found = search(&store, &scope, &query("trains")).await;
    assert_eq!(
        found.hits.len(),
        1,
        "the old version is found by no search: {found:?}"
    );
    at_rest(&store, &scope).await;

    // The same bytes with other tags are another version, and are found by them.
    let tagged = Head {
        tags: vec!["new".to_owned()],
        ..head("a")
    };
    let outcome = ingest(&store, &scope, vec![(tagged, "two trains")]).await;
    assert!(!outcome.results[0].unchanged);
    let mut by_tag = query("trains");
    by_tag.filter.tags = vec!["new".to_owned()];
    assert_eq!(documents(&search(&store, &scope, &by_tag).await), ["a"]);
    at_rest(&store, &scope).await;
    store.close().await;
}

/// Another service has to look at pictures, and answers only when it is awake.
#[derive(Debug, Default)]
struct Waking {
    awake: AtomicBool,
}

impl Prepare for Waking {
    fn prepare<'a>(&'a self, source: Source<'a>, step: &'a StepFn) -> BoxFuture<'a, Result<Prepared, Fault>> {
        let is_picture = std::fs::read_to_string(source.path).is_ok_and(|text| text.contains("picture"));
        if is_picture && !self.awake.load(Ordering::Relaxed) {
            return Box::pin(async { Err(Fault::unavailable("OCR_DOWN", "ocr does not answer")) });
        }
        Lines.prepare(source, step)
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_now_waits_and_holds_up_no_other() {
    let folder = quick();
    let waking = Arc::new(Waking::default());
    let config = Config {
        workers: 1,
        read_patience: HumanDuration::from_secs(120),
        ..config(folder.path())
    };
    let store = Store::open(config, Arc::new(Hashed::default()), waking.clone())
        .await
        .unwrap();
    let scope = space(&store, &caller("books"), "library").await;
    let two = [("seen", "a picture of a whale"), ("read", "a whale")];
    let two = two.map(|(id, text)| submission(&store, head(id), text).unwrap());
    let ingestion = store
        .ingest(&scope, two.into(), ConflictPolicy::Replace, "")
        .await;
    let mut ingestion = ingestion.unwrap();
    while ingestion.progress().ready == 0 {
        ingestion.changed().await.unwrap();
    }
    assert_eq!(
        documents(&search(&store, &scope, &query("whale")).await),
        ["read"]
    );
    assert_eq!(ingestion.progress().failed, 0);
    waking.awake.store(true, Ordering::Relaxed);
    let outcome = ingestion.finish().await.unwrap();
    assert!(outcome.results.iter().all(|result| result.failure.is_none()));
    at_rest(&store, &scope).await;
    store.close().await;
    drop((store, ingestion));

    // Who is down for longer than that is named.
    waking.awake.store(false, Ordering::Relaxed);
    let config = Config {
        read_patience: HumanDuration::from_secs(1),
        ..super::support::config(folder.path())
    };
    let store = Store::open(config, Arc::new(Hashed::default()), waking)
        .await
        .unwrap();
    let outcome = ingest(&store, &scope, vec![(head("other"), "a picture of a ship")]).await;
    let failure = outcome.results[0].failure.as_ref().unwrap();
    assert_eq!(
        (failure.reason.as_str(), failure.kind()),
        ("OCR_DOWN", Kind::Unavailable)
    );
    at_rest(&store, &scope).await;
    store.close().await;
}

#[tokio::test]
async fn a_document_that_fails_says_why_and_leaves_the_one_before_it() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let outcome = ingest(
        &store,
        &scope,
        vec![(head("new"), "unreadable"), (head("good"), "a whale")],
    )
    .await;
    let failure = outcome.results[0].failure.as_ref().unwrap();
    assert_eq!(
        (failure.reason.as_str(), failure.kind()),
        ("DOCUMENT_BROKEN", Kind::InvalidArgument)
    );
    assert_eq!(outcome.results[1].failure, None, "one that fails stops no other");
    let failed = store.document(&scope, "new").await.unwrap();
    assert_eq!(failed.state, DocumentState::Failed);
    assert_eq!(failed.failure.as_ref(), Some(failure));

    let outcome = ingest(&store, &scope, vec![(head("good"), "unreadable now")]).await;
    assert!(outcome.results[0].failure.is_some());
    assert_eq!(
        store.document(&scope, "good").await.unwrap().state,
        DocumentState::Ready
    );
    assert_eq!(
        documents(&search(&store, &scope, &query("whale")).await),
        ["good"]
    );
    // Another try with bytes that can be read mends it.
    ingest(&store, &scope, vec![(head("new"), "a readable whale")]).await;
    assert_eq!(
        store.document(&scope, "new").await.unwrap().state,
        DocumentState::Ready
    );
    let blank = ingest(&store, &scope, vec![(head("blank"), " \n \n")]).await;
    assert_eq!(
        blank.results[0].failure.as_ref().unwrap().reason,
        "DOCUMENT_WITHOUT_TEXT"
    );
    at_rest(&store, &scope).await;
    store.close().await;
}

#[tokio::test]
async fn what_is_deleted_is_found_no_longer_and_a_space_goes_with_all_of_it() {
    let folder = quick();
    let store = open(folder.path()).await;
    let caller = caller("books");
    let scope = space(&store, &caller, "library").await;
    ingest(
        &store,
        &scope,
        vec![(head("a"), "one whale"), (head("b"), "two whales")],
    )
    .await;
    store.delete_document(&scope, "a").await.unwrap();
    assert_eq!(documents(&search(&store, &scope, &query("whale")).await), ["b"]);
    let missing = store.delete_document(&scope, "a").await.unwrap_err();
    assert!(missing.to_string().contains("documents/a"), "{missing}");
    at_rest(&store, &scope).await;

    let kept = store.delete_space(&scope, false, "").await.unwrap_err();
    assert!(kept.to_string().contains("force"), "{kept}");
    store.delete_space(&scope, true, "").await.unwrap();
    assert!(store.scope(&caller, "library").await.is_err());
    // The name is free at once, and nothing of the old space is in the new one.
    let scope = space(&store, &caller, "library").await;
    assert!(search(&store, &scope, &query("whale")).await.hits.is_empty());
    assert_eq!(store.space(&scope).await.unwrap().documents, 0);
    store.close().await;
}

#[tokio::test]
async fn a_request_is_done_once_however_often_it_is_asked() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let request = "7c2b1b9e-3c2f-4f8e-9d0a-0a4b8c3b1e11";
    let mut epochs = Vec::new();
    for _ in 0..2 {
        let one = submission(&store, head("a"), "one whale").unwrap();
        let ingestion = store
            .ingest(&scope, vec![one], ConflictPolicy::Replace, request)
            .await;
        let outcome = ingestion.unwrap().finish().await.unwrap();
        assert!(outcome.results[0].failure.is_none() && !outcome.results[0].unchanged);
        epochs.push(outcome.epoch);
    }
    assert_eq!(epochs[0], epochs[1]);
    let other = space(&store, &caller("books"), "other").await;
    let one = submission(&store, head("a"), "one whale").unwrap();
    let refused = store
        .ingest(&other, vec![one], ConflictPolicy::Replace, request)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("request_id"), "{refused}");
    store.close().await;
}

#[tokio::test]
async fn documents_are_listed_by_name_in_pages_by_state_and_by_tag() {
    let folder = quick();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    let tagged = |id: &str, tags: &[&str]| Head {
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..head(id)
    };
    let texts = vec![
        (tagged("c", &["sea", "old"]), "one"),
        (tagged("a", &["sea"]), "two"),
        (tagged("B", &["seaside"]), "three"),
        (tagged("d", &[]), "unreadable"),
    ];
    ingest(&store, &scope, texts).await;
    let list = async |state, tags: &[&str], after: &str, most| {
        let listing = DocumentListing {
            state,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            after: after.to_owned(),
            most,
        };
        let listed = store.list_documents(&scope, &listing).await.unwrap();
        listed.into_iter().map(|document| document.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, &[], "", 10).await, ["B", "a", "c", "d"]);
    assert_eq!(list(None, &[], "a", 1).await, ["c"]);
    assert_eq!(list(None, &["sea"], "", 10).await, ["a", "c"]);
    assert_eq!(list(None, &["old", "sea"], "", 10).await, ["c"]);
    assert_eq!(list(Some(DocumentState::Failed), &[], "", 10).await, ["d"]);
    store.close().await;
}

#[tokio::test]
async fn a_passage_that_stays_is_not_embedded_again() {
    let folder = quick();
    let models = Hashed::default();
    let opened = Store::open(config(folder.path()), Arc::new(models.clone()), Arc::new(Lines)).await;
    let store = opened.unwrap();
    let scope = space(&store, &caller("books"), "library").await;
    ingest(&store, &scope, vec![(head("a"), "one\ntwo\nthree")]).await;
    assert_eq!(models.embedded.load(Ordering::Relaxed), 3);
    ingest(&store, &scope, vec![(head("a"), "one\ntwo\nfour")]).await;
    assert_eq!(models.embedded.load(Ordering::Relaxed), 4);
    // Under another title it says something else.
    let titled = Head {
        title: Some("Numbers".to_owned()),
        ..head("a")
    };
    ingest(&store, &scope, vec![(titled, "one\ntwo\nfour")]).await;
    assert_eq!(models.embedded.load(Ordering::Relaxed), 7);
    at_rest(&store, &scope).await;
    store.close().await;
}

/// On a disk, where a commit takes its time.
#[tokio::test]
async fn a_caller_that_goes_away_while_the_ledger_commits_takes_no_bytes_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let scope = space(&store, &caller("books"), "library").await;
    for at in 0..100 {
        let one = submission(&store, head(&format!("d{at}")), "a whale").unwrap();
        let (go_away, gone) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(at * 40));
            go_away.send(())
        });
        tokio::select! {
            taken = store.ingest(&scope, vec![one], ConflictPolicy::Replace, "") => drop(taken.unwrap()),
            _ = gone => {}
        }
    }
    at_rest(&store, &scope).await;
    let failed = DocumentListing {
        state: Some(DocumentState::Failed),
        most: 1,
        ..DocumentListing::default()
    };
    assert_eq!(store.list_documents(&scope, &failed).await.unwrap(), []);
}
