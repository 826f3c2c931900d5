//! Stores in folders of their own, callers with names, and documents in one line.

use std::path::Path;
use std::sync::Arc;

use polyphony_chassis::{Caller, Identity, Peer};
use polyphony_config::ByteSize;
use polyphony_rag::domain::{Found, Fusion, Head, NewSpace, Query, Retrieval};
use polyphony_rag::ingest::{ConflictPolicy, Outcome, Submission};
use polyphony_rag::{Config, Error, Scope, Store};

use super::hashed::{Hashed, Lines};

/// A configuration for tests: little room is asked for, and two workers. The ledger is SQLite, or a database of its own on
/// the server that `POLYPHONY_RAG_TEST_POSTGRES` names, as `postgres://postgres@127.0.0.1:5432`.
pub(crate) fn config(folder: &Path) -> Config {
    let ledger_url = match std::env::var("POLYPHONY_RAG_TEST_POSTGRES") {
        Ok(server) => Some(format!("{server}/{}", database(&server, folder))),
        Err(_) => None,
    };
    Config {
        data_dir: folder.to_owned(),
        ledger_url: ledger_url.map(Into::into),
        min_free: ByteSize::mib(1),
        workers: 2,
        ..Config::default()
    }
}

/// The database of a folder, made if it is missing.
fn database(server: &str, folder: &Path) -> String {
    let name: String = folder
        .to_str()
        .unwrap()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let name = format!("t{}", name.to_lowercase());
    let statement = format!("CREATE DATABASE {name}");
    // It may be there already.
    std::process::Command::new("psql")
        .args([&format!("{server}/postgres"), "-q", "-c", &statement])
        .output()
        .expect("psql of postgresql-client, which POLYPHONY_RAG_TEST_POSTGRES asks for");
    name
}

/// A folder in memory where there is such a place: for tests of many writes that no crash follows.
pub(crate) fn quick() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub(crate) async fn open(folder: &Path) -> Store {
    open_with(config(folder)).await
}

pub(crate) async fn open_with(config: Config) -> Store {
    let opened = Store::open(config, Arc::new(Hashed::default()), Arc::new(Lines)).await;
    opened.unwrap_or_else(|error| panic!("{}", polyphony_error::chain(&error)))
}

/// A caller whose certificate has this name.
pub(crate) fn caller(name: &str) -> Caller {
    let mut request = tonic::Request::new(());
    request.extensions_mut().insert(Peer {
        addr: ([127, 0, 0, 1], 1).into(),
        identity: Some(Arc::new(Identity {
            uris: vec![format!("spiffe://example.org/{name}")],
            dns: Vec::new(),
        })),
    });
    Caller::of(&request)
}

/// The caller's space of this name, made if it is missing.
pub(crate) async fn space(store: &Store, caller: &Caller, name: &str) -> Scope {
    if let Ok(scope) = store.scope(caller, name).await {
        return scope;
    }
    let new = NewSpace {
        id: Some(name.to_owned()),
        language: Some("en".to_owned()),
        ..NewSpace::default()
    };
    store.create_space(caller, new, "").await.unwrap();
    store.scope(caller, name).await.unwrap()
}

pub(crate) fn head(id: &str) -> Head {
    Head {
        id: Some(id.to_owned()),
        ..Head::default()
    }
}

pub(crate) fn submission(store: &Store, head: Head, text: &str) -> Result<Submission, Error> {
    let mut upload = store.upload()?;
    upload.write(text.as_bytes())?;
    let kept = upload.finish()?;
    Ok(Submission { head, kept })
}

/// Takes documents in and waits until they are done.
pub(crate) async fn ingest(store: &Store, scope: &Scope, documents: Vec<(Head, &str)>) -> Outcome {
    ingest_with(store, scope, documents, ConflictPolicy::Replace).await
}

pub(crate) async fn ingest_with(
    store: &Store,
    scope: &Scope,
    documents: Vec<(Head, &str)>,
    policy: ConflictPolicy,
) -> Outcome {
    let documents = documents
        .into_iter()
        .map(|(head, text)| submission(store, head, text).unwrap());
    let ingestion = store.ingest(scope, documents.collect(), policy, "").await;
    ingestion.unwrap().finish().await.unwrap()
}

pub(crate) fn query(text: &str) -> Query {
    Query {
        text: text.to_owned(),
        page_size: 10,
        ..Query::default()
    }
}

pub(crate) fn with(text: &str, fusion: Fusion) -> Query {
    let retrieval = Retrieval {
        fusion,
        ..Retrieval::default()
    };
    Query {
        retrieval,
        ..query(text)
    }
}

pub(crate) async fn search(store: &Store, scope: &Scope, query: &Query) -> Found {
    let found = store.search(scope, query).await;
    found.unwrap_or_else(|error| panic!("{}", polyphony_error::chain(&error)))
}

/// The documents of what was found, in order.
pub(crate) fn documents(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.document.as_str()).collect()
}

/// Waits until nothing of the space is on its way, and checks that both indexes say what the ledger says.
pub(crate) async fn at_rest(store: &Store, scope: &Scope) {
    for _ in 0..600 {
        let audit = store.audit(scope).await.unwrap();
        if audit.waiting == 0 {
            assert!(audit.is_sound(), "{audit:?}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("documents are still on their way");
}
