//! Queues in folders of their own, in SQLite, or in a database of its own on the server that `POLYPHONY_JOBS_TEST_POSTGRES`
//! names, as `postgres://postgres@127.0.0.1:5432`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use polyphony_config::{ByteSize, HumanDuration};
use polyphony_jobs::{Clock, Held, Job, JobsConfig, ManualClock, NewJob, Queue, Terms};

pub(crate) const ME: &[&str] = &["anonymous"];

pub(crate) fn config(folder: &Path) -> JobsConfig {
    let url = match std::env::var("POLYPHONY_JOBS_TEST_POSTGRES") {
        Ok(server) => Some(format!("{server}/{}", database(&server, folder))),
        Err(_) => None,
    };
    JobsConfig {
        data_dir: folder.to_owned(),
        url: url.map(Into::into),
        lease: HumanDuration::from_secs(2),
        min_free: ByteSize::mib(1),
        ..JobsConfig::default()
    }
}

/// The database of a folder, made if it is missing.
fn database(server: &str, folder: &Path) -> String {
    let text = folder.to_str().expect("a plain path");
    let name: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("j{}", name.to_lowercase());
    let statement = format!("CREATE DATABASE {name}");
    // It may be there already.
    std::process::Command::new("psql")
        .args([&format!("{server}/postgres"), "-q", "-c", &statement])
        .output()
        .expect("psql of postgresql-client, which POLYPHONY_JOBS_TEST_POSTGRES asks for");
    name
}

pub(crate) fn terms() -> Terms {
    Terms {
        service: "test",
        max_attempts: 3,
        blame_losses: false,
        max_interruptions: None,
        holder_stops: false,
        max_queue: 100,
        max_kept: 1_000,
        retention: Some(Duration::from_secs(3_600)),
        lanes: 1,
        max_payload: 1_000,
        max_result: 1_000,
        drop_payload: false,
    }
}

/// A folder in memory where there is such a place: for tests that no crash follows.
pub(crate) fn quick() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().expect("a folder"))
}

pub(crate) async fn open(folder: &Path, terms: Terms) -> (Queue, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let queue = Queue::open_at(&config(folder), terms, Arc::clone(&clock) as Arc<dyn Clock>).await;
    (
        queue.unwrap_or_else(|error| panic!("{}", polyphony_error::chain(&error))),
        clock,
    )
}

pub(crate) async fn submit(queue: &Queue, payload: &str) -> Job {
    submit_of(queue, "anonymous", payload).await
}

pub(crate) async fn submit_of(queue: &Queue, owner: &str, payload: &str) -> Job {
    let new = NewJob::new(owner, payload.as_bytes().to_vec());
    queue.submit(new).await.expect("room").job
}

/// The next job in turn.
pub(crate) async fn claim(queue: &Queue) -> Held {
    queue.claim().await.expect("works").expect("one waits")
}
