//! What archives need of the ledger: a space as it is at one moment, and one that is hidden until it is whole.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use polyphony_database::Dialect;
use polyphony_error::{Fault, Kind};
use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::OwnedSemaphorePermit;

use super::passages::{self, ABOUT, NewPassage, Stored};
use super::requests::Request;
use super::rows::{self, get};
use super::spaces::{insert_space, space_of, unknown};
use super::{Ledger, MOST_SNAPSHOTS, take_numbers};
use crate::Error;
use crate::archive::Document;
use crate::domain::time::micros;
use crate::domain::{NewSpace, Space};

/// The ready documents of a space at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    reading: sqlx::Transaction<'static, sqlx::Any>,
    space: i64,
    _permit: OwnedSemaphorePermit,
}

/// The space of an import.
#[derive(Debug)]
pub(crate) enum Shown {
    /// It is the one that was hidden.
    Now(Space),
    /// The same request has shown another; the hidden one is of no use.
    Before(Space),
}

/// When an archive may be done.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(30);

// === impl Snapshot ===

impl Snapshot {
    /// The first document after this version.
    pub(crate) async fn next_document(&mut self, after: i64) -> Result<Option<(i64, Document)>, Error> {
        let row = sqlx::query(
            "SELECT version, id, title, media_type, doc_type, language, head, size, digest, created, updated \
             FROM documents WHERE space = $1 AND state = 3 AND version > $2 ORDER BY version LIMIT 1",
        )
        .bind(self.space)
        .bind(after)
        .fetch_optional(&mut *self.reading)
        .await
        .map_err(Error::ledger("reading a document"))?;
        let Some(row) = row else { return Ok(None) };
        let document = Document {
            id: get(&row, "id")?,
            title: get(&row, "title")?,
            media_type: get(&row, "media_type")?,
            doc_type: rows::doc_type(&row)?,
            language: get(&row, "language")?,
            head: rows::head(&row)?,
            size: rows::count(&row, "size")?,
            digest: get(&row, "digest")?,
            created: get(&row, "created")?,
            updated: get(&row, "updated")?,
        };
        Ok(Some((get(&row, "version")?, document)))
    }

    /// The passages of a version, in order.
    pub(crate) async fn passages(&mut self, version: i64) -> Result<Vec<Stored>, Error> {
        let statement = format!(
            "SELECT p.*, {ABOUT} FROM passages p JOIN documents d ON d.version = p.version \
             WHERE p.version = $1 ORDER BY p.ordinal"
        );
        let found = sqlx::query(AssertSqlSafe(statement))
            .bind(version)
            .fetch_all(&mut *self.reading)
            .await
            .map_err(Error::ledger("reading passages"))?;
        passages::stored(&found)
    }
}

// === impl Ledger ===

impl Ledger {
    /// The ready documents of a space as they are now, whatever happens to them while they are read.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `EXPORTS_FULL` when so many are being read already.
    pub(crate) async fn snapshot(&self, space: i64) -> Result<Snapshot, Error> {
        let beginning = || Error::ledger("beginning to read");
        let permit = Arc::clone(&self.snapshots).try_acquire_owned().map_err(|_| {
            let text =
                format!("{MOST_SNAPSHOTS} archives are being sent, which is the most; try again later");
            Fault::exhausted("EXPORTS_FULL", "rag.exports", text, Some(SNAPSHOT_AGAIN))
        })?;
        let mut reading = self.database.readers().begin().await.map_err(beginning())?;
        if self.database.dialect() == Dialect::Postgres {
            let level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
            reading.execute(level).await.map_err(beginning())?;
        }
        let mut snapshot = Snapshot {
            reading,
            space,
            _permit: permit,
        };
        // The moment is that of the first reading.
        snapshot.next_document(i64::MAX).await?;
        Ok(snapshot)
    }

    /// The space that this request has made, if it was answered.
    pub(crate) async fn imported(&self, owner: &str, request: &Request) -> Result<Option<Space>, Error> {
        let mut reading = self.reading().await?;
        match request.answered(&mut reading, owner).await? {
            Some(id) => {
                let space = space_of(&mut reading, owner, &id).await?;
                space.map_or_else(|| Err(unknown(&id)), |space| Ok(Some(space)))
            }
            None => Ok(None),
        }
    }

    /// Makes a space that nobody sees, and that the next start forgets if it is not shown before. Its number is one that
    /// this process keeps.
    pub(crate) async fn begin_import(
        &self,
        owner: &str,
        id: &str,
        new: &NewSpace,
        is_mine: impl Fn(i64) -> bool,
    ) -> Result<i64, Error> {
        let beginning = || Error::ledger("beginning an import");
        let mut writing = self.begin().await?;
        let mut key = take_numbers(&mut writing, "space", 1).await?;
        while !is_mine(key) {
            key = take_numbers(&mut writing, "space", 1).await?;
        }
        insert_space(&mut writing, key, owner, id, new, true).await?;
        writing.commit().await.map_err(beginning())?;
        Ok(key)
    }

    /// Writes one document of a hidden space.
    pub(crate) async fn import_document(
        &self,
        space: i64,
        document: &Document,
        passages: &[NewPassage],
    ) -> Result<(), Error> {
        let importing = || Error::ledger("importing a document");
        let mut writing = self.begin().await?;
        let version = take_numbers(&mut writing, "version", 1).await?;
        let head = rows::to_json(&document.head)?;
        let bytes = passages::insert(&mut writing, version, passages).await?;
        sqlx::query(
            "INSERT INTO documents (version, space, id, state, title, media_type, doc_type, tags, time, language, head, \
             head_digest, size, digest, staged, failure, passages, bytes, created, updated) \
             VALUES ($1, $2, $3, 3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '', NULL, $14, $15, $16, $17)",
        )
        .bind(version)
        .bind(space)
        .bind(document.id.clone())
        .bind(document.title.clone())
        .bind(document.media_type.clone())
        .bind(document.doc_type.as_ref().map(rows::to_json).transpose()?)
        .bind(rows::marked(&document.head.tags))
        .bind(document.head.time.map(micros))
        .bind(document.language.clone())
        .bind(head.clone())
        .bind(super::documents::digest_of(&head))
        .bind(i64::try_from(document.size).unwrap_or(i64::MAX))
        .bind(document.digest.clone())
        .bind(passages.len() as i64)
        .bind(bytes as i64)
        .bind(document.created)
        .bind(document.updated)
        .execute(&mut *writing)
        .await
        .map_err(importing())?;
        writing.commit().await.map_err(importing())
    }

    /// Shows a hidden space that is whole; or gives the one that the same request, sent twice, has shown meanwhile.
    ///
    /// # Errors
    /// ALREADY_EXISTS when the name was taken meanwhile.
    pub(crate) async fn show_imported(
        &self,
        key: i64,
        owner: &str,
        id: &str,
        request: &Request,
    ) -> Result<Shown, Error> {
        let showing = || Error::ledger("showing a space");
        let mut writing = self.begin().await?;
        // So that whoever makes a space with another replica waits until this one is there to be seen.
        take_numbers(&mut writing, "space", 0).await?;
        if let Some(id) = request.answered(&mut writing, owner).await? {
            let space = space_of(&mut writing, owner, &id).await?;
            return space.map(Shown::Before).ok_or_else(|| unknown(&id));
        }
        if space_of(&mut writing, owner, id).await?.is_some() {
            let text = format!("spaces/{id} was made meanwhile; choose another space_id");
            return Err(Fault::new(Kind::AlreadyExists, "SPACE_EXISTS", text).into());
        }
        sqlx::query("UPDATE spaces SET gone = 0, epoch = 1, updated = $1 WHERE key = $2")
            .bind(micros(SystemTime::now()))
            .bind(key)
            .execute(&mut *writing)
            .await
            .map_err(showing())?;
        request.answer(&mut writing, owner, id).await?;
        let space = space_of(&mut writing, owner, id)
            .await?
            .ok_or_else(|| unknown(id))?;
        writing.commit().await.map_err(showing())?;
        Ok(Shown::Now(space))
    }
}
