//! What only shows from within: rows that are gone, and who waits while something happens.

use sqlx::Row;

use super::*;
use crate::job::{NewJob, State};

fn terms() -> Terms {
    Terms {
        service: "test",
        max_attempts: 3,
        blame_losses: false,
        max_interruptions: None,
        holder_stops: false,
        max_queue: 10,
        max_kept: 10,
        retention: None,
        lanes: 1,
        max_payload: 100,
        max_result: 100,
        drop_payload: false,
    }
}

async fn open(folder: &std::path::Path) -> Queue {
    let config = JobsConfig {
        data_dir: folder.to_owned(),
        ..JobsConfig::default()
    };
    let opened = Queue::open_at(&config, terms(), Arc::new(SystemClock)).await;
    opened.expect("opens")
}

#[tokio::test]
async fn a_job_whose_payload_is_gone_fails_and_those_behind_it_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    let mut ids = Vec::new();
    for payload in [b"x", b"y"] {
        let new = NewJob::new("me", payload.to_vec());
        ids.push(queue.submit(new).await.expect("room").job.id);
    }
    let mut writing = queue.inner.database.begin().await.expect("begins");
    sqlx::query("DELETE FROM job_payloads WHERE job = $1")
        .bind(ids[0].clone())
        .execute(&mut *writing)
        .await
        .expect("deleted");
    writing.commit().await.expect("written");

    assert!(queue.claim().await.expect("works").is_none());
    let failed = queue.get(&ids[0], &["me"]).await.expect("known");
    assert_eq!(failed.state, State::Failed);
    assert!(failed.failure.is_some() && failed.ended.is_some());
    let next = queue.claim().await.expect("works").expect("one waits");
    assert_eq!(next.payload(), b"y");
}

#[tokio::test]
async fn a_claim_and_a_turn_cost_the_same_however_many_wait() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    for (statement, index) in [
        (queue.inner.next_in_turn(), "jobs_in_turn"),
        (Inner::turn_of_next(), "jobs_by_owner_in_turn"),
    ] {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
            .bind("test")
            .bind(0_i64)
            .bind(0_i64)
            .fetch_all(queue.inner.database.readers())
            .await
            .expect("works");
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let looks = |step: &&String| step.contains(" jobs");
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
        // Nothing is sorted, and what is looked up is in the order of an index.
        assert!(
            plan.iter().filter(looks).all(|step| step.starts_with("SEARCH")),
            "{plan:?}"
        );
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}

#[tokio::test]
async fn what_comes_between_a_claim_and_the_wait_after_it_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    let mut changes = queue.changes();
    assert!(queue.claim().await.expect("works").is_none());
    queue
        .submit(NewJob::new("me", b"x".to_vec()))
        .await
        .expect("room");
    // It looks by itself after five seconds.
    let began = std::time::Instant::now();
    queue.changed(&mut changes).await;
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn what_was_left_half_written_goes_when_its_job_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    let submit = async || {
        let new = NewJob::new("me", b"x".to_vec());
        queue.submit(new).await.expect("room").job.id
    };
    let (over, waits) = (submit().await, submit().await);
    queue.cancel(&over, &["me"]).await.expect("waits");
    let aside = folder.path().join("test/aside");
    let left = |job: &str| {
        let path = aside.join(format!("{job}-Ab3-video.mp4.part"));
        std::fs::write(&path, b"half").unwrap();
        path
    };
    let files = [left(&over), left("0123"), left(&waits)];
    queue.inner.delete_orphans().await.expect("works");
    assert_eq!(files.map(|file| file.exists()), [false, false, true]);
}

#[tokio::test]
async fn a_job_is_forgotten_though_its_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path()).await;
    let new = NewJob::new("me", b"x".to_vec());
    let id = queue.submit(new).await.expect("room").job.id;
    queue.cancel(&id, &["me"]).await.expect("waits");
    // A file where its folder would be cannot be deleted as one.
    std::fs::write(folder.path().join("test/artifacts").join(&id), b"").unwrap();
    queue.delete(&id, &["me"]).await.expect("it is over");
    let gone = queue.delete(&id, &["me"]).await;
    assert!(matches!(gone, Err(Error::Unknown(_))), "{gone:?}");
}
