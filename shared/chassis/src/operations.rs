//! Long work that outlives its call: operations in memory, begun by services and told about by
//! `google.longrunning.Operations`.
//!
//! There is one table of operations for a process, however many services run in it, so any of them can tell about all:
//! clients of `polyphony up` reach them through one door that does not look into messages. A service begins operations at
//! its [`Desk`], which knows their type, how many there may be and how many work at once; these do not outlive the process.
//! What does lies in a job queue ([`polyphony_jobs`]), and [`Lasting`] tells of it here. States are set by the task that
//! does the work, when it does it; a cancelled operation says so when the work has really stopped.

mod desk;
pub mod lasting;
mod operation;
mod service;
mod source;
mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Bound::{Excluded, Unbounded};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_proto::google::{longrunning as lro, rpc};
use polyphony_proto::types::v1::JobState;
use prost::Message;
use tokio::time::Instant;

use crate::Caller;

pub use desk::{Desk, Terms};
pub use lasting::{Lasting, LastingWork};
pub use operation::{Moment, Operation};
pub use source::{Listed, Source};

/// A kind of long work: what is told of it while it runs, and what it gives.
pub trait Work: fmt::Debug + Send + Sync + 'static {
    /// How far it is, besides its state.
    type Progress: Clone + fmt::Debug + Send + 'static;
    /// `Operation.metadata`.
    type Metadata: Message + 'static;
    /// `Operation.response`.
    type Response: Message + Clone + fmt::Debug + 'static;
    /// The full name of the metadata, as "polyphony.asr.v1.BatchRecognizeMetadata".
    const METADATA: &'static str;
    /// The full name of the response.
    const RESPONSE: &'static str;

    /// How far it is, on the wire.
    fn metadata(now: &Moment<Self::Progress>) -> Self::Metadata;

    /// Who alone may hear of it; none: everybody who can call.
    fn owner(_progress: &Self::Progress) -> Option<&str> {
        None
    }

    /// It is over, in this state: so are those of its parts that were not.
    fn settle(_progress: &mut Self::Progress, _state: JobState) {}
}

/// The operations of a process, of whatever kind. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    table: Arc<Mutex<BTreeMap<String, Arc<dyn Known>>>>,
    sources: Arc<Mutex<Vec<Arc<dyn Source>>>>,
}

/// What is known of an operation of any kind.
trait Known: fmt::Debug + Send + Sync {
    fn wire(&self) -> lro::Operation;
    fn is_for(&self, caller: &Caller) -> bool;
    fn is_done(&self) -> bool;
    fn cancel(&self);
    /// Completes when it is done.
    fn done<'a>(&'a self) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
    /// Whether it was done for so long that it may be forgotten.
    fn is_stale(&self, now: Instant) -> bool;
}

/// A watcher hears at least this often: a stream on which nothing moves is taken for a dead one.
const REPEAT: Duration = Duration::from_secs(60);

// === impl Operations ===

impl Operations {
    /// Tells of these operations too, which are kept elsewhere. Those of the same service that were told of before, as by
    /// an earlier server of this process, are told of no more.
    pub fn tell_of(&self, source: Arc<dyn Source>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|known| known.prefix() != source.prefix());
        sources.push(source);
    }

    /// Who keeps the operation of this name, if it is not the table.
    fn source(&self, name: &str) -> Option<Arc<dyn Source>> {
        let sources = self.sources();
        sources
            .into_iter()
            .find(|source| name.starts_with(source.prefix()))
    }

    fn sources(&self) -> Vec<Arc<dyn Source>> {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// An operation that the caller may hear of; another's is unknown, as if it did not exist.
    fn get(&self, name: &str, caller: &Caller) -> Result<Arc<dyn Known>, Fault> {
        let found = self.table().get(name).cloned();
        found
            .filter(|operation| operation.is_for(caller))
            .ok_or_else(|| unknown(name))
    }

    fn add(&self, name: String, operation: Arc<dyn Known>) {
        self.table().insert(name, operation);
    }

    /// Forgets an operation; one that runs goes on, and its result is lost.
    fn delete(&self, name: &str, caller: &Caller) -> Result<(), Fault> {
        self.get(name, caller)?;
        self.table().remove(name).map(drop).ok_or_else(|| unknown(name))
    }

    /// At most `most` of the caller's operations after the one called `after`: by service, and in order of creation.
    fn list(
        &self,
        caller: &Caller,
        after: &str,
        most: usize,
        done: Option<bool>,
    ) -> Vec<(String, Arc<dyn Known>)> {
        let table = self.table();
        let later = table.range::<str, _>((Excluded(after), Unbounded));
        later
            .filter(|(_, operation)| done.is_none_or(|done| operation.is_done() == done))
            .filter(|(_, operation)| operation.is_for(caller))
            .take(most)
            .map(|(name, operation)| (name.clone(), Arc::clone(operation)))
            .collect()
    }

    /// How many names begin so.
    fn count(&self, prefix: &str) -> usize {
        let table = self.table();
        let from = table.range::<str, _>((std::ops::Bound::Included(prefix), Unbounded));
        from.take_while(|(name, _)| name.starts_with(prefix)).count()
    }

    fn has(&self, name: &str) -> bool {
        self.table().contains_key(name)
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn Known>>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        table.retain(|_, operation| !operation.is_stale(now));
        table
    }
}

fn unknown(name: &str) -> Fault {
    // What is said back of a caller's text.
    let name: String = name.chars().take(128).collect();
    Fault::not_found(
        "operation",
        name,
        "it may have expired or been deleted, or be another's or another server's",
    )
}

/// A fault as it stands in a message. `what` failed, for the log: nobody above sees it as the status of a call.
pub fn status(fault: Fault, what: &str) -> rpc::Status {
    if fault.kind.is_ours() {
        tracing::error!(error = %polyphony_error::chain(&fault), "{what} failed");
    }
    let status = tonic::Status::from(fault);
    rpc::Status::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// Whether it is 8-4-4-4-12 hexadecimal digits (RFC 9562), as `request_id` must be.
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hexadecimal = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(hexadecimal)
}

#[cfg(test)]
mod tests;
