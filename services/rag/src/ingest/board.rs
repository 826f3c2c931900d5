//! Who watches which version of a document: workers write on it, ingestions read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::Failure;
use crate::engine::Step;

/// The board. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    tickets: Arc<Mutex<HashMap<i64, Arc<Ticket>>>>,
}

/// One version, as long as it is on its way.
#[derive(Debug, Default)]
pub(crate) struct Ticket {
    now: Mutex<Now>,
    /// Somebody wants it no longer.
    pub(crate) stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Now {
    step: Option<Step>,
    outcome: Option<Result<(), Failure>>,
    listeners: Vec<watch::Sender<u64>>,
}

// === impl Board ===

impl Board {
    /// The ticket of a version, made if there is none.
    pub(crate) fn ticket(&self, version: i64) -> Arc<Ticket> {
        Arc::clone(self.tickets().entry(version).or_default())
    }

    /// Whether a version has a ticket: it is not done, or nobody was told.
    pub(crate) fn is_watched(&self, version: i64) -> bool {
        self.tickets().contains_key(&version)
    }

    /// A version has reached a step.
    pub(crate) fn step(&self, version: i64, step: Step) {
        if let Some(ticket) = self.tickets().get(&version).map(Arc::clone) {
            ticket.reach(step);
        }
    }

    /// A version is done, and has no ticket any more.
    pub(crate) fn settle(&self, version: i64, outcome: Result<(), Failure>) {
        let ticket = self.tickets().remove(&version);
        if let Some(ticket) = ticket {
            ticket.settle(outcome);
        }
    }

    fn tickets(&self) -> MutexGuard<'_, HashMap<i64, Arc<Ticket>>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ticket ===

impl Ticket {
    /// Tells `listener` of each change from now on.
    pub(crate) fn listen(&self, listener: watch::Sender<u64>) {
        self.now().listeners.push(listener);
    }

    /// It has reached a step.
    pub(crate) fn reach(&self, step: Step) {
        self.change(|now| now.step = Some(step));
    }

    /// It is done.
    pub(crate) fn settle(&self, outcome: Result<(), Failure>) {
        self.change(|now| {
            // What is done stays so.
            now.outcome.get_or_insert(outcome);
        });
    }

    /// What became of it; none while it is on its way.
    pub(crate) fn outcome(&self) -> Option<Result<(), Failure>> {
        self.now().outcome.clone()
    }

    /// The step it has reached; none before the first and after the last.
    pub(crate) fn step(&self) -> Option<Step> {
        let now = self.now();
        if now.outcome.is_some() { None } else { now.step }
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now();
        change(&mut now);
        for listener in &now.listeners {
            listener.send_modify(|changes| *changes += 1);
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
