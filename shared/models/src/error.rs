//! What can go wrong with a model, and what kind of fault it is at the edge.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use polyphony_error::{Fault, Kind};

use crate::{FilePath, ModelRef};

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // --- names and the catalogue ---
    /// A text that is not the name it should be.
    #[error("{text:?} is not a {what}: {rule}")]
    Name {
        /// What was expected.
        what: &'static str,
        /// What was given, cut to 128 characters.
        text: String,
        /// What such a name looks like.
        rule: &'static str,
    },
    /// A catalogue file that cannot be read or says something impossible.
    #[error("catalogue {file}: {problem}")]
    Catalogue {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting that cannot work.
    #[error("{key}: {problem}")]
    Config {
        /// The key, as `models.hub_endpoints`.
        key: &'static str,
        /// What is wrong and what is accepted.
        problem: String,
    },
    /// No such model.
    #[error("model \"{0}\" is not in the catalogue; `polyphony models list` shows what is")]
    Unknown(ModelRef),
    /// The model is known, and cannot be had.
    #[error("model \"{model}\" is unavailable: {reason}")]
    Unavailable {
        /// Which model.
        model: ModelRef,
        /// Why.
        reason: String,
    },
    /// The model is not on disk.
    #[error("model \"{model}\" is not on this machine; {remedy}")]
    NotInstalled {
        /// Which model.
        model: ModelRef,
        /// The command that brings it.
        remedy: String,
    },

    // --- files ---
    /// The system refused.
    #[error("cannot {doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file on disk that is not what it was or should be. No parser has seen it.
    #[error("{path} of model \"{model}\" is refused: {problem}")]
    Corrupt {
        /// Which model.
        model: ModelRef,
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A file that came with another length than announced. It was deleted.
    #[error("{file} has {found} bytes where {expected} were announced; what arrived was deleted")]
    WrongSize {
        /// Which file.
        file: FilePath,
        /// How many bytes there should be.
        expected: u64,
        /// How many there are, or would be.
        found: u64,
    },
    /// A file that came with other bytes than announced. It was deleted.
    #[error("{file} has {found} where {expected} was announced; what arrived was deleted, pull again")]
    WrongBytes {
        /// Which file.
        file: FilePath,
        /// The digest there should be.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// The hub offers other bytes than are pinned.
    #[error("the hub announces {found} for {file}, but {pinned} is pinned; nothing was downloaded")]
    NotAsPinned {
        /// Which file.
        file: FilePath,
        /// The pinned digest or size.
        pinned: String,
        /// What the hub announces.
        found: String,
    },
    /// Too little space.
    #[error("{need} bytes are needed and {free} are free in {}; make room or set models.dir", dir.display())]
    NoSpace {
        /// Bytes still to come, with a reserve.
        need: u64,
        /// Bytes free.
        free: u64,
        /// Where.
        dir: PathBuf,
    },

    /// Another process is busy with the files of the model.
    #[error("model \"{0}\" is being pulled or removed by another process; try again when it is done")]
    Busy(ModelRef),
    /// Not the store's to remove.
    #[error("model \"{model}\" lies in {}, which is not the store's to delete", dir.display())]
    NotOurs {
        /// Which model.
        model: ModelRef,
        /// Where it lies.
        dir: PathBuf,
    },

    // --- the hub ---
    /// The network may not be used.
    #[error("model \"{0}\" must come from the hub, and models.offline is set; copy it here or unset it")]
    Offline(ModelRef),
    /// No answer.
    #[error("cannot reach {endpoint}: {problem}; set models.hub_endpoints to a mirror, or models.offline")]
    Unreachable {
        /// Which endpoint.
        endpoint: String,
        /// What happened.
        problem: String,
    },
    /// An answer that says no.
    #[error("{endpoint} refuses {repo} ({status}): {remedy}")]
    Denied {
        /// Which endpoint.
        endpoint: String,
        /// Which repository.
        repo: String,
        /// The HTTP status.
        status: u16,
        /// What to do.
        remedy: String,
    },
    /// The hub has no such thing.
    #[error("{endpoint} has no {what}")]
    Missing {
        /// Which endpoint.
        endpoint: String,
        /// File, revision or repository.
        what: String,
    },
    /// An answer that makes no sense.
    #[error("{endpoint} answered {problem}")]
    Hub {
        /// Which endpoint.
        endpoint: String,
        /// What was wrong with the answer.
        problem: String,
    },

    // --- memory ---
    /// No service of this process loads such a model.
    #[error("no service of this process loads model \"{0}\"")]
    NotResident(ModelRef),
    /// Two loaders for one model.
    #[error("model \"{0}\" has a loader already")]
    Twice(ModelRef),
    /// The load failed; what happened is shared by all who waited.
    #[error("model \"{model}\" could not be loaded: {reason}")]
    LoadFailed {
        /// Which model.
        model: ModelRef,
        /// What the loader said, with causes.
        reason: Arc<str>,
        /// When another attempt will be made for a request.
        retry_after: Duration,
    },
    /// No room, and everything in memory is in use or pinned.
    #[error(
        "model \"{model}\" needs {need} bytes, and {used} of the {budget} of models.memory_budget are in use"
    )]
    NoMemory {
        /// Which model.
        model: ModelRef,
        /// What it needs.
        need: u64,
        /// What is taken by models in use or pinned.
        used: u64,
        /// The budget.
        budget: u64,
    },
    /// It would never fit.
    #[error("model \"{model}\" needs {need} bytes, more than the {budget} of models.memory_budget")]
    TooLarge {
        /// Which model.
        model: ModelRef,
        /// What it needs.
        need: u64,
        /// The budget.
        budget: u64,
    },
    /// A pinned model stays.
    #[error("model \"{0}\" is pinned; unpin it first")]
    Pinned(ModelRef),
    /// The runtime is going down.
    #[error("model \"{0}\" cannot be loaded: the process is stopping")]
    Stopping(ModelRef),
}

// === impl Error ===

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        const SOON: Duration = Duration::from_secs(1);
        let text = error.to_string();
        match error {
            Error::Name { what, text, rule } => {
                Self::invalid("model", format!("{text:?} is not a {what}: {rule}"))
            }
            Error::Unknown(model) | Error::NotResident(model) => Self::not_found(
                "model",
                model.to_string(),
                "`polyphony models list` shows what there is",
            ),
            Error::Unavailable { .. } => Self::new(Kind::FailedPrecondition, "MODEL_UNAVAILABLE", text),
            Error::NotInstalled { .. } => Self::new(Kind::FailedPrecondition, "MODEL_NOT_INSTALLED", text),
            Error::Corrupt { .. } => Self::new(Kind::FailedPrecondition, "MODEL_CORRUPT", text),
            Error::Pinned(_) => Self::new(Kind::FailedPrecondition, "MODEL_PINNED", text),
            Error::TooLarge { .. } => Self::new(Kind::FailedPrecondition, "MODEL_TOO_LARGE", text),
            Error::WrongSize { .. } | Error::WrongBytes { .. } | Error::NotAsPinned { .. } => {
                Self::new(Kind::Aborted, "MODEL_NOT_VERIFIED", text)
            }
            Error::Busy(_) => Self::new(Kind::Aborted, "MODEL_BUSY", text),
            Error::NotOurs { .. } => Self::new(Kind::FailedPrecondition, "MODEL_NOT_OURS", text),
            Error::NoSpace { .. } => Self::exhausted("DISK_FULL", "disk", text, None),
            Error::NoMemory { .. } => {
                Self::exhausted("MODEL_MEMORY_FULL", "models.memory_budget", text, Some(SOON))
            }
            Error::Offline(_) => Self::unavailable("HUB_OFFLINE", text),
            Error::Unreachable { .. } => Self::unavailable("HUB_UNREACHABLE", text),
            Error::Denied { .. } => Self::new(Kind::PermissionDenied, "HUB_DENIED", text),
            Error::Missing { .. } => Self::new(Kind::NotFound, "HUB_MISSING", text),
            Error::Hub { .. } => Self::unavailable("HUB_ERROR", text),
            Error::LoadFailed { retry_after, .. } => {
                Self::unavailable("MODEL_LOAD_FAILED", text).retry_after(retry_after)
            }
            Error::Stopping(_) => Self::unavailable("STOPPING", text),
            error @ (Error::Twice(_) | Error::Io { .. } | Error::Catalogue { .. } | Error::Config { .. }) => {
                Self::internal(error)
            }
        }
    }
}
