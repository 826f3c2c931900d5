//! What owners have of a queue: each in turn, and none all of it.

use std::time::Duration;

use polyphony_error::{Fault, Kind};
use polyphony_jobs::{NewJob, Priority, Queue, Terms};

use super::support::{claim, open, quick, submit_of, terms};

/// The payloads of all that wait, in the order in which they are claimed.
async fn in_turn(queue: &Queue) -> Vec<String> {
    let mut order = Vec::new();
    while let Some(held) = queue.claim().await.expect("works") {
        order.push(String::from_utf8(held.payload().to_vec()).expect("text"));
        held.succeed(b"").await.expect("held");
    }
    order
}

#[tokio::test]
async fn owners_take_turns_and_places_say_so() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    let mut jobs = Vec::new();
    for payload in ["a1", "a2", "a3", "a4", "b1", "c1", "c2"] {
        let new = NewJob {
            cost: Duration::from_secs(10),
            ..NewJob::new(&payload[..1], payload.as_bytes().to_vec())
        };
        jobs.push((payload, queue.submit(new).await.expect("room").job));
    }
    let mut told = vec![""; jobs.len()];
    for (payload, job) in &jobs {
        let job = queue.get(&job.id, &[&job.owner]).await.expect("known");
        let place = job.place.expect("it waits");
        let seconds = place.ahead.expect("known").as_secs();
        assert_eq!(
            seconds,
            10 * u64::from(place.position),
            "what is before it takes so long"
        );
        told[place.position as usize] = payload;
    }
    assert_eq!(told, ["a1", "b1", "c1", "a2", "c2", "a3", "a4"]);
    for (owner, position) in [("a", 7), ("b", 5), ("d", 3)] {
        let next = queue.place_of_next(owner, Priority::Normal).await.expect("works");
        assert_eq!((next.position, next.depth), (position, 7), "{owner}");
    }
    assert_eq!(in_turn(&queue).await, told);
}

#[tokio::test]
async fn five_hundred_jobs_hold_up_another_s_one_by_one() {
    let folder = quick();
    let many = Terms {
        max_queue: 1_000,
        ..terms()
    };
    let (queue, _) = open(folder.path(), many).await;
    for _ in 0..500 {
        submit_of(&queue, "a", "a").await;
    }
    let running = claim(&queue).await;
    submit_of(&queue, "b", "b").await;
    let before = claim(&queue).await;
    assert_eq!((running.payload(), before.payload()), (&b"a"[..], &b"a"[..]));
    assert_eq!(claim(&queue).await.payload(), b"b");
}

#[tokio::test]
async fn who_asks_again_and_again_does_not_get_before_who_waits() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    for payload in ["b1", "b2", "b3"] {
        submit_of(&queue, "b", payload).await;
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        submit_of(&queue, "a", "a").await;
        for _ in 0..2 {
            let held = claim(&queue).await;
            order.push(String::from_utf8(held.payload().to_vec()).expect("text"));
            let (id, owner) = (held.job().id.clone(), held.job().owner.clone());
            held.succeed(b"").await.expect("held");
            // Nothing is won by leaving no trace.
            queue.delete(&id, &[&owner]).await.expect("over");
        }
    }
    assert_eq!(order, ["b1", "a", "b2", "a", "b3", "a"]);
}

#[tokio::test]
async fn what_was_cancelled_took_no_turn_and_each_priority_has_its_own() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    for _ in 0..5 {
        let job = submit_of(&queue, "a", "unwanted").await;
        queue.cancel(&job.id, &["a"]).await.expect("waits");
    }
    for payload in ["low1", "low2", "low3"] {
        let new = NewJob {
            priority: Priority::Low,
            ..NewJob::new("a", payload.as_bytes().to_vec())
        };
        queue.submit(new).await.expect("room");
    }
    for (owner, payload) in [("b", "b1"), ("b", "b2"), ("a", "a1")] {
        submit_of(&queue, owner, payload).await;
    }
    assert_eq!(in_turn(&queue).await, ["b1", "a1", "b2", "low1", "low2", "low3"]);
}

#[tokio::test]
async fn a_job_that_waits_again_keeps_its_turn() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    submit_of(&queue, "a", "a1").await;
    submit_of(&queue, "a", "a2").await;
    let held = claim(&queue).await;
    submit_of(&queue, "b", "b1").await;
    held.give_back().await.expect("held");
    assert_eq!(in_turn(&queue).await, ["a1", "a2", "b1"]);
}

#[tokio::test]
async fn no_owner_fills_the_queue_for_all() {
    let folder = quick();
    let small = Terms {
        max_queue: 4,
        max_kept: 8,
        ..terms()
    };
    let (queue, _) = open(folder.path(), small).await;
    let refused = async |owner: &str| {
        let new = NewJob::new(owner, b"x".to_vec());
        let fault = Fault::from(queue.submit(new).await.expect_err("full"));
        let admitted = queue.admits(owner, "").await;
        assert_eq!(Fault::from(admitted.expect_err("full")).reason, fault.reason);
        assert!(fault.kind == Kind::ResourceExhausted && fault.retry_after.is_some());
        let (subject, _) = fault.quota.expect("the limit");
        (fault.reason, subject.into_owned(), fault.message.into_owned())
    };
    for _ in 0..2 {
        submit_of(&queue, "a", "x").await;
    }
    let (reason, key, text) = refused("a").await;
    assert_eq!((reason, key.as_str()), ("OWNER_QUEUE_FULL", "jobs.owner_share"));
    assert!(
        text.contains("2 of your jobs wait") && text.contains("test.max_queue"),
        "{text}"
    );
    for _ in 0..2 {
        submit_of(&queue, "b", "x").await;
    }
    let (reason, key, _) = refused("c").await;
    assert_eq!((reason, key.as_str()), ("QUEUE_FULL", "test.max_queue"));

    // What is kept when it is done counts as well.
    for _ in 0..4 {
        claim(&queue).await.succeed(b"").await.expect("held");
    }
    for _ in 0..2 {
        submit_of(&queue, "a", "x").await;
        claim(&queue).await.succeed(b"").await.expect("held");
    }
    let (reason, key, text) = refused("a").await;
    assert_eq!((reason, key.as_str()), ("OWNER_JOBS_FULL", "jobs.owner_share"));
    assert!(
        text.contains("test.max_operations") && text.contains("delete"),
        "{text}"
    );
    submit_of(&queue, "b", "x").await;
}

#[tokio::test]
async fn those_without_a_name_are_no_one_owner() {
    let folder = quick();
    let small = Terms {
        max_queue: 4,
        ..terms()
    };
    let (queue, _) = open(folder.path(), small).await;
    for _ in 0..4 {
        submit_of(&queue, "anonymous", "x").await;
    }
    let full = queue.submit(NewJob::new("anonymous", b"x".to_vec())).await;
    assert_eq!(Fault::from(full.expect_err("full")).reason, "QUEUE_FULL");
}
