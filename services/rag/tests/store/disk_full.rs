//! A full disk: what is new is refused, nothing is half done, and the same process goes on when there is room again.
//!
//! The disk is a small file system in memory, which the process mounts in a namespace of its own: this test binary, called
//! for one test that does nothing unless it is told so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use polyphony_config::ByteSize;
use polyphony_error::{Fault, Kind};
use polyphony_rag::engine::{Prepare, Prepared, Source, StepFn};
use polyphony_rag::ingest::{ConflictPolicy, Ingestion};
use polyphony_rag::{Scope, Store};
use polyphony_testing::{Logs, eventually};
use tokio::sync::watch;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;

use super::hashed::{Hashed, Lines};
use super::support::*;

const DISK: &str = "POLYPHONY_RAG_DISK";

/// Documents are read while this says so.
#[derive(Debug)]
struct Gate {
    open: watch::Sender<bool>,
    /// How many documents somebody waits to read.
    held: watch::Sender<usize>,
}

/// Documents of lines, behind a gate.
#[derive(Debug)]
struct Gated(Arc<Gate>);

impl Prepare for Gated {
    fn prepare<'a>(&'a self, source: Source<'a>, step: &'a StepFn) -> BoxFuture<'a, Result<Prepared, Fault>> {
        Box::pin(async move {
            let mut open = self.0.open.subscribe();
            self.0.held.send_modify(|held| *held += 1);
            drop(open.wait_for(|open| *open).await);
            self.0.held.send_modify(|held| *held -= 1);
            Lines.prepare(source, step).await
        })
    }
}

/// The process on the small disk.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        return;
    };
    // Of all threads: this is the only test of its process.
    let logs = Logs::default();
    let all = tracing_subscriber::registry().with(logs.clone());
    tracing::subscriber::set_global_default(all).unwrap();
    let gate = Arc::new(Gate {
        open: watch::Sender::new(true),
        held: watch::Sender::new(0),
    });
    let mut config = config(&disk.join("store"));
    config.min_free = ByteSize::mib(24);
    // It is the ledger's own disk that is full.
    config.ledger_url = None;
    let prepare = Arc::new(Gated(Arc::clone(&gate)));
    let opened = Store::open(config.clone(), Arc::new(Hashed::default()), prepare).await;
    let store = opened.unwrap();
    let scope = space(&store, &caller("books"), "library").await;
    ingest(&store, &scope, vec![(head("before"), "a whale before")]).await;

    // Twice, for the first failure may leave something behind; and more each time, so that it is not written over what the
    // ledger has on the disk already.
    for (failures, lines) in [(1, 500), (2, 1_500)] {
        // They are acknowledged and begun while there is room, and written when there is none.
        gate.open.send_replace(false);
        let mut ingestion = begin(&store, &scope, lines).await;
        drop(gate.held.subscribe().wait_for(|held| *held > 0).await);
        let ballast = disk.join("ballast");
        fill(&ballast);

        let refused = submission(&store, head("late"), "a late whale").map(drop);
        let fault = Fault::from(refused.expect_err("bytes are refused while there is no room"));
        assert_eq!((fault.kind, fault.reason), (Kind::ResourceExhausted, "DISK_FULL"));
        let new = polyphony_rag::domain::NewSpace::default();
        let fault = Fault::from(store.create_space(&caller("books"), new, "").await.unwrap_err());
        assert_eq!(fault.reason, "DISK_FULL");
        // Searches go on.
        assert!(
            !search(&store, &scope, &query("whale before"))
                .await
                .hits
                .is_empty()
        );
        gate.open.send_replace(true);
        let full = "database or disk is full";
        eventually(Duration::from_secs(20), "a write that fails", || {
            logs.matching(Level::WARN, full).len() >= failures
        })
        .await;

        fs::remove_file(&ballast).unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(40), ingestion.finish()).await;
        let Ok(outcome) = outcome else {
            panic!(
                "what was acknowledged is not done when there is room: {:#?}",
                logs.matching(Level::INFO, "")
            );
        };
        let outcome = outcome.unwrap();
        assert!(
            outcome.results.iter().all(|result| result.failure.is_none()),
            "{outcome:?}"
        );
    }
    ingest(&store, &scope, vec![(head("late"), "a late whale")]).await;
    at_rest(&store, &scope).await;
    store.close().await;
    drop(store);
    // All of it is on the disk.
    let store = open_with(config).await;
    assert_eq!(store.space(&scope).await.unwrap().documents, 23);
    at_rest(&store, &scope).await;
    store.close().await;
}

/// Hands over a large document and twenty small ones, each time with other words.
async fn begin(store: &Store, scope: &Scope, lines: usize) -> Ingestion {
    let long = "whale ".repeat(700);
    let large = (0..lines)
        .map(|line| format!("{line} of {lines}: {long}\n"))
        .collect();
    let small = (0..20).map(|at| (format!("small{at}"), format!("whale {at} of {lines}")));
    let all = std::iter::once(("large".to_owned(), large)).chain(small);
    let all = all.map(|(id, text): (String, String)| submission(store, head(&id), &text).unwrap());
    let taken = store.ingest(scope, all.collect(), ConflictPolicy::Replace, "");
    taken.await.unwrap()
}

/// Leaves no room at all.
fn fill(path: &Path) {
    use std::io::Write;

    let mut file = fs::File::create(path).unwrap();
    let block = vec![1; 1 << 16];
    while file.write_all(&block).is_ok() {}
}

#[test]
fn a_full_disk_is_refused_and_the_process_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = r#"mount -t tmpfs -o size=128m none "$1" && shift && exec "$@""#;
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["store::disk_full::child", "--exact", "--nocapture"])
        .env(DISK, folder.path())
        .output()
        .expect("unshare of util-linux, which every Debian has");
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
