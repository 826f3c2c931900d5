//! What can go wrong in retrieval, and its kind.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use polyphony_database::{may_pass, says_full};
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
        if tells_of_full(&*source) {
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
            Self::Ledger { source, .. } => may_pass(source),
            Self::Index { .. } | Self::File { .. } | Self::Damaged { .. } => false,
        }
    }
}

/// As [`says_full`], of errors of the indexes, some of which keep their cause as text only.
fn tells_of_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    says_full(error)
        || causes.any(|text| text.contains("No space left on device") || text.contains("File too large"))
}

impl From<polyphony_database::Error> for Error {
    fn from(error: polyphony_database::Error) -> Self {
        use polyphony_database::Error as Below;

        match error {
            Below::Database { doing, source } => Self::ledger(doing)(source),
            Below::File { path, doing, source } => Self::file(&path, doing, source),
            Below::InUse(folder) => {
                let text = format!(
                    "{} is open in another process; give each its own (rag.data_dir)",
                    folder.display()
                );
                Self::Request(Fault::new(Kind::FailedPrecondition, "DATA_DIR_LOCKED", text))
            }
            Below::NoRoom { .. } => Self::Full {
                what: format!("{error} (rag.min_free)").into(),
                source: None,
            },
            Below::Version { .. } => Self::damaged(error.to_string()),
        }
    }
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
