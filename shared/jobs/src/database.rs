//! The database of jobs: its tables, and the folder that one process owns where it is a file.

use std::fs::{self, File};
use std::path::Path;

use polyphony_database::{Dialect, Place, Tables};
use sqlx::{Any, AnyPool, Transaction};

use crate::Error;

/// A database of jobs.
#[derive(Debug)]
pub(crate) struct Database {
    open: polyphony_database::Database,
    /// Held as long as the database is open; of SQLite alone.
    _lock: Option<File>,
}

/// Connections that read at once.
const READERS: u32 = 4;
/// Of pages that each may keep, in KiB: less than a large result.
const CACHE_KIB: u32 = 2_000;

/// Times are microseconds since 1970. What is large has tables of its own, so that a heartbeat does not write it again.
const TABLES: Tables = Tables {
    meta: "job_meta",
    lock: 1_347_375_194,
    statements: &[
        "CREATE TABLE IF NOT EXISTS job_counters (name TEXT PRIMARY KEY, next BIGINT NOT NULL)",
        "INSERT INTO job_counters (name, next) VALUES ('job', 1) ON CONFLICT (name) DO NOTHING",
        "CREATE TABLE IF NOT EXISTS jobs (
            id NAME PRIMARY KEY, queue NAME NOT NULL, number BIGINT NOT NULL, owner NAME NOT NULL,
            request NAME, fingerprint TEXT NOT NULL, label NAME NOT NULL, state BIGINT NOT NULL, priority BIGINT NOT NULL,
            attempts BIGINT NOT NULL, strikes BIGINT NOT NULL, interruptions BIGINT NOT NULL DEFAULT 0,
            reached BIGINT NOT NULL DEFAULT 0, token TEXT, lease BIGINT, cancelling BIGINT NOT NULL,
            cost BIGINT NOT NULL, created BIGINT NOT NULL, started BIGINT, ended BIGINT, updated BIGINT NOT NULL,
            deadline BIGINT, expires BIGINT, progress BYTES NOT NULL, failure BYTES, turn BIGINT NOT NULL DEFAULT 0)",
        // As they are claimed.
        "CREATE INDEX IF NOT EXISTS jobs_in_turn ON jobs (queue, state, priority DESC, turn, number)",
        // The last turn of an owner, and how many of theirs wait.
        "CREATE INDEX IF NOT EXISTS jobs_by_owner_in_turn ON jobs (queue, state, owner, priority, turn)",
        "CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (queue, owner, id)",
        "CREATE INDEX IF NOT EXISTS jobs_by_expiry ON jobs (queue, expires) WHERE expires IS NOT NULL",
        "CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_request ON jobs (queue, owner, request) WHERE request IS NOT NULL",
        "CREATE TABLE IF NOT EXISTS job_payloads (job NAME PRIMARY KEY, content BYTES NOT NULL)",
        "CREATE TABLE IF NOT EXISTS job_results (job NAME PRIMARY KEY, content BYTES NOT NULL)",
    ],
    changes: &[
        &[
            "ALTER TABLE jobs ADD COLUMN interruptions BIGINT NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN reached BIGINT NOT NULL DEFAULT 0",
        ],
        &[
            "ALTER TABLE jobs ADD COLUMN turn BIGINT NOT NULL DEFAULT 0",
            // What waits keeps its place.
            "UPDATE jobs SET turn = number",
            "DROP INDEX IF EXISTS jobs_by_turn",
        ],
    ],
};

// === impl Database ===

impl Database {
    /// PostgreSQL at `url`, or else SQLite in `folder`, with what is missing made.
    pub(crate) async fn open(url: Option<&str>, folder: &Path) -> Result<Self, Error> {
        let lock = match url {
            Some(_) => None,
            None => Some(polyphony_database::own(folder)?),
        };
        let place = Place {
            url,
            file: &folder.join("jobs.sqlite"),
            readers: READERS,
            cache_kib: CACHE_KIB,
        };
        Ok(Self {
            open: polyphony_database::Database::open(&place, &TABLES).await?,
            _lock: lock,
        })
    }

    /// Nobody else works with these jobs, so whoever held one before is no more.
    pub(crate) fn is_ours_alone(&self) -> bool {
        self.open.dialect() == Dialect::Sqlite
    }

    pub(crate) const fn readers(&self) -> &AnyPool {
        self.open.readers()
    }

    /// A transaction in which what is read stays true.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(self.open.begin().await?)
    }

    /// Added to a SELECT, it keeps what was read for this transaction.
    pub(crate) const fn for_update(&self) -> &'static str {
        match self.open.dialect() {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// As [`for_update`](Self::for_update), and rows that others keep are passed over.
    pub(crate) const fn for_update_unless_kept(&self) -> &'static str {
        match self.open.dialect() {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Waits for what runs and closes the files.
    pub(crate) async fn close(&self) {
        self.open.close().await;
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder, "made"))
}

#[cfg(test)]
mod tests {
    use sqlx::{Executor as _, Row as _};

    use super::*;

    /// The table of jobs as version 1 had it.
    const JOBS_OF_1: &str = "CREATE TABLE jobs (
        id TEXT PRIMARY KEY, queue TEXT NOT NULL, number BIGINT NOT NULL, owner TEXT NOT NULL,
        request TEXT, fingerprint TEXT NOT NULL, label TEXT NOT NULL, state BIGINT NOT NULL, priority BIGINT NOT NULL,
        attempts BIGINT NOT NULL, strikes BIGINT NOT NULL, token TEXT, lease BIGINT, cancelling BIGINT NOT NULL,
        cost BIGINT NOT NULL, created BIGINT NOT NULL, started BIGINT, ended BIGINT, updated BIGINT NOT NULL,
        deadline BIGINT, expires BIGINT, progress BLOB NOT NULL, failure BLOB)";

    #[tokio::test]
    async fn tables_of_version_1_become_those_of_today() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(None, folder.path()).await.unwrap();
        for statement in [
            "DROP TABLE jobs",
            JOBS_OF_1,
            "CREATE INDEX jobs_by_turn ON jobs (queue, state, priority, number)",
            "UPDATE job_meta SET value = '1' WHERE name = 'schema'",
            "INSERT INTO jobs (id, queue, number, owner, fingerprint, label, state, priority, attempts, strikes, \
             cancelling, cost, created, updated, progress) VALUES ('a', 'q', 7, 'me', '', '', 1, 2, 0, 0, 0, 0, 0, 0, x'')",
        ] {
            database.open.writer().execute(statement).await.unwrap();
        }
        database.close().await;
        drop(database);
        for _ in 0..2 {
            let database = Database::open(None, folder.path()).await.unwrap();
            let row = sqlx::query(
                "SELECT interruptions + reached, turn, value, (SELECT COUNT(*) FROM sqlite_master WHERE name = \
                 'jobs_by_turn') FROM jobs, job_meta WHERE job_meta.name = 'schema'",
            )
            .fetch_one(database.readers())
            .await
            .unwrap();
            let found: (i64, i64, String, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
            assert_eq!(found, (0, 7, "3".to_owned(), 0));
            database.close().await;
        }
    }
}
