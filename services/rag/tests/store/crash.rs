//! kill -9 at each step: whatever was acknowledged is there after the next start, once, and both indexes say what the
//! ledger says.
//!
//! The process stops at the place that it is told, and is killed there, as often for each place as `POLYPHONY_RAG_KILLS` says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use polyphony_rag::domain::{DocumentState, Fusion};
use polyphony_rag::ingest::ConflictPolicy;
use polyphony_rag::{DocumentListing, Scope, Store};

use super::support::*;
use crate::killed::{self, kills, stopped};

/// The places where the store may be stopped, in the order a document passes them.
const PLACES: [&str; 8] = [
    "before_passages",
    "after_passages",
    "before_dense",
    "before_words",
    "before_ready",
    "after_ready",
    "between_removals",
    "before_forget",
];
const FOLDER: &str = "POLYPHONY_RAG_CRASH_FOLDER";
const ROUND: &str = "POLYPHONY_RAG_CRASH_ROUND";

/// What was acknowledged is written here, a line each: `+ id round turn`, `? id round turn` or `- id round turn`.
fn acknowledged(folder: &Path) -> PathBuf {
    folder.join("acknowledged")
}

/// The process that is killed: it takes in, replaces and deletes documents until it is.
#[tokio::test]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let round: usize = std::env::var(ROUND).unwrap().parse().unwrap();
    let mut told = fs::File::options()
        .create(true)
        .append(true)
        .open(acknowledged(&folder))
        .unwrap();
    let mut tell = move |line: String| {
        writeln!(told, "{line}").unwrap();
        told.sync_all().unwrap();
    };
    let store = open(&folder.join("store")).await;
    let scope = space(&store, &caller("books"), "library").await;
    for turn in 0.. {
        // Some are new, some replace what is there, and one that is there is deleted.
        let documents: Vec<(String, String)> = (0..4)
            .map(|at| {
                (
                    format!("d{}", (round * 3 + turn * 2 + at) % 12),
                    format!("whale {round} {turn} {at}"),
                )
            })
            .collect();
        let submissions = documents
            .iter()
            .map(|(id, text)| submission(&store, head(id), text).unwrap());
        let ingestion = store
            .ingest(&scope, submissions.collect(), ConflictPolicy::Replace, "")
            .await;
        let mut ingestion = ingestion.unwrap();
        for (id, _) in &documents {
            tell(format!("+ {id} {round} {turn}"));
        }
        if turn % 2 == 0 {
            ingestion.finish().await.unwrap();
        }
        let id = format!("d{}", (round + turn * 5) % 12);
        // The line comes first: a deletion that was asked for may have been done when nobody could be told.
        tell(format!("? {id} {round} {turn}"));
        if store.delete_document(&scope, &id).await.is_ok() {
            tell(format!("- {id} {round} {turn}"));
        }
    }
}

fn start(folder: &Path, round: usize, place: Option<&str>) -> Child {
    let round = round.to_string();
    let told = [(FOLDER, folder.as_os_str()), (ROUND, round.as_ref())];
    killed::start("store::crash::child", &told, folder, place)
}

/// Waits for a file, and deletes it.
fn await_file(path: &Path, child: &mut Child) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "the process ended by itself");
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the process came to no such place"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    fs::remove_file(path).unwrap();
}

/// A round and a turn in it.
type When = (usize, usize);

/// What was last told of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    TakenIn(When),
    Deleted(When),
    /// A deletion was asked for and not answered.
    Unsure,
}

fn expected(folder: &Path) -> BTreeMap<String, Told> {
    let mut expected = BTreeMap::new();
    let text = fs::read_to_string(acknowledged(folder)).unwrap_or_default();
    for line in text.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        let [what, id, round, turn] = parts[..] else {
            panic!("{line}");
        };
        let when = (round.parse().unwrap(), turn.parse().unwrap());
        let told = match what {
            "+" => Told::TakenIn(when),
            "-" => Told::Deleted(when),
            _ => Told::Unsure,
        };
        expected.insert(id.to_owned(), told);
    }
    expected
}

/// When a text was written.
fn when(text: &str) -> When {
    let numbers: Vec<usize> = text
        .split(' ')
        .skip(1)
        .map(|number| number.parse().unwrap())
        .collect();
    (numbers[0], numbers[1])
}

/// Opens the store again, waits for what was left, and compares.
async fn check(folder: &Path, place: &str) {
    let store = open(&folder.join("store")).await;
    let scope = space(&store, &caller("books"), "library").await;
    at_rest(&store, &scope).await;
    let there = texts(&store, &scope).await;
    for (id, told) in expected(folder) {
        let found = there.get(&id).map(|text| when(text));
        // What was committed and not told of before the kill may have come after it.
        let fits = match told {
            Told::TakenIn(then) => found.is_some_and(|found| found >= then),
            Told::Deleted(then) => found.is_none_or(|found| found > then),
            Told::Unsure => true,
        };
        assert!(fits, "{id} was {told:?} and is {found:?} after a kill at {place}");
    }
    for fusion in [Fusion::DenseOnly, Fusion::LexicalOnly] {
        let mut query = with("whale", fusion);
        query.page_size = 100;
        let found = search(&store, &scope, &query).await;
        let mut documents: Vec<String> = found.hits.into_iter().map(|hit| hit.document).collect();
        documents.sort_unstable();
        let mut own: Vec<String> = there.keys().cloned().collect();
        own.sort_unstable();
        assert_eq!(
            documents, own,
            "each document once after a kill at {place} ({fusion:?})"
        );
    }
    store.close().await;
}

async fn texts(store: &Store, scope: &Scope) -> BTreeMap<String, String> {
    let listing = DocumentListing {
        most: 1_000,
        ..DocumentListing::default()
    };
    let listed = store.list_documents(scope, &listing).await.unwrap();
    assert!(
        listed
            .iter()
            .all(|document| document.state == DocumentState::Ready)
    );
    let mut query = with("whale", Fusion::LexicalOnly);
    query.page_size = 100;
    let found = search(store, scope, &query).await;
    let shown: BTreeMap<String, String> = found
        .hits
        .into_iter()
        .map(|hit| (hit.document, hit.text))
        .collect();
    assert_eq!(shown.len(), listed.len());
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_loses_nothing_and_doubles_nothing() {
    let mut round = 0;
    for place in PLACES {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..kills() {
            let mut child = start(folder.path(), round, Some(place));
            await_file(&stopped(folder.path()), &mut child);
            child.kill().unwrap();
            child.wait().unwrap();
            check(folder.path(), place).await;
            round += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut wait = 40;
    for round in 0..2 * kills() {
        let mut child = start(folder.path(), round, None);
        // Until something was acknowledged in this round, and a while more that is another each time.
        let of_round = |told: &Told| matches!(told, Told::TakenIn((of, _)) if *of == round);
        let begun = Instant::now();
        while !expected(folder.path()).values().any(of_round) {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "nothing is acknowledged"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        wait = (wait * 7 + 13) % 700;
        std::thread::sleep(Duration::from_millis(200 + wait));
        child.kill().unwrap();
        child.wait().unwrap();
        check(folder.path(), "any moment").await;
    }
}
