//! What can go wrong with a database, and what it means: whether there is no room, whether it may pass, whether something
//! is there already.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong before a statement of the caller runs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("the database failed while {doing}")]
    Database {
        /// What it was to do: "opening", "beginning to write"…
        doing: &'static str,
        /// Its own error.
        #[source]
        source: sqlx::Error,
    },
    /// A file or folder could not be used.
    #[error("{} could not be {doing}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// "made", "opened", "locked"…
        doing: &'static str,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// Another process works in the folder.
    #[error("{} belongs to another process", .0.display())]
    InUse(PathBuf),
    /// There is less room on the disk than must stay free.
    #[error("{free} bytes are free and {least} must stay so")]
    NoRoom {
        /// How many bytes there are.
        free: u64,
        /// How many there must be.
        least: u64,
    },
    /// The tables are of a version that this program does not know.
    #[error("its tables are of version {found}, and this program knows version {known}")]
    Version {
        /// Theirs.
        found: String,
        /// The newest that is known.
        known: usize,
    },
}

// === impl Error ===

impl Error {
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    pub(crate) fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, doing, source }
    }
}

/// Whether an error or one of its causes says that a disk, a quota or a table is full.
pub fn says_full(error: &(dyn std::error::Error + 'static)) -> bool {
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
        next = error.source();
    }
    false
}

/// Whether the same may work in a moment, without anything being changed: nobody answered, or the connection was lost.
pub const fn may_pass(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Protocol(_)
    )
}

/// Whether something is there that may be there once.
pub fn is_twice(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    database.is_some_and(|error| error.is_unique_violation())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_seen_below_other_errors() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(says_full(&full()));
        assert!(says_full(&Error::file(Path::new("a"), "written")(full())));
        assert!(says_full(&Error::database("writing")(sqlx::Error::Io(full()))));
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!says_full(&Error::file(Path::new("a"), "written")(other)));
    }

    #[test]
    fn what_does_not_answer_may_pass_and_what_is_wrong_does_not() {
        assert!(may_pass(&sqlx::Error::PoolTimedOut));
        assert!(may_pass(&sqlx::Error::Io(io::ErrorKind::ConnectionReset.into())));
        assert!(!may_pass(&sqlx::Error::RowNotFound));
    }
}
