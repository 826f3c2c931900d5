//! The database: SQLite in a folder that one process owns, or PostgreSQL. One set of statements serves both, in the words
//! that both know.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, AssertSqlSafe, Connection as _, Executor, Row, Transaction};

use crate::Error;

/// A database of jobs.
#[derive(Debug)]
pub(crate) struct Database {
    readers: AnyPool,
    /// One connection: SQLite has one writer at a time, and more would wait for each other within a transaction.
    writer: AnyPool,
    dialect: Dialect,
    /// Held as long as the database is open; of SQLite alone.
    _lock: Option<File>,
}

/// What differs between the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// Connections that read at once.
const READERS: u32 = 4;
/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The version of the tables below. One more means a migration is written.
const VERSION: &str = "2";

/// `BYTES` stands for what a database calls a string of bytes, `NAME` for text that is ordered by its bytes. Times are
/// microseconds since 1970. What is large has tables of its own, so that a heartbeat does not write it again.
const TABLES: [&str; 8] = [
    "CREATE TABLE IF NOT EXISTS job_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS job_counters (name TEXT PRIMARY KEY, next BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS jobs (
        id NAME PRIMARY KEY, queue NAME NOT NULL, number BIGINT NOT NULL, owner NAME NOT NULL,
        request NAME, fingerprint TEXT NOT NULL, label NAME NOT NULL, state BIGINT NOT NULL, priority BIGINT NOT NULL,
        attempts BIGINT NOT NULL, strikes BIGINT NOT NULL, interruptions BIGINT NOT NULL DEFAULT 0,
        reached BIGINT NOT NULL DEFAULT 0, token TEXT, lease BIGINT, cancelling BIGINT NOT NULL,
        cost BIGINT NOT NULL, created BIGINT NOT NULL, started BIGINT, ended BIGINT, updated BIGINT NOT NULL,
        deadline BIGINT, expires BIGINT, progress BYTES NOT NULL, failure BYTES)",
    "CREATE INDEX IF NOT EXISTS jobs_by_turn ON jobs (queue, state, priority, number)",
    "CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (queue, owner, id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS jobs_by_request ON jobs (queue, owner, request) WHERE request IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS job_payloads (job NAME PRIMARY KEY, content BYTES NOT NULL)",
    "CREATE TABLE IF NOT EXISTS job_results (job NAME PRIMARY KEY, content BYTES NOT NULL)",
];

/// What makes the tables of version 1 those of version 2.
const FROM_1_TO_2: [&str; 3] = [
    "ALTER TABLE jobs ADD COLUMN interruptions BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN reached BIGINT NOT NULL DEFAULT 0",
    "UPDATE job_meta SET value = '2' WHERE name = 'schema'",
];

// === impl Database ===

impl Database {
    /// PostgreSQL at `url`, or else SQLite in `folder`, with what is missing made.
    pub(crate) async fn open(url: Option<&str>, folder: &Path) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let database = match url {
            Some(url) => Self::postgres(url).await?,
            None => Self::sqlite(folder).await?,
        };
        database.make().await?;
        Ok(database)
    }

    async fn postgres(url: &str) -> Result<Self, Error> {
        let connecting = || Error::database("connecting");
        Ok(Self {
            writer: pool(1).connect(url).await.map_err(connecting())?,
            readers: pool(READERS).connect(url).await.map_err(connecting())?,
            dialect: Dialect::Postgres,
            _lock: None,
        })
    }

    async fn sqlite(folder: &Path) -> Result<Self, Error> {
        let lock = lock(&folder.join("lock"))?;
        let url = format!("sqlite://{}?mode=rwc", escaped(&folder.join("jobs.sqlite")));
        let pool = |most: u32| {
            self::pool(most)
                .idle_timeout(None)
                .max_lifetime(None)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        // Each commit is on the disk before it is told of.
                        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                        PRAGMA busy_timeout = 10000; PRAGMA temp_store = MEMORY";
                        connection.execute(settings).await.map(drop)
                    })
                })
        };
        let opening = || Error::database("opening");
        // The writer first: it makes the file.
        let writer = pool(1).connect(&url).await.map_err(opening())?;
        let readers = pool(READERS).connect(&url).await.map_err(opening())?;
        Ok(Self {
            readers,
            writer,
            dialect: Dialect::Sqlite,
            _lock: Some(lock),
        })
    }

    /// Nobody else works with these jobs, so whoever held one before is no more.
    pub(crate) fn is_ours_alone(&self) -> bool {
        self.dialect == Dialect::Sqlite
    }

    pub(crate) const fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// A transaction in which what is read stays true.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        let begun = match self.dialect {
            Dialect::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.writer.begin().await,
        };
        begun.map_err(Error::database("beginning to write"))
    }

    /// Added to a SELECT, it keeps what was read for this transaction.
    pub(crate) const fn for_update(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// As [`for_update`](Self::for_update), and rows that others keep are passed over.
    pub(crate) const fn for_update_unless_kept(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Waits for what runs and closes the files.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn make(&self) -> Result<(), Error> {
        let making = || Error::database("making its tables");
        let mut writing = self.begin().await?;
        if self.dialect == Dialect::Postgres {
            // Processes that start together make the tables one after the other.
            let lock = "SELECT pg_advisory_xact_lock(1347375194)";
            writing.execute(lock).await.map_err(making())?;
        }
        for table in TABLES {
            let (bytes, name) = match self.dialect {
                Dialect::Sqlite => ("BLOB", "TEXT"),
                Dialect::Postgres => ("BYTEA", "TEXT COLLATE \"C\""),
            };
            let statement = table.replace("BYTES", bytes).replace("NAME", name);
            let statement = sqlx::query(AssertSqlSafe(statement));
            statement.execute(&mut *writing).await.map_err(making())?;
        }
        let counter = "INSERT INTO job_counters (name, next) VALUES ('job', 1) ON CONFLICT (name) DO NOTHING";
        writing.execute(counter).await.map_err(making())?;
        sqlx::query("INSERT INTO job_meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO NOTHING")
            .bind(VERSION)
            .execute(&mut *writing)
            .await
            .map_err(making())?;
        let row = sqlx::query("SELECT value FROM job_meta WHERE name = 'schema'")
            .fetch_one(&mut *writing)
            .await
            .map_err(making())?;
        let mut found: String = row.try_get(0).map_err(making())?;
        if found == "1" {
            for statement in FROM_1_TO_2 {
                writing.execute(statement).await.map_err(making())?;
            }
            VERSION.clone_into(&mut found);
        }
        if found != VERSION {
            let what = format!("its tables are of version {found}, and this program knows version {VERSION}");
            return Err(Error::Damaged(what));
        }
        writing.commit().await.map_err(making())
    }
}

/// Connections, of which none is used again that could not end its transaction: SQLite undoes one by itself when the disk is
/// full, sqlx still counts it, and what is written after that only seems to be committed.
fn pool(most: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

/// Makes the folder this process's own; the system lets go of it when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, Error> {
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = opened.map_err(Error::file(path, "opened"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse(path.parent().unwrap_or(path).to_owned())),
        Err(error) => Err(Error::file(path, "locked")(error.into())),
    }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder, "made"))
}

/// A path as it stands in a URL.
fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;

    let mut url = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of jobs as version 1 had it.
    const JOBS_OF_1: &str = "CREATE TABLE jobs (
        id TEXT PRIMARY KEY, queue TEXT NOT NULL, number BIGINT NOT NULL, owner TEXT NOT NULL,
        request TEXT, fingerprint TEXT NOT NULL, label TEXT NOT NULL, state BIGINT NOT NULL, priority BIGINT NOT NULL,
        attempts BIGINT NOT NULL, strikes BIGINT NOT NULL, token TEXT, lease BIGINT, cancelling BIGINT NOT NULL,
        cost BIGINT NOT NULL, created BIGINT NOT NULL, started BIGINT, ended BIGINT, updated BIGINT NOT NULL,
        deadline BIGINT, expires BIGINT, progress BLOB NOT NULL, failure BLOB)";

    #[tokio::test]
    async fn tables_of_version_1_become_those_of_version_2() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(None, folder.path()).await.unwrap();
        for statement in [
            "DROP TABLE jobs",
            JOBS_OF_1,
            "UPDATE job_meta SET value = '1' WHERE name = 'schema'",
            "INSERT INTO jobs (id, queue, number, owner, fingerprint, label, state, priority, attempts, strikes, \
             cancelling, cost, created, updated, progress) VALUES ('a', 'q', 1, 'me', '', '', 1, 2, 0, 0, 0, 0, 0, 0, x'')",
        ] {
            database.writer.execute(statement).await.unwrap();
        }
        database.close().await;
        drop(database);
        for _ in 0..2 {
            let database = Database::open(None, folder.path()).await.unwrap();
            let row = sqlx::query(
                "SELECT interruptions + reached, value FROM jobs, job_meta WHERE name = 'schema'",
            )
            .fetch_one(database.readers())
            .await
            .unwrap();
            let found: (i64, String) = (row.get(0), row.get(1));
            assert_eq!(found, (0, VERSION.to_owned()));
            database.close().await;
        }
    }

    #[tokio::test]
    async fn what_is_committed_after_a_full_disk_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(None, folder.path()).await.unwrap();
        let meta =
            |name: String| sqlx::query("INSERT INTO job_meta (name, value) VALUES ($1, 'x')").bind(name);
        // The file may not grow: not below what it has.
        let stop = "PRAGMA max_page_count = 1";
        database.writer.execute(stop).await.unwrap();
        let mut full = database.begin().await.unwrap();
        meta("x".repeat(1 << 20)).execute(&mut *full).await.unwrap_err();
        drop(full);
        // One that is given up, then one that counts.
        drop(database.begin().await.unwrap());
        let mut small = database.begin().await.unwrap();
        meta("small".to_owned()).execute(&mut *small).await.unwrap();
        small.commit().await.unwrap();
        let found = sqlx::query("SELECT value FROM job_meta WHERE name = 'small'")
            .fetch_optional(database.readers())
            .await
            .unwrap();
        assert!(found.is_some(), "readers see it");
    }
}
