//! The jobs of a queue as operations: they outlive the process, and are known under the same names after it.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use polyphony_error::{Fault, Kind};
use polyphony_jobs::{Error, Filter, Job, Order, Queue, State, Watch};
use polyphony_proto::google::{longrunning as lro, rpc};
use polyphony_proto::types::v1::{JobState, QueueStatus};
use prost::Message;
use prost_types::Any;

use super::source::{Listed, Source};
use super::unknown;
use crate::Caller;

/// A kind of work whose jobs lie in a queue: what is told of one.
pub trait LastingWork: fmt::Debug + Send + Sync + 'static {
    /// `Operation.metadata`.
    type Metadata: Message + 'static;
    /// The full name of the metadata, as "polyphony.video.v1.GenerateVideoMetadata".
    const METADATA: &'static str;
    /// The full name of the response.
    const RESPONSE: &'static str;

    /// How far a job is, on the wire.
    fn metadata(job: &Job) -> Self::Metadata;

    /// What came of it, encoded. What the queue keeps as its result, unless more is said.
    fn response(_job: &Job, result: Vec<u8>) -> Vec<u8> {
        result
    }
}

/// Operations are listed with what came of them: at most so many bytes at once, or one that has more.
const MOST_LISTED: usize = 1 << 20;
const READ_AT_ONCE: usize = 32;

/// The jobs of a queue, told as operations. Cheap to clone.
pub struct Lasting<W> {
    queue: Queue,
    prefix: String,
    work: PhantomData<fn() -> W>,
}

// === impl Lasting ===

impl<W: LastingWork> Lasting<W> {
    /// Over a queue.
    pub fn new(queue: Queue) -> Self {
        let prefix = format!("operations/{}-", queue.terms().service);
        Self {
            queue,
            prefix,
            work: PhantomData,
        }
    }

    /// The queue.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The name of a job's operation.
    pub fn name(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The job of an operation.
    ///
    /// # Errors
    /// NOT_FOUND for a name of another kind.
    pub fn id<'a>(&self, name: &'a str) -> Result<&'a str, Fault> {
        name.strip_prefix(&self.prefix).ok_or_else(|| unknown(name))
    }

    /// A job as its operation.
    ///
    /// # Errors
    /// When what came of it cannot be read.
    pub async fn operation(&self, job: &Job) -> Result<lro::Operation, Fault> {
        let result = match job.state {
            State::Succeeded => {
                let result = self.queue.result(&job.id).await?;
                let response = any_of(W::RESPONSE, W::response(job, result));
                Some(lro::operation::Result::Response(response))
            }
            State::Failed | State::Cancelled => {
                Some(lro::operation::Result::Error(failure(job).unwrap_or_default()))
            }
            State::Queued | State::Loading | State::Running => None,
        };
        Ok(lro::Operation {
            name: self.name(&job.id),
            metadata: Some(any_of(W::METADATA, W::metadata(job).encode_to_vec())),
            done: result.is_some(),
            result,
        })
    }

    /// How the caller's job is now, then each change until it is over.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub async fn watch(&self, name: &str, caller: &Caller) -> Result<Watch, Fault> {
        let owners: Vec<&str> = caller.names().collect();
        let watched = self.queue.watch(self.id(name)?, &owners).await;
        watched.map_err(|error| named(error, name))
    }

    async fn job(&self, name: &str, caller: &Caller) -> Result<Job, Fault> {
        let owners: Vec<&str> = caller.names().collect();
        let job = self.queue.get(self.id(name)?, &owners).await;
        job.map_err(|error| named(error, name))
    }
}

/// An encoded message of this name.
fn any_of(name: &str, value: Vec<u8>) -> Any {
    let type_url = format!("type.googleapis.com/{name}");
    Any { type_url, value }
}

/// Where a job is, on the wire.
pub const fn state(state: State) -> JobState {
    match state {
        State::Queued => JobState::Queued,
        State::Loading => JobState::Loading,
        State::Running => JobState::Running,
        State::Succeeded => JobState::Succeeded,
        State::Failed => JobState::Failed,
        State::Cancelled => JobState::Cancelled,
    }
}

/// The place of a job, on the wire, while it waits.
pub fn place(job: &Job) -> Option<QueueStatus> {
    job.place.map(|place| QueueStatus {
        position: place.position,
        depth: place.depth,
        estimated_wait_duration: place.ahead.map(polyphony_proto::time::to_wire),
    })
}

/// Why a job failed, on the wire.
pub fn failure(job: &Job) -> Option<rpc::Status> {
    let failure = job.failure.as_ref()?;
    rpc::Status::decode(failure.status.as_slice()).ok()
}

/// An unknown job is an unknown operation.
fn named(error: Error, name: &str) -> Fault {
    match error {
        Error::Unknown(_) => unknown(name),
        error => error.into(),
    }
}

#[tonic::async_trait]
impl<W: LastingWork> Source for Lasting<W> {
    fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn get(&self, name: &str, caller: &Caller) -> Result<lro::Operation, Fault> {
        let job = self.job(name, caller).await?;
        self.operation(&job).await
    }

    async fn list(
        &self,
        caller: &Caller,
        after: &str,
        most: usize,
        done: Option<bool>,
    ) -> Result<Listed, Fault> {
        let mut listed = Listed::default();
        let after = match after.strip_prefix(&self.prefix) {
            Some(id) => id,
            None if after < self.prefix.as_str() => "",
            None => return Ok(listed),
        };
        let wanted = |state: &State| done.is_none_or(|done| state.is_over() == done);
        let mut filter = Filter {
            owners: Some(caller.names().map(str::to_owned).collect()),
            states: State::ALL.into_iter().filter(wanted).collect(),
            after: after.to_owned(),
            most: 0,
            order: Order::Oldest,
            ..Filter::default()
        };
        let mut room = MOST_LISTED;
        loop {
            filter.most = READ_AT_ONCE.min(most - listed.operations.len());
            let jobs = self.queue.list(&filter).await?;
            let more = jobs.len() == filter.most;
            for job in jobs {
                filter.after.clone_from(&job.id);
                let operation = match self.operation(&job).await {
                    Ok(operation) => operation,
                    // It was deleted meanwhile.
                    Err(fault) if fault.kind == Kind::NotFound => continue,
                    Err(fault) => return Err(fault),
                };
                let size = operation.encoded_len();
                if size > room && !listed.operations.is_empty() {
                    listed.cut = true;
                    return Ok(listed);
                }
                room = room.saturating_sub(size);
                listed.operations.push(operation);
            }
            if !more || listed.operations.len() >= most {
                return Ok(listed);
            }
        }
    }

    async fn cancel(&self, name: &str, caller: &Caller) -> Result<(), Fault> {
        let owners: Vec<&str> = caller.names().collect();
        match self.queue.cancel(self.id(name)?, &owners).await {
            // As the contract of the interface has it: it is best effort.
            Ok(_) | Err(Error::Over) => Ok(()),
            Err(error) => Err(named(error, name)),
        }
    }

    async fn delete(&self, name: &str, caller: &Caller) -> Result<(), Fault> {
        let owners: Vec<&str> = caller.names().collect();
        let deleted = self.queue.delete(self.id(name)?, &owners).await;
        deleted.map_err(|error| named(error, name))
    }

    async fn wait(&self, name: &str, caller: &Caller, timeout: Duration) -> Result<lro::Operation, Fault> {
        let mut watched = self.watch(name, caller).await?;
        let over = async { while let Ok(Some(_)) = watched.next().await {} };
        // Whether it is done or the time is over, the answer says how far it is.
        drop(tokio::time::timeout(timeout, over).await);
        self.get(name, caller).await
    }
}

impl<W> Clone for Lasting<W> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            prefix: self.prefix.clone(),
            work: PhantomData,
        }
    }
}

impl<W> fmt::Debug for Lasting<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
