//! Who holds a job: one claim takes nothing from another, a lease is renewed whoever waits for it, and what was done is
//! written.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use polyphony_jobs::{Clock, NewJob, Queue, State, Vigil, Why};
use tokio_util::sync::CancellationToken;

use super::support::{ME, config, open, quick, submit, terms};

/// The system's clock, so many seconds ahead.
#[derive(Debug, Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn who_lost_a_job_takes_nothing_from_whoever_has_it_now() {
    let folder = quick();
    let (queue, clock) = open(folder.path(), terms()).await;
    let job = submit(&queue, "x").await;
    let old = queue.claim().await.expect("works").expect("one waits");
    clock.advance(Duration::from_secs(3));
    queue.sweep().await.expect("works");
    let new = queue.claim().await.expect("works").expect("it waits again");
    new.say(b"new".to_vec()).expect("short");
    old.say(b"old".to_vec()).expect("short");
    drop(old);
    let told = queue.get(&job.id, ME).await.expect("known");
    assert_eq!(told.progress, b"new");
    queue.cancel(&job.id, ME).await.expect("held");
    assert!(new.is_cancelled(), "its holder hears of it at once");
    assert!(queue.holds(&job.id));
    new.stopped().await.expect("held");
    assert!(!queue.holds(&job.id));
}

#[tokio::test]
async fn a_lease_is_renewed_though_each_wait_for_it_is_given_up() {
    let folder = quick();
    let (queue, clock) = open(folder.path(), terms()).await;
    let job = submit(&queue, "x").await;
    let held = queue.claim().await.expect("works").expect("one waits");
    let (stop, claimed) = (CancellationToken::new(), held.job().updated);
    clock.advance(Duration::from_secs(1));
    let mut vigil = Vigil::new(&held, &stop);
    // As beside a worker that tells something every moment.
    for _ in 0..2_000 {
        let waits = poll_fn(|cx| Poll::Ready(pin!(vigil.next()).poll(cx).is_pending())).await;
        assert!(waits, "there is no reason to stop");
        if queue.get(&job.id, ME).await.expect("known").updated > claimed {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("its lease was never renewed");
}

#[tokio::test]
async fn a_deadline_that_the_queue_sees_first_is_a_reason_to_stop() {
    let folder = quick();
    let clock = Arc::new(Ahead::default());
    let config = config(folder.path());
    let opened = Queue::open_at(&config, terms(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    let queue = opened.expect("opens");
    let new = NewJob {
        deadline: Some(Duration::from_secs(3_600)),
        ..NewJob::new("anonymous", b"x".to_vec())
    };
    queue.submit(new).await.expect("room");
    let held = queue.claim().await.expect("works").expect("one waits");
    let stop = CancellationToken::new();
    let mut vigil = Vigil::new(&held, &stop);
    // The machine slept: what waits for a span of time does not know.
    clock.0.store(3_601, Ordering::Relaxed);
    let why = tokio::time::timeout(Duration::from_secs(30), vigil.next()).await;
    assert_eq!(why, Ok(Why::Late));
    assert_eq!(held.late().await.expect("held").state, State::Failed);
}

#[tokio::test]
async fn a_heartbeat_that_nobody_waits_for_holds_up_nobody() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    submit(&queue, "x").await;
    let held = queue.claim().await.expect("works").expect("one waits");
    let stop = CancellationToken::new();
    let mut vigil = Vigil::new(&held, &stop);
    // It has begun its heartbeat, and is left alone while its holder does something else.
    let mut next = pin!(vigil.next());
    let waits = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "there is no reason to stop");
    let advanced = tokio::time::timeout(Duration::from_secs(5), held.advance(State::Running)).await;
    advanced.expect("in time").expect("held");
}
