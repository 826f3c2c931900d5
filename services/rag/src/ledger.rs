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

use polyphony_database::{Database, Place};
use sqlx::{AnyConnection, Row as _};
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
    database: Database,
    /// The right to read for as long as a client takes; the other readers are for who waits.
    snapshots: Arc<Semaphore>,
}

/// Connections that read at once.
const READERS: u32 = 8;
/// Of these, so many may be held by archives, whose clients read as slowly as they like.
const MOST_SNAPSHOTS: usize = 4;
/// Of pages of SQLite that each of them may keep, in KiB.
const CACHE_KIB: u32 = 16 << 10;

// === impl Ledger ===

impl Ledger {
    /// Opens the ledger that `url` names, or else the one in `folder`, and makes what is missing in it.
    ///
    /// # Errors
    /// When the database does not answer, or was made by a later version of this program.
    pub(crate) async fn open(url: Option<&str>, folder: &Path) -> Result<Self, Error> {
        let place = Place {
            url,
            file: &folder.join("ledger.sqlite"),
            readers: READERS,
            cache_kib: CACHE_KIB,
        };
        Ok(Self {
            database: Database::open(&place, &schema::TABLES).await?,
            snapshots: Arc::new(Semaphore::new(MOST_SNAPSHOTS)),
        })
    }

    /// Waits for what runs and closes the files.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, Error> {
        Ok(self.database.begin().await?)
    }

    async fn reading(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Any>, Error> {
        Ok(self.database.reading().await?)
    }
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
