//! What can go wrong with a queue, and its kind.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyphony_database::{is_twice, may_pass, says_full};
use polyphony_error::{Fault, Kind};
use tokio::task::JoinError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no room for what should be written. Nothing of it was.
    #[error("no room: {what}")]
    Full {
        /// What could not be written.
        what: Cow<'static, str>,
        /// Who said so; none when it was foreseen.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The database failed.
    #[error("the job queue failed while {doing}")]
    Database {
        /// What it was to do.
        doing: &'static str,
        /// Its own error.
        #[source]
        source: sqlx::Error,
    },
    /// A task of the queue did not come to its end.
    #[error("the job queue broke off while {doing}")]
    Broken {
        /// What it was to do.
        doing: &'static str,
        /// How it ended.
        #[source]
        source: JoinError,
    },
    /// A file could not be read or written.
    #[error("{} could not be {doing}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// "read", "written", "deleted"…
        doing: &'static str,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// What the database holds is not what was written.
    #[error("the job queue is damaged: {0}")]
    Damaged(String),
    /// Nothing says where jobs are kept.
    #[error("jobs have no folder; set jobs.data_dir, POLYPHONY_HOME or HOME")]
    NoFolder,
    /// Another process works in the folder.
    #[error("{} belongs to another process; stop it, or give this one another jobs.data_dir", .0.display())]
    InUse(PathBuf),
    /// Something is larger than it may be.
    #[error("{what} has {size} bytes and may have {most}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        most: usize,
    },
    /// As many wait as may.
    #[error("{most} jobs wait, as many as may ({key})")]
    QueueFull {
        /// How many may.
        most: usize,
        /// The key that says so.
        key: String,
    },
    /// As many of this owner's wait as may.
    #[error("{most} of your jobs wait, as many as one owner may have (jobs.owner_share of {key})")]
    OwnerQueueFull {
        /// How many may.
        most: usize,
        /// The key that it is a part of.
        key: String,
    },
    /// As many of this owner's are kept as may be.
    #[error(
        "{most} of your jobs are kept, as many as one owner may have (jobs.owner_share of {key}); delete those that are done"
    )]
    OwnerTooMany {
        /// How many may be.
        most: usize,
        /// The key that it is a part of.
        key: String,
    },
    /// As many are kept as may be.
    #[error("{most} jobs are kept, as many as may be ({key}); delete those that are done")]
    TooMany {
        /// How many may.
        most: usize,
        /// The key that says so.
        key: String,
    },
    /// The `request_id` names another request.
    #[error("the request_id was used for another request")]
    RequestReused,
    /// There is no such job, or it is another's.
    #[error("no job is called {0}")]
    Unknown(String),
    /// The job is over.
    #[error("the job is over")]
    Over,
    /// The job is not over.
    #[error("the job is under way")]
    UnderWay,
    /// Somebody else holds the job, or nobody.
    #[error("the job is no longer held by this claim")]
    Lost,
}

/// The key of what one owner may have.
const OWNER_SHARE: &str = "jobs.owner_share";
/// After so long there may be room again.
const ROOM_AGAIN: Duration = Duration::from_secs(30);

// === impl Error ===

impl Error {
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            if says_full(&source) {
                return Self::Full {
                    what: Cow::Borrowed(doing),
                    source: Some(source.into()),
                };
            }
            Self::Database { doing, source }
        }
    }

    pub(crate) fn broken(doing: &'static str) -> impl FnOnce(JoinError) -> Self {
        move |source| Self::Broken { doing, source }
    }

    /// Whether it may be otherwise in a moment, without anything being changed in what is asked.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Database { source, .. } => may_pass(source),
            _ => false,
        }
    }

    /// Whether something is there that may be there once.
    pub(crate) fn is_twice(&self) -> bool {
        matches!(self, Self::Database { source, .. } if is_twice(source))
    }

    pub(crate) fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if says_full(&source) {
                return Self::Full {
                    what: Cow::Owned(format!("{} is to be {doing}", path.display())),
                    source: Some(source.into()),
                };
            }
            Self::File { path, doing, source }
        }
    }
}

impl From<polyphony_database::Error> for Error {
    fn from(error: polyphony_database::Error) -> Self {
        use polyphony_database::Error as Below;

        match error {
            Below::Database { doing, source } => Self::database(doing)(source),
            Below::File { path, doing, source } => Self::file(&path, doing)(source),
            Below::InUse(folder) => Self::InUse(folder),
            Below::NoRoom { .. } => Self::Full {
                what: format!("{error} (jobs.min_free)").into(),
                source: None,
            },
            Below::Version { .. } => Self::Damaged(error.to_string()),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Full { .. } => {
                let text = "there is no room on the disk for jobs; delete what is done, or give it room \
                            (jobs.data_dir, jobs.min_free)";
                Self::exhausted("DISK_FULL", "jobs.data_dir", text, Some(ROOM_AGAIN)).because(error)
            }
            Error::QueueFull { ref key, .. } => {
                let text = format!("{error}; ask again when less waits");
                Self::exhausted("QUEUE_FULL", key.clone(), text, Some(ROOM_AGAIN))
            }
            Error::OwnerQueueFull { .. } => {
                let text = format!("{error}; ask again when less of them wait");
                Self::exhausted("OWNER_QUEUE_FULL", OWNER_SHARE, text, Some(ROOM_AGAIN))
            }
            Error::OwnerTooMany { .. } => {
                let text = error.to_string();
                Self::exhausted("OWNER_JOBS_FULL", OWNER_SHARE, text, Some(ROOM_AGAIN))
            }
            Error::TooMany { ref key, .. } => {
                let text = error.to_string();
                Self::exhausted("JOBS_FULL", key.clone(), text, Some(ROOM_AGAIN))
            }
            Error::TooLarge { what, .. } => {
                let text = format!("{error}; ask for less at once");
                Self::exhausted("JOB_TOO_LARGE", what, text, None)
            }
            Error::RequestReused => Self::invalid(
                "request_id",
                "was used for another request; take a new one for each",
            ),
            Error::Unknown(id) => {
                Self::not_found("job", id, "it may have expired or been deleted, or be another's")
            }
            Error::Over => Self::new(Kind::FailedPrecondition, "JOB_OVER", "it is over already"),
            Error::UnderWay => Self::new(
                Kind::FailedPrecondition,
                "JOB_UNDER_WAY",
                "it is under way; cancel it first",
            ),
            Error::Lost => Self::new(Kind::Aborted, "JOB_LOST", "it was taken over by another worker"),
            Error::Database { ref source, .. } if may_pass(source) => {
                let text = "the database of jobs does not answer; try again, or look into the log";
                Self::unavailable("JOBS_UNAVAILABLE", text).because(error)
            }
            Error::Database { .. }
            | Error::Broken { .. }
            | Error::File { .. }
            | Error::Damaged(_)
            | Error::NoFolder
            | Error::InUse(_) => Self::internal(error),
        }
    }
}
