//! Every task of a server, countable and abortable: one for each connection and one for each of its streams.

use std::future::Future;

use hyper::rt::Executor;
use tokio_util::future::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks and can end them all. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    abort: CancellationToken,
}

// === impl Tasks ===

impl Tasks {
    pub(super) fn new() -> Self {
        let tracker = TaskTracker::new();
        // Closed trackers still spawn; only `wait` needs it.
        tracker.close();
        Self {
            tracker,
            abort: CancellationToken::new(),
        }
    }

    /// Tasks that end with their parent: the streams of a connection, which must not outlive it.
    pub(super) fn child(&self) -> Self {
        Self {
            tracker: self.tracker.clone(),
            abort: self.abort.child_token(),
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Aborted is as good as done: the future is dropped either way. No `async` block around it, which would hold
        // the task twice, once before its first poll and once after: as much memory again, and a copy for each call.
        self.tracker
            .spawn(task.with_cancellation_token_owned(self.abort.clone()));
    }

    pub(super) fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Completes when no task is left.
    pub(super) async fn empty(&self) {
        self.tracker.wait().await;
    }

    /// Drops every task at its next turn; returns how many there were.
    pub(super) fn abort(&self) -> usize {
        let left = self.tracker.len();
        self.abort.cancel();
        left
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
