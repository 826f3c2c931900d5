//! Batches in the background: a table in memory, and a task for each batch that works through its files.
//!
//! The table does not outlive the process: who needs a batch to survive a restart must ask for it again, with the same
//! `request_id` if the process may still be the same. States are set by the task that does the work, when it does it; a
//! cancelled batch says so when the worker has really stopped.

mod record;
mod run;
mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use polyphony_error::Fault;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::recognizers::Recognizers;
use polyphony_chassis::places::Places;
pub(crate) use record::{FileState, Record, Snapshot, State};
pub(crate) use wanted::Wanted;

/// The batches of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Batches {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    table: Mutex<Table>,
    most: usize,
    retention: Duration,
    /// Batches that hold recordings, whether they are still in the table or not.
    holding: Arc<Semaphore>,
    /// Batches that work at once.
    turns: Semaphore,
}

#[derive(Debug, Default)]
struct Table {
    begun: u64,
    /// By name, which begins with a count: in order of creation.
    records: BTreeMap<String, Arc<Record>>,
    /// Names by `request_id`.
    requests: HashMap<String, String>,
}

const RETRY: Duration = Duration::from_secs(10);

// === impl Batches ===

impl Batches {
    /// Remembers at most `most`, for `retention` after they are done; `turns` of them work at once.
    pub(crate) fn new(most: usize, retention: Duration, turns: usize) -> Self {
        let holding = Arc::new(Semaphore::new(most));
        let turns = Semaphore::new(turns);
        Self {
            inner: Arc::new(Inner {
                table: Mutex::default(),
                most,
                retention,
                holding,
                turns,
            }),
        }
    }

    /// Begins a batch, or finds the one that was begun with the same `request_id`.
    pub(crate) fn begin(
        &self,
        wanted: Wanted,
        recognizers: Recognizers,
        places: Places,
        call: String,
    ) -> Result<Arc<Record>, Fault> {
        let mut table = self.table();
        if let Some(record) = table
            .requests
            .get(&wanted.request_id)
            .and_then(|name| table.records.get(name))
        {
            return Ok(Arc::clone(record));
        }
        let full = || {
            let most = self.inner.most;
            let text =
                format!("{most} batches are remembered (asr.max_operations); delete those that are done");
            Fault::exhausted("OPERATIONS_FULL", "asr.max_operations", text, Some(RETRY))
        };
        if table.records.len() >= self.inner.most {
            return Err(full());
        }
        let held = Arc::clone(&self.inner.holding)
            .try_acquire_owned()
            .map_err(|_| full())?;
        table.begun += 1;
        // Counted anew by each process: a name from before a restart must not mean another batch now.
        let name = format!(
            "operations/{:012x}{:016x}",
            table.begun,
            RandomState::new().hash_one(table.begun)
        );
        let record = Arc::new(Record::new(name.clone(), wanted.names(), wanted.sizes()));
        if !wanted.request_id.is_empty() {
            table.requests.insert(wanted.request_id.clone(), name.clone());
        }
        table.records.insert(name, Arc::clone(&record));
        drop(table);
        let (batches, running) = (self.clone(), Arc::clone(&record));
        tokio::spawn(async move {
            let _held = held;
            run::run(
                &batches.inner.turns,
                &running,
                wanted,
                &recognizers,
                &places,
                &call,
            )
            .await;
        });
        Ok(record)
    }

    pub(crate) fn get(&self, name: &str) -> Result<Arc<Record>, Fault> {
        let found = self.table().records.get(name).cloned();
        found.ok_or_else(|| {
            let name: String = name.chars().take(128).collect();
            Fault::not_found(
                "operation",
                name,
                "it may be forgotten; batches do not outlive the process",
            )
        })
    }

    /// Forgets a batch; one that runs goes on, and its result is lost.
    pub(crate) fn delete(&self, name: &str) -> Result<(), Fault> {
        self.get(name)?;
        let mut table = self.table();
        table.records.remove(name);
        table.requests.retain(|_, named| named != name);
        Ok(())
    }

    /// At most `most` batches after the one called `after`, in order of creation.
    pub(crate) fn list(&self, after: &str, most: usize, done: Option<bool>) -> Vec<Arc<Record>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let table = self.table();
        let later = table
            .records
            .range::<str, _>((Excluded(after), Unbounded))
            .map(|(_, record)| record);
        later
            .filter(|record| done.is_none_or(|done| record.is_done() == done))
            .take(most)
            .cloned()
            .collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        let mut table = self.inner.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let expired = |record: &Record| {
            record
                .done_for(now)
                .is_some_and(|done| done >= self.inner.retention)
        };
        table.records.retain(|_, record| !expired(record));
        let Table {
            records, requests, ..
        } = &mut *table;
        requests.retain(|_, name| records.contains_key(name));
        table
    }
}
