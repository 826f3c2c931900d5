//! What is known of one batch.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use polyphony_proto::asr::v1 as pb;
use polyphony_proto::google::rpc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One batch.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// Set by whoever wants it to stop.
    pub(super) stop: CancellationToken,
    now: Mutex<Snapshot>,
    changes: watch::Sender<()>,
}

/// A batch at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) created: SystemTime,
    pub(crate) updated: SystemTime,
    pub(crate) state: State,
    pub(crate) files: Vec<FileState>,
    /// Set when it is done.
    pub(crate) result: Option<Result<pb::BatchRecognizeResponse, rpc::Status>>,
    done: Option<Instant>,
}

/// One of its files.
#[derive(Debug, Clone)]
pub(crate) struct FileState {
    pub(crate) name: String,
    pub(crate) state: State,
    /// Encoded bytes: what its share of the whole is measured by.
    size: u64,
}

/// Where a batch or a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Queued,
    Loading,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

// === impl Record ===

impl Record {
    pub(super) fn new(name: String, files: Vec<String>, sizes: Vec<u64>) -> Self {
        let now = SystemTime::now();
        let file = |(name, size)| FileState {
            name,
            state: State::Queued,
            size,
        };
        let now = Snapshot {
            created: now,
            updated: now,
            state: State::Queued,
            files: files.into_iter().zip(sizes).map(file).collect(),
            result: None,
            done: None,
        };
        Self {
            name,
            stop: CancellationToken::new(),
            now: Mutex::new(now),
            changes: watch::Sender::new(()),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Asks it to stop. It is done when the worker has.
    pub(crate) fn cancel(&self) {
        self.stop.cancel();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.lock().result.is_some()
    }

    /// Wakes whenever anything about it changes.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Completes when it is done.
    pub(crate) async fn done(&self) {
        let mut changes = self.changes();
        while !self.is_done() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) fn done_for(&self, now: Instant) -> Option<Duration> {
        self.lock().done.map(|done| now.saturating_duration_since(done))
    }

    /// The file, and with it the batch, is in this state now.
    pub(super) fn advance(&self, file: usize, state: State) {
        let mut now = self.lock();
        if let Some(file) = now.files.get_mut(file) {
            file.state = state;
        }
        if matches!(state, State::Loading | State::Running) {
            now.state = state;
        }
        now.updated = SystemTime::now();
        drop(now);
        self.changes.send_replace(());
    }

    /// It is over.
    pub(super) fn end(&self, state: State, result: Result<pb::BatchRecognizeResponse, rpc::Status>) {
        let mut now = self.lock();
        for file in &mut now.files {
            if !file.state.is_over() {
                file.state = state;
            }
        }
        now.state = state;
        now.updated = SystemTime::now();
        now.result = Some(result);
        now.done = Some(Instant::now());
        drop(now);
        self.changes.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// How much of the files is done, 0 to 100, by their bytes.
    pub(crate) fn percent(&self) -> u32 {
        let all: u64 = self.files.iter().map(|file| file.size).sum();
        let done: u64 = self
            .files
            .iter()
            .filter(|file| file.state.is_over())
            .map(|file| file.size)
            .sum();
        u32::try_from(done * 100 / all.max(1)).unwrap_or(100)
    }
}

// === impl State ===

impl State {
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}
