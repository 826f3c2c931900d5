//! Archives: a space taken out and put in again is the same, and anything less than whole is refused.

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use polyphony_rag::archive::{ArchiveEnd, Piece};
use polyphony_rag::domain::{Head, Space};
use polyphony_rag::{Error, Scope, Store};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::support::*;

async fn export(store: &Store, scope: &Scope, omit_vectors: bool) -> (Vec<u8>, ArchiveEnd) {
    let mut export = store.export(scope, omit_vectors).await.unwrap();
    let mut bytes = Vec::new();
    let mut end = None;
    while let Some(piece) = export.next().await.unwrap() {
        match piece {
            Piece::Bytes(more) => {
                assert!(more.len() <= 32 << 10);
                bytes.extend(more);
            }
            Piece::End(told) => end = Some(told),
        }
    }
    (bytes, end.unwrap())
}

async fn import(
    store: &Store,
    caller: &Caller,
    id: Option<&str>,
    bytes: &[u8],
    end: &ArchiveEnd,
) -> Result<Space, Error> {
    let mut upload = store.upload_archive()?;
    upload.write(bytes)?;
    store.import(caller, id, "", upload.finish()?, end).await
}

fn end_of(bytes: &[u8]) -> ArchiveEnd {
    let digest = Sha256::digest(bytes);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    ArchiveEnd {
        size_bytes: bytes.len() as u64,
        digest: format!("sha256:{digest}"),
    }
}

async fn filled(store: &Store, caller: &Caller) -> Scope {
    let scope = space(store, caller, "library").await;
    let texts: Vec<String> = (0..60)
        .map(|at| format!("whale number {at}\ntrain number {at}"))
        .collect();
    let documents = texts.iter().enumerate().map(|(at, text)| {
        let head = Head {
            title: Some(format!("Title {at}")),
            tags: vec!["sea".to_owned()],
            metadata: json!({"at": at}).as_object().cloned().unwrap(),
            time: Some(std::time::UNIX_EPOCH - std::time::Duration::from_secs(5)),
            ..head(&format!("d{at}"))
        };
        (head, text.as_str())
    });
    ingest(store, &scope, documents.collect()).await;
    scope
}

async fn top(store: &Store, scope: &Scope) -> Vec<(String, String, f32)> {
    let mut all = Vec::new();
    for at in 0..50 {
        let found = search(store, scope, &query(&format!("train {at}"))).await;
        all.extend(
            found
                .hits
                .into_iter()
                .map(|hit| (hit.id.to_string(), hit.text, hit.score)),
        );
    }
    all
}

#[tokio::test]
async fn a_space_comes_back_whole_with_the_same_ids_and_the_same_hits() {
    let (here, there) = (quick(), quick());
    let caller = caller("books");
    let store = open(here.path()).await;
    let scope = filled(&store, &caller).await;
    let (before, listed) = (
        top(&store, &scope).await,
        store.document(&scope, "d7").await.unwrap(),
    );
    let (bytes, end) = export(&store, &scope, false).await;
    assert_eq!(end, end_of(&bytes));
    let (small, small_end) = export(&store, &scope, true).await;
    assert!(small.len() < bytes.len());
    store.close().await;

    let store = open(there.path()).await;
    let made = import(&store, &caller, None, &bytes, &end).await.unwrap();
    assert_eq!(
        (made.id.as_str(), made.documents, made.passages),
        ("library", 60, 120)
    );
    let scope = store.scope(&caller, "library").await.unwrap();
    assert_eq!(top(&store, &scope).await, before);
    assert_eq!(store.document(&scope, "d7").await.unwrap(), listed);
    at_rest(&store, &scope).await;
    // Without vectors they are made anew; under another name passages have other ids and the same words.
    import(&store, &caller, Some("other"), &small, &small_end)
        .await
        .unwrap();
    let scope = store.scope(&caller, "other").await.unwrap();
    let texts =
        |hits: Vec<(String, String, f32)>| hits.into_iter().map(|(_, text, _)| text).collect::<Vec<_>>();
    assert_eq!(texts(top(&store, &scope).await), texts(before));
    at_rest(&store, &scope).await;
    let again = import(&store, &caller, None, &bytes, &end).await.unwrap_err();
    assert_eq!(Fault::from(again).kind, Kind::AlreadyExists);
    store.close().await;
}

#[tokio::test]
async fn what_is_not_whole_makes_no_space() {
    let folder = quick();
    let caller = caller("books");
    let store = open(folder.path()).await;
    let scope = filled(&store, &caller).await;
    let (bytes, end) = export(&store, &scope, false).await;
    let refused = async |bytes: &[u8], end: &ArchiveEnd| {
        let error = import(&store, &caller, Some("broken"), bytes, end)
            .await
            .unwrap_err();
        assert!(
            store.scope(&caller, "broken").await.is_err(),
            "nothing is left of it"
        );
        Fault::from(error)
    };
    // It is not what was sent.
    let mut changed = bytes.clone();
    changed[bytes.len() / 2] ^= 1;
    assert_eq!(refused(&changed, &end).await.reason, "ARCHIVE_DIFFERS");
    assert_eq!(
        refused(&bytes[..bytes.len() - 1], &end).await.reason,
        "ARCHIVE_DIFFERS"
    );
    // It is what was sent, and no archive.
    for cut in [0, 4, 20, bytes.len() / 3, bytes.len() - 1] {
        let fault = refused(&bytes[..cut], &end_of(&bytes[..cut])).await;
        assert_eq!(
            (fault.kind, fault.reason),
            (Kind::InvalidArgument, "ARCHIVE_BROKEN"),
            "{cut}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(refused(&longer, &end_of(&longer)).await.reason, "ARCHIVE_BROKEN");
    // The name is free, so a whole one can have it.
    import(&store, &caller, Some("broken"), &bytes, &end)
        .await
        .unwrap();
    store.close().await;
}

#[tokio::test]
async fn an_import_that_is_sent_twice_at_once_makes_one_space() {
    let folder = quick();
    let caller = caller("books");
    let store = open(folder.path()).await;
    let scope = filled(&store, &caller).await;
    let (bytes, end) = export(&store, &scope, false).await;
    let sent = async || {
        let mut upload = store.upload_archive().unwrap();
        upload.write(&bytes).unwrap();
        let request = "123e4567-e89b-42d3-a456-426614174000";
        store
            .import(&caller, Some("twice"), request, upload.finish().unwrap(), &end)
            .await
            .unwrap()
    };
    let (one, other) = tokio::join!(sent(), sent());
    assert_eq!((one.id.as_str(), one.documents), ("twice", 60));
    assert_eq!((one.created, one.id), (other.created, other.id));
    at_rest(&store, &store.scope(&caller, "twice").await.unwrap()).await;
    store.close().await;
}

#[tokio::test]
async fn an_archive_shows_the_space_at_one_moment() {
    let folder = quick();
    let caller = caller("books");
    let store = open(folder.path()).await;
    let scope = filled(&store, &caller).await;
    let mut export = store.export(&scope, false).await.unwrap();
    let Some(Piece::Bytes(mut bytes)) = export.next().await.unwrap() else {
        panic!("an archive has bytes");
    };
    for at in 0..60 {
        store.delete_document(&scope, &format!("d{at}")).await.unwrap();
    }
    ingest(&store, &scope, vec![(head("late"), "a late whale")]).await;
    while let Some(Piece::Bytes(more)) = export.next().await.unwrap() {
        bytes.extend(more);
    }
    drop(export);
    let made = import(&store, &caller, Some("moment"), &bytes, &end_of(&bytes))
        .await
        .unwrap();
    assert_eq!((made.documents, made.passages), (60, 120));
    store.close().await;
}
