//! The tables of the ledger, and which version of them a database has.

use sqlx::{AssertSqlSafe, Executor, Row};

use super::{Dialect, Ledger};
use crate::Error;

/// The version of the tables below. One more means a migration is written.
const VERSION: i64 = 1;

/// `BYTES` stands for what a database calls a string of bytes, `NAME` for text that is ordered by its bytes, `NUMBER` for
/// the number of 64 bits that a row is known by. Times are microseconds since 1970.
const TABLES: [&str; 11] = [
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, next BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spaces (
        key NUMBER, owner NAME NOT NULL, id NAME NOT NULL, display_name TEXT NOT NULL,
        model TEXT NOT NULL, language TEXT, target_tokens BIGINT NOT NULL, max_tokens BIGINT NOT NULL,
        overlap_tokens BIGINT NOT NULL, epoch BIGINT NOT NULL, version BIGINT NOT NULL, gone BIGINT NOT NULL,
        created BIGINT NOT NULL, updated BIGINT NOT NULL)",
    // A name is free again as soon as its space is gone.
    "CREATE UNIQUE INDEX IF NOT EXISTS spaces_by_name ON spaces (owner, id) WHERE gone = 0",
    "CREATE TABLE IF NOT EXISTS documents (
        version NUMBER, space BIGINT NOT NULL, id NAME NOT NULL, state BIGINT NOT NULL,
        title TEXT NOT NULL, media_type TEXT NOT NULL, doc_type TEXT, tags TEXT NOT NULL, time BIGINT,
        language TEXT, head TEXT NOT NULL, head_digest TEXT NOT NULL, size BIGINT NOT NULL, digest TEXT NOT NULL,
        staged TEXT NOT NULL,
        failure TEXT, passages BIGINT NOT NULL, bytes BIGINT NOT NULL, created BIGINT NOT NULL, updated BIGINT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS documents_by_name ON documents (space, id)",
    "CREATE INDEX IF NOT EXISTS documents_by_state ON documents (state)",
    "CREATE UNIQUE INDEX IF NOT EXISTS documents_ready ON documents (space, id) WHERE state = 3",
    "CREATE TABLE IF NOT EXISTS passages (
        key NUMBER, version BIGINT NOT NULL, ordinal BIGINT NOT NULL, id TEXT NOT NULL,
        text TEXT NOT NULL, headings TEXT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, place TEXT,
        tokens BIGINT NOT NULL, vector BYTES)",
    "CREATE INDEX IF NOT EXISTS passages_by_version ON passages (version, ordinal)",
    "CREATE TABLE IF NOT EXISTS requests (
        owner TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL, answer TEXT NOT NULL,
        created BIGINT NOT NULL, PRIMARY KEY (owner, id))",
];

/// Makes what is missing.
pub(super) async fn make(ledger: &Ledger) -> Result<(), Error> {
    let making = || Error::ledger("making its tables");
    let mut writing = ledger.begin().await?;
    if ledger.dialect == Dialect::Postgres {
        // Replicas that start together make the tables one after the other.
        let lock = "SELECT pg_advisory_xact_lock(1347375193)";
        writing.execute(lock).await.map_err(making())?;
    }
    for table in TABLES {
        let (bytes, name, number) = match ledger.dialect {
            // Of these very words SQLite makes the number that rows are stored by; of others a second index.
            Dialect::Sqlite => ("BLOB", "TEXT", "INTEGER PRIMARY KEY"),
            Dialect::Postgres => ("BYTEA", "TEXT COLLATE \"C\"", "BIGINT PRIMARY KEY"),
        };
        let statement = table
            .replace("BYTES", bytes)
            .replace("NAME", name)
            .replace("NUMBER", number);
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *writing)
            .await
            .map_err(making())?;
    }
    for counter in ["space", "version", "passage"] {
        sqlx::query("INSERT INTO counters (name, next) VALUES ($1, 1) ON CONFLICT (name) DO NOTHING")
            .bind(counter)
            .execute(&mut *writing)
            .await
            .map_err(making())?;
    }
    sqlx::query("INSERT INTO meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO NOTHING")
        .bind(VERSION.to_string())
        .execute(&mut *writing)
        .await
        .map_err(making())?;
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'schema'")
        .fetch_one(&mut *writing)
        .await
        .map_err(making())?;
    let found: String = row.try_get(0).map_err(making())?;
    if found != VERSION.to_string() {
        let what = format!("its tables are of version {found}, and this program knows version {VERSION}");
        return Err(Error::damaged(what));
    }
    writing.commit().await.map_err(making())
}
