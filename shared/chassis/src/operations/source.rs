//! Who keeps operations: what is asked of each kind of them.

use std::fmt;
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_proto::google::longrunning as lro;

use crate::Caller;

/// Some operations of a source.
#[derive(Debug, Default)]
pub struct Listed {
    /// They, in the order of their names.
    pub operations: Vec<lro::Operation>,
    /// There are more after the last of them, which would have been too large together.
    pub cut: bool,
}

/// Who keeps the operations of a service. A caller never hears of another's: it is unknown, as if it did not exist.
#[tonic::async_trait]
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// What their names begin with, as "operations/video-gen-".
    fn prefix(&self) -> &str;

    /// An operation as it is now.
    ///
    /// # Errors
    /// NOT_FOUND.
    async fn get(&self, name: &str, caller: &Caller) -> Result<lro::Operation, Fault>;

    /// At most `most` operations of the caller whose names come after this one, in their order; fewer where they are large.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn list(
        &self,
        caller: &Caller,
        after: &str,
        most: usize,
        done: Option<bool>,
    ) -> Result<Listed, Fault>;

    /// Asks it to stop; one that is over stays as it is.
    ///
    /// # Errors
    /// NOT_FOUND.
    async fn cancel(&self, name: &str, caller: &Caller) -> Result<(), Fault>;

    /// Forgets it.
    ///
    /// # Errors
    /// NOT_FOUND; FAILED_PRECONDITION when it is under way.
    async fn delete(&self, name: &str, caller: &Caller) -> Result<(), Fault>;

    /// As [`get`](Self::get), when it is over or the time is.
    ///
    /// # Errors
    /// NOT_FOUND.
    async fn wait(&self, name: &str, caller: &Caller, timeout: Duration) -> Result<lro::Operation, Fault>;
}
