//! A full disk: what is new is refused, nothing is half done, and the same process goes on when there is room again.
//!
//! The disk is a small file system in memory, which the process mounts in a namespace of its own: this test binary, called
//! for one test that does nothing unless it is told so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use polyphony_config::ByteSize;
use polyphony_error::{Fault, Kind};
use polyphony_jobs::{JobsConfig, NewJob, Queue, State};

use super::support::{ME, submit, terms};

const DISK: &str = "POLYPHONY_JOBS_DISK";

/// The process on the small disk.
#[tokio::test]
async fn child() {
    let Some(disk) = std::env::var_os(DISK).map(PathBuf::from) else {
        return;
    };
    let config = JobsConfig {
        data_dir: disk.join("jobs"),
        min_free: ByteSize::kib(64),
        ..JobsConfig::default()
    };
    let queue = Queue::open(&config, terms()).await.expect("opens");
    let before = submit(&queue, "before").await;
    let held = queue.claim().await.expect("works").expect("one waits");
    submit(&queue, "done meanwhile").await;
    let brief = queue.claim().await.expect("works").expect("one waits");
    let draft = queue.artifacts().begin(&before.id, "a.bin").expect("room");
    let ballast = disk.join("ballast");
    fill(&ballast);

    let refused = queue.submit(NewJob::new("anonymous", b"late".to_vec())).await;
    let fault = Fault::from(refused.expect_err("there is no room"));
    assert_eq!((fault.kind, fault.reason), (Kind::ResourceExhausted, "DISK_FULL"));
    let fault = Fault::from(draft.append(&[0; 1 << 20]).expect_err("there is no room"));
    assert_eq!(fault.reason, "DISK_FULL");
    drop(draft);
    // What was done is not lost to a disk that is full for a moment.
    let room_again = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs::remove_file(&ballast).expect("deleted");
    };
    let (ended, ()) = tokio::join!(brief.succeed(b"all of it"), room_again);
    assert_eq!(ended.expect("written in the end").state, State::Succeeded);

    held.beat().await.expect("the same process goes on");
    let draft = queue.artifacts().begin(&before.id, "a.bin").expect("room");
    draft.append(b"whole").expect("room");
    draft.publish().expect("room");
    held.succeed(b"").await.expect("held");
    submit(&queue, "late").await;
    let done = queue.get(&before.id, ME).await.expect("known");
    assert_eq!(done.state, State::Succeeded);
    assert_eq!(queue.depth().await.expect("works"), 1);
}

fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).expect("made");
    for size in [64 << 10, 1 << 10, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_is_refused_and_gotten_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "mount -t tmpfs -o size=8m none \"$0\" && POLYPHONY_JOBS_DISK=\"$0\" exec \"$1\" \
                  disk_full::child --exact --test-threads=1";
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script])
        .arg(folder.path())
        .arg(std::env::current_exe().expect("a test"))
        .output()
        .expect("unshare of util-linux");
    let text = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{text}{told}"
    );
}
