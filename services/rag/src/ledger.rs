//! The ledger: the truth about spaces, documents and passages, in SQLite or PostgreSQL.
//!
//! Both indexes can be lost and are made anew from here; nothing is acknowledged before the ledger has committed it. One
//! set of statements serves both databases: they are written at run time, in the words that both know.
//!
//! A document is a row for each of its versions. At most one version of a document is ready and at most one is on its way;
//! a version that is to disappear is first marked gone, which hides it at once, and is forgotten when neither index knows
//! it any more. Passages have numbers that are never given twice, so that an index entry of an old version can never be
//! taken for one of a new.
//!
//! Not here: the bytes of documents (`staging`), and any index.

mod archives;
mod documents;
mod passages;
mod requests;
mod rows;
mod schema;
mod spaces;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _, Row as _};
use tokio::sync::Semaphore;

pub(crate) use archives::{Shown, Snapshot};
pub(crate) use documents::{Admission, Listing, Submitted, Wanted};
#[cfg(test)]
pub(crate) use passages::About;
pub(crate) use passages::{Loaded, NewPassage, Stored, WrittenPlace, of_bytes, to_bytes};
pub(crate) use requests::Request;
pub(crate) use spaces::Owned;
pub(crate) use work::{Task, Written};

use crate::Error;

/// The ledger. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    readers: AnyPool,
    /// One connection: SQLite has one writer at a time, and more would wait for each other within a transaction.
    writer: AnyPool,
    /// The right to read for as long as a client takes; the other readers are for who waits.
    snapshots: Arc<Semaphore>,
    dialect: Dialect,
}

/// What differs between the databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Connections that read at once.
const READERS: u32 = 8;
/// Of these, so many may be held by archives, whose clients read as slowly as they like.
const MOST_SNAPSHOTS: usize = 4;
/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl Ledger ===

impl Ledger {
    /// Opens the ledger that `url` names, or else the one in `folder`, and makes what is missing in it.
    ///
    /// # Errors
    /// When the database does not answer, or was made by a later version of this program.
    pub(crate) async fn open(url: Option<&str>, folder: &Path) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let ledger = if let Some(url) = url {
            let connecting = || Error::ledger("connecting");
            Self {
                // One writer for each process, as with SQLite: what it reads within a transaction stays true.
                writer: pool(1).connect(url).await.map_err(connecting())?,
                readers: pool(READERS).connect(url).await.map_err(connecting())?,
                snapshots: Arc::new(Semaphore::new(MOST_SNAPSHOTS)),
                dialect: Dialect::Postgres,
            }
        } else {
            Self::sqlite(&folder.join("ledger.sqlite")).await?
        };
        schema::make(&ledger).await?;
        Ok(ledger)
    }

    async fn sqlite(file: &Path) -> Result<Self, Error> {
        let url = format!("sqlite://{}?mode=rwc", escaped(file));
        let pool = |most: u32| {
            self::pool(most)
                .idle_timeout(None)
                .max_lifetime(None)
                // A file is always there; asking first costs as much as what is asked then.
                .test_before_acquire(false)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        // Each commit is on the disk before it is told of.
                        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                        PRAGMA busy_timeout = 10000; PRAGMA cache_size = -16384; \
                                        PRAGMA temp_store = MEMORY";
                        connection.execute(settings).await.map(drop)
                    })
                })
        };
        let opening = Error::ledger("opening");
        // The writer first: it makes the file.
        let writer = pool(1).connect(&url).await.map_err(opening)?;
        let readers = pool(READERS)
            .connect(&url)
            .await
            .map_err(Error::ledger("opening"))?;
        Ok(Self {
            readers,
            writer,
            snapshots: Arc::new(Semaphore::new(MOST_SNAPSHOTS)),
            dialect: Dialect::Sqlite,
        })
    }

    /// Waits for what runs and closes the files.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, Error> {
        self.writer
            .begin()
            .await
            .map_err(Error::ledger("beginning to write"))
    }
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

/// Takes `count` numbers that were never given, and gives the first. The rest follow it.
async fn take_numbers(
    connection: &mut AnyConnection,
    name: &'static str,
    count: usize,
) -> Result<i64, Error> {
    let count = count as i64;
    let row = sqlx::query("UPDATE counters SET next = next + $1 WHERE name = $2 RETURNING next")
        .bind(count)
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(Error::ledger("counting"))?;
    let next: i64 = row.try_get(0).map_err(Error::ledger("counting"))?;
    Ok(next - count)
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

/// Numbers as they stand in a list of a statement.
fn listed(numbers: &[i64]) -> String {
    let mut text = String::with_capacity(numbers.len() * 8);
    for (at, number) in numbers.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&number.to_string());
    }
    text
}

#[cfg(test)]
mod tests;
