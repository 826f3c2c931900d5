//! Lets the task of a connection run after the calls that are ready, so that what they send leaves in one write.
//!
//! tokio runs a task that was just woken next, before those that wait. That suits two tasks that talk to each other; the
//! task of a connection, which each of its calls wakes, would write once for each frame, and writing is the dearest part
//! of a small call. It costs a connection with a single call one turn through an empty queue.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// The same future, which goes to the end of the queue each time that it is woken, and then runs.
///
/// Boxed by the caller: a connection is large, and whatever wraps it should wrap a pointer.
pub fn batched<F: Future>(mut future: Pin<Box<F>>) -> impl Future<Output = F::Output> {
    let mut last = false;
    poll_fn(move |cx| {
        last = !last;
        if last {
            // Woken while it runs, a task is put behind the others.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        future.as_mut().poll(cx)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::*;

    const CALLS: usize = 10;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_many_tasks_leave_behind_is_taken_in_one_turn() {
        let (left, woken) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (taken, waiting) = (Arc::clone(&left), Arc::clone(&woken));
        let (parked, is_parked) = oneshot::channel();
        let connection = async move {
            let mut turns = Vec::new();
            parked.send(()).expect("the calls wait for it");
            while turns.iter().sum::<usize>() < CALLS {
                waiting.notified().await;
                turns.push(taken.swap(0, Ordering::AcqRel));
            }
            turns
        };
        let connection = tokio::spawn(batched(Box::pin(connection)));
        // By a task, so that all are in the queue before the first of them runs.
        let calls = tokio::spawn(async move {
            is_parked.await.expect("the connection lives");
            for _ in 0..CALLS {
                let (left, woken) = (Arc::clone(&left), Arc::clone(&woken));
                tokio::spawn(async move {
                    left.fetch_add(1, Ordering::AcqRel);
                    woken.notify_one();
                });
            }
        });
        calls.await.expect("no panic");
        assert_eq!(connection.await.expect("no panic"), [CALLS]);
    }
}
