//! What a queue promises, by a clock that the test moves.

use std::time::Duration;

use polyphony_error::{Fault, Kind};
use polyphony_jobs::{Error, Filter, NewJob, Order, Priority, State, Terms};

use super::support::{ME, open, quick, submit, terms};

#[tokio::test]
async fn jobs_are_done_in_turn_and_by_priority_and_are_told_their_places() {
    let folder = quick();
    let (queue, clock) = open(folder.path(), terms()).await;
    let priorities = [Priority::Normal, Priority::Low, Priority::High, Priority::Normal];
    let mut ids = Vec::new();
    for priority in priorities {
        let new = NewJob {
            priority,
            cost: Duration::from_secs(10),
            ..NewJob::new("anonymous", b"x".to_vec())
        };
        ids.push(queue.submit(new).await.expect("room").job.id);
    }
    assert!(ids.is_sorted(), "ids are in the order of submission");
    let mut places = Vec::new();
    for id in &ids {
        let place = queue.get(id, ME).await.expect("known").place.expect("it waits");
        assert_eq!(place.depth, 4);
        places.push((place.position, place.ahead.expect("known").as_secs()));
    }
    assert_eq!(places, [(1, 10), (3, 30), (0, 0), (2, 20)]);
    let first = queue.claim().await.expect("works").expect("one waits");
    assert_eq!(first.job().id, ids[2]);
    clock.advance(Duration::from_secs(4));
    let place = queue.get(&ids[0], ME).await.expect("known").place.expect("waits");
    assert_eq!((place.position, place.ahead), (0, Some(Duration::from_secs(6))));
    for at in [0, 3, 1] {
        let next = queue.claim().await.expect("works").expect("one waits");
        assert_eq!(next.job().id, ids[at]);
        next.succeed(b"done").await.expect("held");
    }
    assert!(queue.claim().await.expect("works").is_none());
}

#[tokio::test]
async fn a_silent_holder_loses_its_job_and_can_change_nothing_when_it_comes_back() {
    let folder = quick();
    let (queue, clock) = open(folder.path(), terms()).await;
    let job = submit(&queue, "x").await;
    let old = queue.claim().await.expect("works").expect("one waits");
    for _ in 0..5 {
        clock.advance(Duration::from_secs(1));
        old.beat().await.expect("in time");
        assert_eq!(queue.sweep().await.expect("works").lapsed, 0);
    }
    clock.advance(Duration::from_secs(3));
    assert_eq!(queue.sweep().await.expect("works").lapsed, 1);
    let new = queue.claim().await.expect("works").expect("it waits again");
    assert_eq!(new.job().attempts, 2);
    assert!(matches!(old.beat().await, Err(Error::Lost)));
    assert!(matches!(old.succeed(b"old").await, Err(Error::Lost)));
    new.succeed(b"new").await.expect("held");
    assert_eq!(queue.result(&job.id).await.expect("kept"), b"new");
}

#[tokio::test]
async fn what_was_held_by_a_process_that_is_no_more_waits_again_at_once() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let job = submit(&queue, "x").await;
    let held = queue.claim().await.expect("works").expect("one waits");
    if std::env::var_os("POLYPHONY_JOBS_TEST_POSTGRES").is_none() {
        let second = polyphony_jobs::Queue::open(&super::support::config(folder.path()), terms()).await;
        assert!(
            matches!(second, Err(Error::InUse(_))),
            "a folder is of one process"
        );
    }
    // Nothing is said to the database.
    drop(held);
    queue.close().await;
    drop(queue);
    let (queue, clock) = open(folder.path(), terms()).await;
    // A database that is shared has to wait for the lease.
    clock.advance(Duration::from_secs(3));
    queue.sweep().await.expect("works");
    let again = queue.claim().await.expect("works").expect("it waits again");
    assert_eq!((again.job().id.as_str(), again.payload()), (&*job.id, &b"x"[..]));
}

#[tokio::test]
async fn a_request_id_is_one_job_of_its_owner() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let asked = |owner: &str, fingerprint: &str| NewJob {
        request_id: "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11".to_owned(),
        fingerprint: fingerprint.as_bytes().to_vec(),
        ..NewJob::new(owner, b"x".to_vec())
    };
    let first = queue.submit(asked("anonymous", "a")).await.expect("room");
    let again = queue.submit(asked("anonymous", "a")).await.expect("room");
    assert_eq!((first.known, again.known), (false, true));
    assert_eq!(first.job.id, again.job.id);
    let other = queue
        .submit(asked("spiffe://example.org/radio", "a"))
        .await
        .expect("room");
    assert_ne!(other.job.id, first.job.id);
    let reused = queue
        .submit(asked("anonymous", "b"))
        .await
        .expect_err("another request");
    assert_eq!(Fault::from(reused).violations[0].field, "request_id");
    // Of many at once, one is taken in.
    // A shared database takes requests from several processes.
    let shared = std::env::var_os("POLYPHONY_JOBS_TEST_POSTGRES").is_some();
    let other = if shared {
        open(folder.path(), terms()).await.0
    } else {
        queue.clone()
    };
    let rush = (0..8).map(|number| {
        let (queue, new) = (
            if number % 2 == 0 { &queue } else { &other }.clone(),
            NewJob {
                request_id: "00000000-3d3a-4a35-9df5-0b8f5a6d7c11".to_owned(),
                ..NewJob::new("anonymous", b"x".to_vec())
            },
        );
        tokio::spawn(async move { queue.submit(new).await.expect("room").job.id })
    });
    let mut ids = std::collections::HashSet::new();
    for asked in rush.collect::<Vec<_>>() {
        ids.insert(asked.await.expect("runs"));
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn another_s_job_is_unknown() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let new = NewJob::new("spiffe://example.org/radio", b"x".to_vec());
    let theirs = queue.submit(new).await.expect("room").job;
    let mine = submit(&queue, "y").await;
    assert!(matches!(queue.get(&theirs.id, ME).await, Err(Error::Unknown(_))));
    assert!(matches!(
        queue.cancel(&theirs.id, ME).await,
        Err(Error::Unknown(_))
    ));
    assert!(matches!(
        queue.delete(&theirs.id, ME).await,
        Err(Error::Unknown(_))
    ));
    assert!(matches!(
        queue.watch(&theirs.id, ME).await,
        Err(Error::Unknown(_))
    ));
    let filter = |owners: &[&str]| Filter {
        owners: Some(owners.iter().map(|&name| name.to_owned()).collect()),
        most: 10,
        ..Filter::default()
    };
    let listed = queue.list(&filter(ME)).await.expect("works");
    assert_eq!(listed.iter().map(|job| &job.id).collect::<Vec<_>>(), [&mine.id]);
    assert!(queue.list(&filter(&[])).await.expect("works").is_empty());
    assert_eq!(
        queue.depth().await.expect("works"),
        2,
        "everybody waits in one queue"
    );
}

#[tokio::test]
async fn lists_are_cut_into_pages_either_way() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(submit(&queue, "x").await.id);
    }
    for order in [Order::Oldest, Order::Newest] {
        let (mut after, mut seen) = (String::new(), Vec::new());
        loop {
            let filter = Filter {
                owners: Some(vec!["anonymous".to_owned()]),
                states: vec![State::Queued],
                label: Some(String::new()),
                after,
                most: 2,
                order,
            };
            let page = queue.list(&filter).await.expect("works");
            let Some(last) = page.last() else { break };
            after = last.id.clone();
            seen.extend(page.into_iter().map(|job| job.id));
        }
        if order == Order::Newest {
            seen.reverse();
        }
        assert_eq!(seen, ids);
    }
}

#[tokio::test]
async fn a_watcher_hears_each_state_and_then_the_end() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let job = submit(&queue, "x").await;
    let mut watch = queue.watch(&job.id, ME).await.expect("known");
    let mut next = async || watch.next().await.expect("works");
    assert_eq!(next().await.expect("now").state, State::Queued);
    let held = queue.claim().await.expect("works").expect("one waits");
    assert_eq!(next().await.expect("news").state, State::Loading);
    held.advance(State::Running).await.expect("held");
    assert_eq!(next().await.expect("news").state, State::Running);
    let mut changes = queue.changes();
    changes.borrow_and_update();
    held.say(b"half".to_vec()).expect("short");
    assert_eq!(next().await.expect("news").progress, b"half");
    assert!(
        !changes.has_changed().expect("the queue lives"),
        "nobody who waits is woken for it"
    );
    held.succeed(b"whole").await.expect("held");
    let last = next().await.expect("news");
    assert_eq!(
        (last.state, last.progress.as_slice()),
        (State::Succeeded, &b"half"[..])
    );
    assert!(next().await.is_none());
}

#[tokio::test]
async fn a_cancelled_job_is_over_when_its_holder_says_so() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let (running, waiting) = (submit(&queue, "x").await, submit(&queue, "y").await);
    let held = queue.claim().await.expect("works").expect("one waits");
    assert_eq!(
        queue.cancel(&waiting.id, ME).await.expect("waits").state,
        State::Cancelled
    );
    assert!(queue.cancel(&running.id, ME).await.expect("runs").cancelling);
    held.cancelled().await;
    assert!(held.beat().await.expect("held").cancelled);
    assert!(matches!(
        queue.delete(&running.id, ME).await,
        Err(Error::UnderWay)
    ));
    held.stopped().await.expect("held");
    assert!(matches!(queue.cancel(&running.id, ME).await, Err(Error::Over)));
    queue.delete(&running.id, ME).await.expect("over");
    assert!(matches!(queue.get(&running.id, ME).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn deadlines_pass_and_what_is_old_is_forgotten_with_its_files() {
    let folder = quick();
    let (queue, clock) = open(folder.path(), terms()).await;
    let in_time = |deadline| NewJob {
        deadline: Some(Duration::from_secs(deadline)),
        ..NewJob::new("anonymous", b"x".to_vec())
    };
    let late = queue.submit(in_time(5)).await.expect("room").job;
    let done = submit(&queue, "y").await;
    clock.advance(Duration::from_secs(6));
    let held = queue.claim().await.expect("works").expect("one waits");
    assert_eq!(held.job().id, done.id, "what is late is not begun");
    queue.sweep().await.expect("works");
    let failed = queue.get(&late.id, ME).await.expect("known");
    assert_eq!(failed.state, State::Failed);
    let draft = queue.artifacts().begin(&done.id, "a.txt").expect("room");
    draft.append(b"hello").expect("room");
    let artifact = draft.publish().expect("room");
    assert_eq!(
        artifact.digest,
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    held.succeed(b"").await.expect("held");
    clock.advance(Duration::from_secs(3_601));
    assert_eq!(queue.sweep().await.expect("works").forgotten, 2);
    assert!(!artifact.path.exists());
    assert!(matches!(queue.get(&done.id, ME).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_job_whose_holder_stops_something_elsewhere_is_cancelled_by_the_next_one() {
    let folder = quick();
    let stops = Terms {
        holder_stops: true,
        ..terms()
    };
    let (queue, _) = open(folder.path(), stops.clone()).await;
    submit(&queue, "before").await;
    let job = submit(&queue, "x").await;
    assert!(queue.claim_of(Priority::High).await.expect("works").is_none());
    let asked = queue.cancel(&job.id, ME).await.expect("it waits");
    assert_eq!((asked.state, asked.cancelling), (State::Queued, true));
    let held = queue
        .claim_of(Priority::High)
        .await
        .expect("works")
        .expect("its turn is next");
    assert_eq!(held.job().id, job.id);
    assert!(held.is_cancelled(), "its holder knows at once");
    // Its process goes away, and nothing was stopped yet.
    drop(held);
    queue.close().await;
    drop(queue);
    let (queue, clock) = open(folder.path(), stops).await;
    clock.advance(Duration::from_secs(3));
    queue.sweep().await.expect("works");
    let again = queue
        .claim_of(Priority::High)
        .await
        .expect("works")
        .expect("it waits again");
    let over = again.stopped().await.expect("held");
    assert_eq!((over.id, over.state), (job.id, State::Cancelled));
}

#[tokio::test]
async fn a_job_that_is_interrupted_in_vain_too_often_is_dead_and_the_next_has_its_turn() {
    let folder = quick();
    let few = Terms {
        max_interruptions: Some(3),
        ..terms()
    };
    let (queue, clock) = open(folder.path(), few).await;
    let (job, next) = (submit(&queue, "x").await, submit(&queue, "y").await);
    // The second gets farther than the first, those after it do not.
    for (reached, interruptions) in [(5, 1), (7, 1), (7, 2), (2, 3)] {
        let held = queue.claim().await.expect("works").expect("one waits");
        assert_eq!(held.job().id, job.id, "it keeps its place");
        held.reached(reached);
        held.beat().await.expect("held");
        drop(held);
        clock.advance(Duration::from_secs(3));
        assert_eq!(queue.sweep().await.expect("works").lapsed, 1);
        let now = queue.get(&job.id, ME).await.expect("known");
        assert_eq!((now.interruptions, now.strikes), (interruptions, 0));
    }
    let dead = queue.get(&job.id, ME).await.expect("known");
    assert_eq!(dead.state, State::Failed);
    let status = dead.failure.expect("a cause").status;
    assert!(String::from_utf8_lossy(&status).contains("INTERRUPTED_JOB"));
    let held = queue.claim().await.expect("works").expect("one waits");
    assert_eq!(held.job().id, next.id);
}

#[tokio::test]
async fn who_has_something_to_do_first_may_ask_whether_a_job_is_taken_in() {
    let folder = quick();
    let small = Terms {
        max_queue: 1,
        ..terms()
    };
    let (queue, _) = open(folder.path(), small).await;
    let id = "7f0c1f9e-3d3a-4a35-9df5-0b8f5a6d7c11";
    queue.admits("anonymous", id).await.expect("room");
    let new = NewJob {
        request_id: id.to_owned(),
        ..NewJob::new("anonymous", b"x".to_vec())
    };
    queue.submit(new).await.expect("room");
    let full = |admitted: Result<(), Error>| matches!(admitted, Err(Error::QueueFull { .. }));
    assert!(full(queue.admits("anonymous", "").await));
    assert!(full(queue.admits("spiffe://example.org/radio", id).await));
    queue.admits("anonymous", id).await.expect("the same is there");
}

#[tokio::test]
async fn one_too_many_and_too_much_are_refused_and_leave_nothing() {
    let folder = quick();
    let small = Terms {
        max_queue: 1,
        max_kept: 2,
        ..terms()
    };
    let (queue, _) = open(folder.path(), small).await;
    let job = |size: usize| NewJob::new("anonymous", vec![0; size]);
    let refused = queue.submit(job(1_001)).await.expect_err("too large");
    assert_eq!(Fault::from(refused).reason, "JOB_TOO_LARGE");
    submit(&queue, "x").await;
    let fault = Fault::from(queue.submit(job(1)).await.expect_err("full"));
    assert_eq!(
        (fault.kind, fault.reason),
        (Kind::ResourceExhausted, "QUEUE_FULL")
    );
    assert!(fault.retry_after.is_some() && fault.message.contains("test.max_queue"));
    let held = queue.claim().await.expect("works").expect("one waits");
    held.say(vec![0; 300 << 10]).expect_err("too much to say");
    submit(&queue, "y").await;
    let second = queue.claim().await.expect("works").expect("one waits");
    let fault = Fault::from(queue.submit(job(1)).await.expect_err("full"));
    assert_eq!(fault.reason, "JOBS_FULL");
    let too_large = held.job().id.clone();
    assert!(matches!(
        held.succeed(&[0; 1_001]).await,
        Err(Error::TooLarge { .. })
    ));
    let failed = queue.get(&too_large, ME).await.expect("known");
    assert_eq!(failed.state, State::Failed, "it is not done again to be as large");
    let status = failed.failure.expect("a cause").status;
    assert!(String::from_utf8_lossy(&status).contains("JOB_TOO_LARGE"));
    second.succeed(b"").await.expect("held");
}

#[tokio::test]
async fn files_have_plain_names_and_what_is_half_written_is_gone() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let job = submit(&queue, "x").await;
    for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b"] {
        queue.artifacts().begin(&job.id, name).expect_err(name);
        queue.artifacts().begin(name, "a.txt").expect_err(name);
    }
    let draft = queue.artifacts().begin(&job.id, "a.txt").expect("room");
    let aside = draft.path().to_owned();
    drop(draft);
    assert!(!aside.exists());
    // A process that died left one, and a file of a job that is not known.
    std::fs::write(&aside, b"half").expect("written");
    let orphan = queue.artifacts().path("0123", "a.txt");
    std::fs::create_dir_all(orphan.parent().expect("a folder")).expect("made");
    std::fs::write(&orphan, b"whose").expect("written");
    queue.close().await;
    drop(queue);
    let (_queue, _) = open(folder.path(), terms()).await;
    let shared = std::env::var_os("POLYPHONY_JOBS_TEST_POSTGRES").is_some();
    assert!((shared || !aside.exists()) && !orphan.exists());
}
