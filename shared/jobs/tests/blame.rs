//! Which job is to blame when the process that worked on several is no more: the one that takes it along alone.

use std::path::Path;
use std::time::Duration;

use polyphony_jobs::{Held, Job, Queue, State, Terms};

use super::support::{ME, claim, open, quick, submit, terms};

fn blaming() -> Terms {
    Terms {
        blame_losses: true,
        lanes: 3,
        ..terms()
    }
}

/// The process is no more, the so manieth, with all that it held; the next one finds what it left.
async fn lost(folder: &Path, queue: Queue, held: Vec<Held>, time: u32) -> Queue {
    drop(held);
    queue.close().await;
    drop(queue);
    let (queue, clock) = open(folder, blaming()).await;
    // A database that is shared has to wait for the lease; and the clock of each process begins at the same moment.
    clock.advance(Duration::from_secs(3) * time);
    queue.sweep().await.expect("works");
    queue
}

async fn strikes(queue: &Queue, jobs: &[Job]) -> Vec<u32> {
    let mut strikes = Vec::new();
    for job in jobs {
        strikes.push(queue.get(&job.id, ME).await.expect("known").strikes);
    }
    strikes
}

#[tokio::test]
async fn a_poisoned_job_is_dead_and_those_beside_it_are_done() {
    let folder = quick();
    let (mut queue, _) = open(folder.path(), blaming()).await;
    let mut jobs = Vec::new();
    for payload in ["healthy", "poison", "healthy"] {
        jobs.push(submit(&queue, payload).await);
    }
    let mut deaths = 0;
    loop {
        let mut held = Vec::new();
        while let Some(next) = queue.claim().await.expect("works") {
            held.push(next);
        }
        if held.is_empty() {
            break;
        }
        if held.iter().any(|held| held.payload() == b"poison") {
            deaths += 1;
            queue = lost(folder.path(), queue, held, deaths).await;
            if deaths == 1 {
                assert_eq!(
                    strikes(&queue, &jobs).await,
                    [1, 1, 1],
                    "nobody knows which it was"
                );
            }
            continue;
        }
        for held in held {
            held.succeed(b"").await.expect("held");
        }
    }
    assert_eq!((deaths, strikes(&queue, &jobs).await), (3, vec![1, 3, 1]));
    for (job, state) in jobs
        .iter()
        .zip([State::Succeeded, State::Failed, State::Succeeded])
    {
        assert_eq!(queue.get(&job.id, ME).await.expect("known").state, state);
    }
}

#[tokio::test]
async fn a_suspect_is_worked_on_alone_and_in_its_turn() {
    let folder = quick();
    let (queue, _) = open(folder.path(), blaming()).await;
    submit(&queue, "suspect").await;
    let held = claim(&queue).await;
    let queue = lost(folder.path(), queue, vec![held], 1).await;
    submit(&queue, "fresh").await;
    let suspect = claim(&queue).await;
    assert_eq!((suspect.payload(), suspect.job().strikes), (&b"suspect"[..], 1));
    assert!(queue.claim().await.expect("works").is_none(), "nothing beside it");
    let mut changes = queue.changes();
    suspect.give_back().await.expect("held");

    // Others are at work when its turn comes: they are waited for, and whoever waits is woken.
    submit(&queue, "fresh too").await;
    let again = claim(&queue).await;
    assert_eq!(again.payload(), b"suspect");
    let queue = lost(folder.path(), queue, vec![again], 2).await;
    drop(changes);
    let hurried = polyphony_jobs::NewJob {
        priority: polyphony_jobs::Priority::High,
        ..polyphony_jobs::NewJob::new("anonymous", b"hurried".to_vec())
    };
    queue.submit(hurried).await.expect("room");
    let hurried = claim(&queue).await;
    assert_eq!(hurried.payload(), b"hurried");
    assert!(
        queue.claim().await.expect("works").is_none(),
        "its turn is next, and not yet"
    );
    changes = queue.changes();
    changes.borrow_and_update();
    let waiting = {
        let queue = queue.clone();
        tokio::spawn(async move {
            loop {
                if let Some(held) = queue.claim().await.expect("works") {
                    return held;
                }
                // It looks by itself only after this.
                let woken = tokio::time::timeout(Duration::from_secs(60), changes.changed()).await;
                woken.expect("somebody says so").expect("the queue lives");
            }
        })
    };
    tokio::task::yield_now().await;
    hurried.succeed(b"").await.expect("held");
    let suspect = waiting.await.expect("runs");
    assert_eq!((suspect.payload(), suspect.job().strikes), (&b"suspect"[..], 2));
}

#[tokio::test]
async fn where_losses_are_nobody_s_fault_nothing_is_worked_on_alone() {
    let folder = quick();
    let (queue, _) = open(folder.path(), terms()).await;
    submit(&queue, "x").await;
    submit(&queue, "y").await;
    let held = claim(&queue).await;
    held.broke("its own worker died").await.expect("held");
    let (first, second) = (claim(&queue).await, claim(&queue).await);
    assert_eq!((first.job().strikes, second.job().strikes), (1, 0));
}
