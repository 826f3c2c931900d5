//! What can go wrong in retrieval, and its kind.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use polyphony_error::{Fault, Kind};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be done: the fault says why and what to do.
    #[error(transparent)]
    Request(Fault),
    /// There is no room for what should be written. Nothing of it was.
    #[error("no room: {what}")]
    Full {
        /// What could not be written.
        what: Cow<'static, str>,
        /// Who said so; none when it was foreseen.
        #[source]
        source: Option<BoxError>,
    },
    /// The ledger failed.
    #[error("the ledger failed while {doing}")]
    Ledger {
        /// What it was to do.
        doing: &'static str,
        /// Its own error.
        #[source]
        source: sqlx::Error,
    },
    /// One of the indexes failed.
    #[error("the {index} index failed while {doing}")]
    Index {
        /// "dense" or "lexical".
        index: &'static str,
        /// What it was to do.
        doing: &'static str,
        /// Its own error.
        #[source]
        source: BoxError,
    },
    /// A file could not be read or written.
    #[error("{path} could not be {doing}")]
    File {
        /// Which.
        path: String,
        /// "read", "written", "locked"…
        doing: &'static str,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// What the store reads is not what it wrote.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
}

/// An error of any make.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// After so long there may be room again.
const ROOM_AGAIN: Duration = Duration::from_secs(30);

// === impl Error ===

impl Error {
    pub(crate) fn index(index: &'static str, doing: &'static str, source: impl Into<BoxError>) -> Self {
        let source = source.into();
        if says_full(&*source) {
            let what = Cow::Owned(format!("{doing} in the {index} index"));
            return Self::Full {
                what,
                source: Some(source),
            };
        }
        Self::Index { index, doing, source }
    }

    pub(crate) fn file(path: &std::path::Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.display().to_string();
        if says_full(&source) {
            return Self::Full {
                what: Cow::Owned(format!("{path} is to be {doing}")),
                source: Some(source.into()),
            };
        }
        Self::File { path, doing, source }
    }

    pub(crate) fn ledger(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            if says_full(&source) {
                return Self::Full {
                    what: Cow::Borrowed(doing),
                    source: Some(source.into()),
                };
            }
            Self::Ledger { doing, source }
        }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// Whether it may pass by itself, so that the same is worth another try.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Request(fault) => matches!(fault.kind, Kind::Unavailable | Kind::ResourceExhausted),
            Self::Ledger { source, .. } => matches!(
                source,
                sqlx::Error::Io(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::Protocol(_)
            ),
            Self::Index { .. } | Self::File { .. } | Self::Damaged { .. } => false,
        }
    }
}

/// Whether the chain of causes says that a disk, a quota or a table is full.
fn says_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            )
        {
            return true;
        }
        if let Some(sqlx::Error::Database(database)) = error.downcast_ref::<sqlx::Error>()
            // SQLITE_FULL, and PostgreSQL's disk_full.
            && matches!(database.code().as_deref(), Some("13" | "53100"))
        {
            return true;
        }
        // Some errors keep their cause as text only.
        let text = error.to_string();
        if text.contains("No space left on device") || text.contains("File too large") {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(fault) => fault,
            Error::Full { .. } => {
                let text = "there is no room on the disk of rag; delete documents or give it room (rag.data_dir, \
                            rag.min_free)";
                Self::exhausted("DISK_FULL", "rag.data_dir", text, Some(ROOM_AGAIN)).because(error)
            }
            Error::Ledger { .. } if error.may_pass() => {
                let text = "the ledger of rag does not answer; try again, or look into the log of rag";
                Self::unavailable("LEDGER_UNAVAILABLE", text).because(error)
            }
            Error::Ledger { .. } | Error::Index { .. } | Error::File { .. } | Error::Damaged { .. } => {
                Self::internal(error)
            }
        }
    }
}
