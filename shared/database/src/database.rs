//! A database that is open: one connection that writes, some that read.

use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Transaction};

use crate::{Error, Tables};

/// A database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    readers: AnyPool,
    /// One connection: SQLite has one writer at a time, and more would wait for each other within a transaction.
    writer: AnyPool,
    dialect: Dialect,
}

/// Where a database is, and what it may use.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// "postgres://user@host/database". None: SQLite in [`file`](Self::file).
    pub url: Option<&'a str>,
    /// The file of SQLite, made if it is missing.
    pub file: &'a Path,
    /// Connections that read at once.
    pub readers: u32,
    /// Pages of a file that each connection may keep in memory, in KiB.
    pub cache_kib: u32,
}

/// What a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// In a file.
    Sqlite,
    /// On a server, which several processes may share.
    Postgres,
}

/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl Database ===

impl Database {
    /// Opens a database, and makes what is missing in it.
    ///
    /// # Errors
    /// [`Error::Database`] when it does not answer, [`Error::Version`].
    pub async fn open(place: &Place<'_>, tables: &Tables) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let database = match place.url {
            Some(url) => Self::postgres(url, place.readers).await?,
            None => Self::sqlite(place).await?,
        };
        tables.make(&database).await?;
        Ok(database)
    }

    async fn postgres(url: &str, readers: u32) -> Result<Self, Error> {
        let connecting = || Error::database("connecting");
        Ok(Self {
            writer: pool(1).connect(url).await.map_err(connecting())?,
            readers: pool(readers).connect(url).await.map_err(connecting())?,
            dialect: Dialect::Postgres,
        })
    }

    async fn sqlite(place: &Place<'_>) -> Result<Self, Error> {
        let url = format!("sqlite://{}?mode=rwc", escaped(place.file));
        // Each commit is on the disk before it is told of.
        let settings = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; \
             PRAGMA cache_size = -{}; PRAGMA temp_store = MEMORY",
            place.cache_kib
        );
        let pool = |most: u32| {
            let settings = settings.clone();
            self::pool(most)
                .idle_timeout(None)
                .max_lifetime(None)
                // A file is always there; asking first costs as much as what is asked then.
                .test_before_acquire(false)
                .after_connect(move |connection, _| {
                    let settings = AssertSqlSafe(settings.clone());
                    Box::pin(async move { connection.execute(settings).await.map(drop) })
                })
        };
        let opening = || Error::database("opening");
        // The writer first: it makes the file.
        let writer = pool(1).connect(&url).await.map_err(opening())?;
        let readers = pool(place.readers).connect(&url).await.map_err(opening())?;
        Ok(Self {
            readers,
            writer,
            dialect: Dialect::Sqlite,
        })
    }

    /// What it speaks.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The connections that read.
    pub const fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// The one connection that writes: for a statement that is its own transaction.
    pub const fn writer(&self) -> &AnyPool {
        &self.writer
    }

    /// A transaction in which what is read stays true.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        let begun = match self.dialect {
            Dialect::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.writer.begin().await,
        };
        begun.map_err(Error::database("beginning to write"))
    }

    /// A connection to read with.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn reading(&self) -> Result<PoolConnection<Any>, Error> {
        let reading = self.readers.acquire().await;
        reading.map_err(Error::database("beginning to read"))
    }

    /// Waits for what runs and closes the files.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether an address is one of a server that this crate can speak to.
pub fn is_server(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Connections, of which none is used again that could not end its transaction.
///
/// SQLite takes a transaction back by itself where the disk is full, the `ROLLBACK` that follows finds none, and sqlx still
/// counts it: from then on each "transaction" is a savepoint, and one that is given up leaves them all open. What is written
/// after that is told to be committed, seen by no reader, and lost with the process.
fn pool(most: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
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
mod tests;
