//! Where a service begins its operations of one kind: how many there may be, and how many work at once.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::stream::{self, Stream};
use polyphony_error::{Fault, Kind};
use polyphony_proto::types::v1::JobState;
use tokio::sync::Semaphore;

use super::operation::Operation;
use super::waiting::Waiting;
use super::{Operations, REPEAT, Work, status, unknown};

/// Begins operations of one kind. Clones share them.
pub struct Desk<W: Work> {
    inner: Arc<Inner<W>>,
}

/// On what terms operations are begun. The names are those of the keys in the section of the service.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The section of the service, as "asr".
    pub service: &'static str,
    /// Operations that are remembered, running or done; one more is refused.
    pub max_operations: usize,
    /// How long an operation is remembered after it is done.
    pub operation_retention: Duration,
    /// Operations that work at once.
    pub turns: usize,
}

struct Inner<W: Work> {
    operations: Operations,
    terms: Terms,
    begun: AtomicU64,
    /// Those begun here that somebody still remembers, and which `request_id` began which.
    known: Mutex<Ledger<W>>,
    /// Operations that hold their input, whether they are still in the table or not.
    holding: Arc<Semaphore>,
    turns: Semaphore,
    waiting: Waiting,
}

struct Ledger<W: Work> {
    by_name: HashMap<String, Weak<Operation<W>>>,
    by_request: HashMap<String, String>,
}

/// Ends an operation whose task ends before its work, as by a panic: somebody may wait for it.
struct Unfinished<'a, W: Work>(&'a Operation<W>);

const RETRY: Duration = Duration::from_secs(10);

// === impl Desk ===

impl<W: Work> Desk<W> {
    /// A desk that enters what it begins into this table.
    pub fn new(operations: Operations, terms: Terms) -> Self {
        let holding = Arc::new(Semaphore::new(terms.max_operations));
        let turns = Semaphore::new(terms.turns);
        Self {
            inner: Arc::new(Inner {
                operations,
                terms,
                begun: AtomicU64::new(0),
                known: Mutex::new(Ledger {
                    by_name: HashMap::new(),
                    by_request: HashMap::new(),
                }),
                holding,
                turns,
                waiting: Waiting::default(),
            }),
        }
    }

    /// The table that its operations are in, to be served.
    pub fn operations(&self) -> &Operations {
        &self.inner.operations
    }

    /// Begins an operation, or finds the one that was begun with the same `request_id`; empty: none. `work` is called when
    /// its turn has come, and should end soon after [`Operation::cancelled`].
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `OPERATIONS_FULL`.
    pub fn begin<F, R>(
        &self,
        request_id: &str,
        progress: W::Progress,
        work: F,
    ) -> Result<Arc<Operation<W>>, Fault>
    where
        F: FnOnce(Arc<Operation<W>>) -> R + Send + 'static,
        R: Future<Output = Result<W::Response, Fault>> + Send,
    {
        let Inner {
            operations,
            terms,
            begun,
            holding,
            waiting,
            ..
        } = &*self.inner;
        let mut known = self.inner.known();
        if !request_id.is_empty()
            && let Some(name) = known.by_request.get(request_id)
            && let Some(operation) = known.by_name.get(name).and_then(Weak::upgrade)
        {
            return Ok(operation);
        }
        let prefix = format!("operations/{}-", terms.service);
        let full = || {
            let (most, key) = (terms.max_operations, format!("{}.max_operations", terms.service));
            let text = format!("{most} operations are remembered ({key}); delete those that are done");
            Fault::exhausted("OPERATIONS_FULL", key, text, Some(RETRY))
        };
        if operations.count(&prefix) >= terms.max_operations {
            return Err(full());
        }
        let held = Arc::clone(holding).try_acquire_owned().map_err(|_| full())?;
        let number = begun.fetch_add(1, Ordering::Relaxed);
        // Counted anew by each process: a name from before a restart must not mean another operation now.
        let name = format!(
            "{prefix}{number:012x}{:016x}",
            RandomState::new().hash_one(number)
        );
        let ticket = waiting.join(number);
        let operation = Arc::new(Operation::new(
            name.clone(),
            progress,
            ticket,
            terms.operation_retention,
        ));
        if !request_id.is_empty() {
            known.by_request.insert(request_id.to_owned(), name.clone());
        }
        known.by_name.insert(name.clone(), Arc::downgrade(&operation));
        operations.add(name, Arc::clone(&operation) as _);
        drop(known);
        let (inner, running) = (Arc::clone(&self.inner), Arc::clone(&operation));
        tokio::spawn(async move {
            let _held = held;
            inner.run(running, work).await;
        });
        Ok(operation)
    }

    /// An operation of this kind.
    ///
    /// # Errors
    /// NOT_FOUND when there is none, or no longer.
    pub fn get(&self, name: &str) -> Result<Arc<Operation<W>>, Fault> {
        let found = self.inner.known().by_name.get(name).and_then(Weak::upgrade);
        found.ok_or_else(|| unknown(name))
    }

    /// How far an operation is now, then each change until it is done.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn watch(&self, name: &str) -> Result<impl Stream<Item = W::Metadata> + Send + use<W>, Fault> {
        let operation = self.get(name)?;
        let changes = operation.changes();
        Ok(stream::unfold(Some((operation, changes, true)), |state| async {
            let (operation, mut changes, first) = state?;
            if !first {
                drop(tokio::time::timeout(REPEAT, changes.changed()).await);
            }
            changes.borrow_and_update();
            let over = operation.is_over();
            let message = W::metadata(&operation.moment());
            Some((message, (!over).then_some((operation, changes, false))))
        }))
    }
}

impl<W: Work> Inner<W> {
    /// From its turn to its end.
    async fn run<F, R>(&self, operation: Arc<Operation<W>>, work: F)
    where
        F: FnOnce(Arc<Operation<W>>) -> R + Send + 'static,
        R: Future<Output = Result<W::Response, Fault>> + Send,
    {
        let unfinished = Unfinished(&operation);
        let turn = tokio::select! {
            turn = self.turns.acquire() => Some(turn),
            () = operation.cancelled() => None,
        };
        operation.leave_queue();
        let result = match turn {
            Some(Ok(_turn)) => work(Arc::clone(&operation)).await,
            Some(Err(closed)) => Err(Fault::internal(closed)),
            None => Err(cancelled()),
        };
        if operation.is_cancelled() {
            let error = status(cancelled(), "an operation");
            operation.end(JobState::Cancelled, Err(error));
        } else {
            match result {
                Ok(response) => operation.end(JobState::Succeeded, Ok(response)),
                Err(fault) => operation.end(JobState::Failed, Err(status(fault, "an operation"))),
            }
        }
        drop(unfinished);
    }

    /// What is still remembered.
    fn known(&self) -> MutexGuard<'_, Ledger<W>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Ledger { by_name, by_request } = &mut *known;
        by_name.retain(|name, _| self.operations.has(name));
        by_request.retain(|_, name| by_name.contains_key(name));
        known
    }
}

fn cancelled() -> Fault {
    Fault::new(Kind::Cancelled, "CANCELLED", "the operation was cancelled")
}

impl<W: Work> Drop for Unfinished<'_, W> {
    fn drop(&mut self) {
        if !self.0.is_over() {
            let fault = Fault::unavailable("OPERATION_ABANDONED", "the work broke off; ask again");
            self.0.end(JobState::Failed, Err(status(fault, "an operation")));
        }
    }
}

impl<W: Work> Clone for Desk<W> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<W: Work> fmt::Debug for Desk<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("terms", &self.inner.terms)
            .finish_non_exhaustive()
    }
}
