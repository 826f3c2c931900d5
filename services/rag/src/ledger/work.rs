//! What is left to do, and each step of it: the states of a document change here and nowhere else.
//!
//! Stored → (passages written) → indexing → (both indexes have them) → ready; whatever is to disappear is gone, and then
//! forgotten. A step that finds another state than it expects does nothing and says so: somebody was faster, or wants the
//! document no longer.

use std::collections::HashMap;
use std::time::SystemTime;

use sqlx::AssertSqlSafe;

use super::passages::{self, NewPassage};
use super::rows::{self, get};
use super::spaces::advance_epoch;
use super::{Ledger, listed};
use crate::Error;
use crate::domain::time::micros;
use crate::domain::{Chunking, DocumentState, Failure, Head};
use crate::engine::Prepared;

/// A document that is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) version: i64,
    pub(crate) space: i64,
    /// The last part of the space's name.
    pub(crate) space_id: String,
    pub(crate) document: String,
    pub(crate) head: Head,
    pub(crate) size: u64,
    pub(crate) staged: String,
    pub(crate) chunking: Chunking,
    pub(crate) language: Option<String>,
    pub(crate) model: String,
}

/// What a version has become after it was read, for one transaction.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) version: i64,
    pub(crate) prepared: Prepared,
    pub(crate) passages: Vec<NewPassage>,
}

/// How a version is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fate {
    pub(crate) state: DocumentState,
    /// Why it failed, if it did.
    pub(crate) failure: Option<Failure>,
}

/// Numbers in one statement.
const MOST_LISTED: usize = 500;

// === impl Ledger ===

impl Ledger {
    /// The versions that wait to be read, oldest first, with their spaces.
    pub(crate) async fn waiting(&self) -> Result<Vec<(i64, i64)>, Error> {
        self.in_state(1).await
    }

    /// The versions whose passages are written and not yet in both indexes, with their spaces.
    pub(crate) async fn half_indexed(&self) -> Result<Vec<(i64, i64)>, Error> {
        self.in_state(2).await
    }

    /// The versions that are to be forgotten, with their spaces.
    pub(crate) async fn gone(&self) -> Result<Vec<(i64, i64)>, Error> {
        self.in_state(5).await
    }

    /// The versions of one space that are to be forgotten, and the files of their bytes.
    pub(crate) async fn gone_in(&self, space: i64) -> Result<Vec<(i64, String)>, Error> {
        let mut reading = self.reading().await?;
        let found = sqlx::query(
            "SELECT version, staged FROM documents WHERE space = $1 AND state = 5 ORDER BY version",
        )
        .bind(space)
        .fetch_all(&mut *reading)
        .await
        .map_err(Error::ledger("listing work"))?;
        found
            .iter()
            .map(|row| Ok((get(row, "version")?, get(row, "staged")?)))
            .collect()
    }

    async fn in_state(&self, state: i64) -> Result<Vec<(i64, i64)>, Error> {
        let mut reading = self.reading().await?;
        let found = sqlx::query("SELECT version, space FROM documents WHERE state = $1 ORDER BY version")
            .bind(state)
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("listing work"))?;
        found
            .iter()
            .map(|row| Ok((get(row, "version")?, get(row, "space")?)))
            .collect()
    }

    /// The files of bytes that are still needed.
    pub(crate) async fn staged(&self) -> Result<Vec<String>, Error> {
        let mut reading = self.reading().await?;
        let found = sqlx::query("SELECT staged FROM documents WHERE state = 1")
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("listing work"))?;
        found.iter().map(|row| get(row, "staged")).collect()
    }

    /// What is to be done about a version that waits; none if it waits no longer.
    pub(crate) async fn task(&self, version: i64) -> Result<Option<Task>, Error> {
        let mut reading = self.reading().await?;
        let row = sqlx::query(
            "SELECT d.version, d.space, d.id AS document, d.head, d.size, d.staged, s.id AS space_id, s.model, \
             s.language, s.target_tokens, s.max_tokens, s.overlap_tokens \
             FROM documents d JOIN spaces s ON s.key = d.space WHERE d.version = $1 AND d.state = 1 AND s.gone = 0",
        )
        .bind(version)
        .fetch_optional(&mut *reading)
        .await
        .map_err(Error::ledger("reading work"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Task {
            version,
            space: get(&row, "space")?,
            space_id: get(&row, "space_id")?,
            document: get(&row, "document")?,
            head: rows::head(&row)?,
            size: rows::count(&row, "size")?,
            staged: get(&row, "staged")?,
            chunking: rows::chunking(&row)?,
            language: get(&row, "language")?,
            model: get(&row, "model")?,
        }))
    }

    /// Writes the passages of versions that waited, and gives those that still did.
    pub(crate) async fn write_passages(&self, written: &[Written]) -> Result<Vec<i64>, Error> {
        let writing_them = || Error::ledger("writing passages");
        let mut writing = self.begin().await?;
        let mut taken = Vec::with_capacity(written.len());
        for one in written {
            let Prepared {
                media_type,
                title,
                language,
                doc_type,
                passages,
            } = &one.prepared;
            let doc_type = doc_type.as_ref().map(rows::to_json).transpose()?;
            let done = sqlx::query(
                "UPDATE documents SET state = 2, title = $1, media_type = $2, doc_type = $3, language = $4, \
                 passages = $5, updated = $6 WHERE version = $7 AND state = 1",
            )
            .bind(title.clone())
            .bind(media_type.clone())
            .bind(doc_type)
            .bind(language.clone())
            .bind(passages.len() as i64)
            .bind(micros(SystemTime::now()))
            .bind(one.version)
            .execute(&mut *writing)
            .await
            .map_err(writing_them())?;
            if done.rows_affected() == 0 {
                continue;
            }
            let bytes = passages::insert(&mut writing, one.version, &one.passages).await?;
            sqlx::query("UPDATE documents SET bytes = $1 WHERE version = $2")
                .bind(bytes as i64)
                .bind(one.version)
                .execute(&mut *writing)
                .await
                .map_err(writing_them())?;
            taken.push(one.version);
        }
        writing.commit().await.map_err(writing_them())?;
        Ok(taken)
    }

    /// Versions of the space that are to be indexed, oldest first: so many as have `most` passages, at least one.
    pub(crate) async fn indexing_in(&self, space: i64, most: usize) -> Result<Vec<i64>, Error> {
        let mut reading = self.reading().await?;
        let found = sqlx::query(
            "SELECT version, passages FROM documents WHERE space = $1 AND state = 2 ORDER BY version",
        )
        .bind(space)
        .fetch_all(&mut *reading)
        .await
        .map_err(Error::ledger("listing work"))?;
        let mut versions = Vec::new();
        let mut passages = 0;
        for row in &found {
            passages += rows::count(row, "passages")?;
            if !versions.is_empty() && passages > most as u64 {
                break;
            }
            versions.push(get(row, "version")?);
        }
        Ok(versions)
    }

    /// Both indexes have these versions of one space: searches see them from here on, and no longer those before them.
    /// Gives the versions that are ready now.
    pub(crate) async fn make_ready(&self, space: i64, versions: &[i64]) -> Result<Vec<i64>, Error> {
        let finishing = || Error::ledger("making documents ready");
        let now = micros(SystemTime::now());
        let mut writing = self.begin().await?;
        let mut ready = Vec::with_capacity(versions.len());
        for &version in versions {
            sqlx::query(
                "UPDATE documents SET state = 5, updated = $1 WHERE space = $2 AND state = 3 AND id = \
                 (SELECT id FROM documents WHERE version = $3 AND state = 2)",
            )
            .bind(now)
            .bind(space)
            .bind(version)
            .execute(&mut *writing)
            .await
            .map_err(finishing())?;
            let done = sqlx::query(
                "UPDATE documents SET state = 3, staged = '', updated = $1 WHERE version = $2 AND state = 2",
            )
            .bind(now)
            .bind(version)
            .execute(&mut *writing)
            .await
            .map_err(finishing())?;
            if done.rows_affected() > 0 {
                ready.push(version);
            }
        }
        if !ready.is_empty() {
            advance_epoch(&mut writing, space).await?;
        }
        writing.commit().await.map_err(finishing())?;
        Ok(ready)
    }

    /// Versions cannot be taken in, for one reason. Where an earlier one is ready, that stays and this is gone.
    pub(crate) async fn fail(&self, versions: &[i64], failure: &Failure) -> Result<(), Error> {
        let failing = || Error::ledger("writing a failure");
        let failure = rows::to_json(failure)?;
        let mut writing = self.begin().await?;
        for versions in versions.chunks(MOST_LISTED) {
            let statement = format!(
                "UPDATE documents SET failure = $1, updated = $2, staged = '', state = CASE WHEN EXISTS (SELECT 1 FROM \
                 documents r WHERE r.space = documents.space AND r.id = documents.id AND r.state = 3) THEN 5 ELSE 4 END \
                 WHERE version IN ({}) AND state IN (1, 2)",
                listed(versions)
            );
            sqlx::query(AssertSqlSafe(statement))
                .persistent(false)
                .bind(failure.clone())
                .bind(micros(SystemTime::now()))
                .execute(&mut *writing)
                .await
                .map_err(failing())?;
        }
        writing.commit().await.map_err(failing())
    }

    /// How versions are, whatever became of them; those that are gone are not among them.
    pub(crate) async fn fates(&self, versions: &[i64]) -> Result<HashMap<i64, Fate>, Error> {
        let mut reading = self.reading().await?;
        let mut fates = HashMap::with_capacity(versions.len());
        for versions in versions.chunks(MOST_LISTED) {
            let statement = format!(
                "SELECT version, state, failure FROM documents WHERE version IN ({}) AND state < 5",
                listed(versions)
            );
            let found = sqlx::query(AssertSqlSafe(statement))
                .persistent(false)
                .fetch_all(&mut *reading)
                .await
                .map_err(Error::ledger("finding documents"))?;
            for row in &found {
                let fate = Fate {
                    state: rows::state(row)?,
                    failure: rows::failure(row)?,
                };
                fates.insert(get(row, "version")?, fate);
            }
        }
        Ok(fates)
    }

    /// Forgets versions that are gone from both indexes.
    pub(crate) async fn forget(&self, versions: &[i64]) -> Result<(), Error> {
        let forgetting = || Error::ledger("forgetting documents");
        if versions.is_empty() {
            return Ok(());
        }
        let these = listed(versions);
        let mut writing = self.begin().await?;
        for statement in [
            format!(
                "DELETE FROM passages WHERE version IN (SELECT version FROM documents WHERE version IN ({these}) AND \
                 state = 5)"
            ),
            format!("DELETE FROM documents WHERE version IN ({these}) AND state = 5"),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .persistent(false)
                .execute(&mut *writing)
                .await
                .map_err(forgetting())?;
        }
        writing.commit().await.map_err(forgetting())
    }
}
