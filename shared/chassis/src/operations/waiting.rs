//! Who waits for a turn, in order; each can be told its place, and is told when it changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use polyphony_proto::types::v1::QueueStatus;
use tokio::sync::watch;

/// The queue of a desk. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    all: Arc<Mutex<BTreeMap<u64, watch::Sender<()>>>>,
}

/// A place in the queue; given up when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    waiting: Waiting,
    number: u64,
    changes: watch::Sender<()>,
}

// === impl Waiting ===

impl Waiting {
    /// A place behind all that have smaller numbers.
    pub(super) fn join(&self, number: u64) -> Ticket {
        let changes = watch::Sender::new(());
        self.lock().insert(number, changes.clone());
        Ticket {
            waiting: self.clone(),
            number,
            changes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, watch::Sender<()>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ticket ===

impl Ticket {
    /// How many are before it, and how many wait in all; none when it no longer waits.
    pub(super) fn place(&self) -> Option<QueueStatus> {
        let all = self.waiting.lock();
        all.contains_key(&self.number).then(|| QueueStatus {
            position: u32::try_from(all.range(..self.number).count()).unwrap_or(u32::MAX),
            depth: u32::try_from(all.len()).unwrap_or(u32::MAX),
            estimated_wait_duration: None,
        })
    }

    /// It waits no longer.
    pub(super) fn leave(&self) {
        let mut all = self.waiting.lock();
        if all.remove(&self.number).is_some() {
            for changes in all.values() {
                changes.send_replace(());
            }
        }
    }

    /// What wakes whoever watches it.
    pub(super) fn changes(&self) -> watch::Sender<()> {
        self.changes.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.leave();
    }
}
