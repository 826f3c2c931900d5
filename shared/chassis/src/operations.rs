//! Long work that outlives its call, as `google.longrunning.Operations` tells of it.
//!
//! Work lies in the job queue of its service ([`polyphony_jobs`]), so it outlives the process too; [`Lasting`] tells of the
//! jobs of one queue as operations. There is one list of these [`Source`]s for a process, however many services run in it, so
//! any of them can tell about all: clients of `polyphony up` reach them through one door that does not look into messages.

pub mod lasting;
mod service;
mod source;

use std::sync::{Arc, Mutex, PoisonError};

use polyphony_error::Fault;
use polyphony_proto::google::rpc;
use prost::Message;

pub use lasting::{Lasting, LastingWork};
pub use source::{Listed, Source};

/// The operations of a process, of whatever kind. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Operations {
    sources: Arc<Mutex<Vec<Arc<dyn Source>>>>,
}

// === impl Operations ===

impl Operations {
    /// Tells of these operations too. Those of the same service that were told of before, as by an earlier server of this
    /// process, are told of no more.
    pub fn tell_of(&self, source: Arc<dyn Source>) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|known| known.prefix() != source.prefix());
        sources.push(source);
    }

    /// Who keeps the operation of this name.
    fn source(&self, name: &str) -> Result<Arc<dyn Source>, Fault> {
        let mut sources = self.sources().into_iter();
        let found = sources.find(|source| name.starts_with(source.prefix()));
        found.ok_or_else(|| unknown(name))
    }

    fn sources(&self) -> Vec<Arc<dyn Source>> {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn unknown(name: &str) -> Fault {
    // What is said back of a caller's text.
    let name: String = name.chars().take(128).collect();
    Fault::not_found(
        "operation",
        name,
        "it may have expired or been deleted, or be another's or another server's (through a gateway, send the header \
         x-goog-request-params: name=NAME)",
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
