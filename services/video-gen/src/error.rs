//! What can go wrong in making videos, and its kind.

use std::path::PathBuf;
use std::time::Duration;

use polyphony_error::{Fault, Kind};
use polyphony_video_worker::protocol::FailureKind;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for something that cannot be done: the fault says which field and what is accepted.
    #[error(transparent)]
    Request(#[from] Fault),
    /// The queue failed, or is full.
    #[error(transparent)]
    Jobs(#[from] polyphony_jobs::Error),
    /// The store of models or what is in memory failed.
    #[error(transparent)]
    Models(#[from] polyphony_models::Error),
    /// There is no program that makes videos.
    #[error("there is no video worker: {0}")]
    NoWorker(String),
    /// The worker does not start.
    #[error("the video worker {} does not start: {reason}", program.display())]
    Start {
        /// Which program.
        program: PathBuf,
        /// What it said, or how it ended.
        reason: String,
    },
    /// The worker died.
    #[error("the video worker died: {0}")]
    Died(String),
    /// The worker says that it cannot be done.
    #[error("{message}")]
    Refused {
        /// What kind of failure.
        kind: FailureKind,
        /// What is wrong and what helps.
        message: String,
    },
}

/// A worker that does not start is tried again at least so often.
pub(crate) const STARTED_AGAIN: Duration = Duration::from_secs(30);
/// How a worker is had.
const REMEDY: &str = "`make video` installs it, or video-gen.worker says where it is";

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(fault) => fault,
            Error::Jobs(polyphony_jobs::Error::Unknown(id)) => {
                let remedy = "it may have expired or been deleted, or be another's";
                Self::not_found("video", format!("videos/{id}"), remedy)
            }
            Error::Jobs(error) => error.into(),
            Error::Models(error) => error.into(),
            Error::NoWorker(_) => {
                let text = format!("{error}; {REMEDY}");
                Self::new(Kind::FailedPrecondition, "VIDEO_WORKER_MISSING", text)
            }
            Error::Start { .. } => {
                let text = format!("{error}; {REMEDY}");
                Self::unavailable("VIDEO_WORKER_BROKEN", text).retry_after(STARTED_AGAIN)
            }
            Error::Died(_) => {
                let text = "the video worker died; it is started anew, try again";
                Self::unavailable("VIDEO_WORKER_DIED", text).because(error)
            }
            Error::Refused { kind, message } => refused(kind, message),
        }
    }
}

/// What the worker said, as a fault.
fn refused(kind: FailureKind, message: String) -> Fault {
    match kind {
        FailureKind::InvalidArgument => Fault::invalid("spec", message),
        FailureKind::UnknownModel => Fault::not_found("model", "spec.model", message),
        FailureKind::Weights => Fault::new(Kind::FailedPrecondition, "WEIGHTS_UNUSABLE", message),
        FailureKind::Device => Fault::exhausted("DEVICE_MEMORY", "device memory", message, None),
        FailureKind::Storage => Fault::exhausted("DISK_FULL", "jobs.data_dir", message, None),
        FailureKind::Internal => Fault::new(Kind::Internal, "VIDEO_WORKER_FAILED", message),
    }
}
