//! A full disk: what is new is refused, nothing is half done, and the same process goes on when there is room again.
//!
//! The disk is a small file system in memory, which the process mounts in a namespace of its own: this test binary, called
//! for one test that does nothing unless it is told so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use polyphony_config::ByteSize;
use polyphony_error::{Fault, Kind};
use polyphony_rag::ingest::ConflictPolicy;

use super::support::*;

const DISK: &str = "POLYPHONY_RAG_DISK";

/// The process on the small disk.
#[tokio::test]
async fn child() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        return;
    };
    let (logs, _guard) = polyphony_testing::capture_logs();
    let mut config = config(&disk.join("store"));
    config.min_free = ByteSize::mib(24);
    let store = open_with(config).await;
    let scope = space(&store, &caller("books"), "library").await;
    ingest(&store, &scope, vec![(head("before"), "a whale before")]).await;

    // Documents that were acknowledged while there was room, and are not done when there is none.
    let texts: Vec<String> = (0..40).map(|at| format!("whale {at}\n").repeat(50)).collect();
    let some = texts
        .iter()
        .enumerate()
        .map(|(at, text)| submission(&store, head(&format!("d{at}")), text).unwrap());
    let mut ingestion = store
        .ingest(&scope, some.collect(), ConflictPolicy::Replace, "")
        .await
        .unwrap();
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
    tokio::time::sleep(Duration::from_millis(700)).await;

    fs::remove_file(&ballast).unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(40), ingestion.finish()).await;
    let Ok(outcome) = outcome else {
        panic!(
            "what was acknowledged is not done when there is room: {:#?}",
            logs.events()
        );
    };
    let outcome = outcome.unwrap();
    assert!(
        outcome.results.iter().all(|result| result.failure.is_none()),
        "{outcome:?}"
    );
    ingest(&store, &scope, vec![(head("late"), "a late whale")]).await;
    assert_eq!(store.space(&scope).await.unwrap().documents, 42);
    at_rest(&store, &scope).await;
    store.close().await;
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
