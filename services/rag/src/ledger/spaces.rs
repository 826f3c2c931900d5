//! Spaces in the ledger: made, found by who owns them, changed, and gone.

use std::time::SystemTime;

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use sqlx::AnyConnection;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::requests::Request;
use super::rows::{self, get};
use super::{Ledger, take_numbers};
use crate::Error;
use crate::domain::time::micros;
use crate::domain::{Chunking, NewSpace, Space, SpaceChange};

/// A space that was found to be the caller's. Only this file makes one.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) key: i64,
    pub(crate) owner: String,
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) language: Option<String>,
    pub(crate) chunking: Chunking,
    pub(crate) epoch: u64,
    /// Nobody else can write this field, so nobody else can make the whole.
    _made_here: (),
}

/// A space with the counts of its documents.
const SPACE: &str = "SELECT s.*, \
    (SELECT COUNT(DISTINCT d.id) FROM documents d WHERE d.space = s.key AND d.state < 5) AS documents, \
    (SELECT CAST(COALESCE(SUM(d.passages), 0) AS BIGINT) FROM documents d WHERE d.space = s.key AND d.state = 3) \
        AS passages, \
    (SELECT CAST(COALESCE(SUM(d.bytes), 0) AS BIGINT) FROM documents d WHERE d.space = s.key AND d.state < 5) AS bytes \
    FROM spaces s";

// === impl Ledger ===

impl Ledger {
    /// Makes a space; a request that was answered before is given the same one again.
    ///
    /// # Errors
    /// ALREADY_EXISTS when the owner has one of that name.
    pub(crate) async fn create_space(
        &self,
        owner: &str,
        id: &str,
        new: &NewSpace,
        request: &Request,
    ) -> Result<Space, Error> {
        let mut writing = self.begin().await?;
        // First: it makes whoever makes a space with another replica wait until this one is there to be seen.
        let key = take_numbers(&mut writing, "space", 1).await?;
        if let Some(made) = request.answered(&mut writing, owner).await? {
            return space_of(&mut writing, owner, &made)
                .await?
                .ok_or_else(|| unknown(&made));
        }
        if space_of(&mut writing, owner, id).await?.is_some() {
            let text = format!("spaces/{id} is there already; choose another space_id");
            return Err(Fault::new(Kind::AlreadyExists, "SPACE_EXISTS", text).into());
        }
        insert_space(&mut writing, key, owner, id, new, false).await?;
        request.answer(&mut writing, owner, id).await?;
        let space = space_of(&mut writing, owner, id)
            .await?
            .ok_or_else(|| unknown(id))?;
        writing.commit().await.map_err(Error::ledger("making a space"))?;
        Ok(space)
    }

    /// The space of this name that is the caller's.
    ///
    /// # Errors
    /// NOT_FOUND when there is none, whosever else has one of this name.
    pub(crate) async fn owned(&self, caller: &Caller, id: &str) -> Result<Owned, Error> {
        let mut reading = self.reading().await?;
        for owner in caller.names() {
            let row = sqlx::query("SELECT * FROM spaces WHERE owner = $1 AND id = $2 AND gone = 0")
                .bind(owner.to_owned())
                .bind(id.to_owned())
                .fetch_optional(&mut *reading)
                .await
                .map_err(Error::ledger("finding a space"))?;
            if let Some(row) = row {
                return owned(&row);
            }
        }
        Err(unknown(id))
    }

    /// A space that has work to do, whether it is to be seen or gone. Nobody asks: the work is the owner's.
    pub(crate) async fn at_work(&self, key: i64) -> Result<Option<Owned>, Error> {
        let mut reading = self.reading().await?;
        let row = sqlx::query("SELECT * FROM spaces WHERE key = $1")
            .bind(key)
            .fetch_optional(&mut *reading)
            .await
            .map_err(Error::ledger("finding a space"))?;
        row.map(|row| owned(&row)).transpose()
    }

    /// A space as its owner sees it.
    pub(crate) async fn space(&self, key: i64) -> Result<Space, Error> {
        let mut reading = self.reading().await?;
        let row = sqlx::query(AssertSqlSafe(format!("{SPACE} WHERE s.key = $1 AND s.gone = 0")))
            .bind(key)
            .fetch_optional(&mut *reading)
            .await
            .map_err(Error::ledger("reading a space"))?;
        row.map_or_else(|| Err(unknown("")), |row| rows::space(&row))
    }

    /// At most `most` spaces of the caller after the one of this id, by id.
    pub(crate) async fn list_spaces(
        &self,
        caller: &Caller,
        after: &str,
        most: usize,
    ) -> Result<Vec<Space>, Error> {
        let mut reading = self.reading().await?;
        let mut found = Vec::new();
        for owner in caller.names() {
            let statement =
                format!("{SPACE} WHERE s.owner = $1 AND s.id > $2 AND s.gone = 0 ORDER BY s.id LIMIT $3");
            let rows = sqlx::query(AssertSqlSafe(statement))
                .bind(owner.to_owned())
                .bind(after.to_owned())
                .bind(most as i64)
                .fetch_all(&mut *reading)
                .await
                .map_err(Error::ledger("listing spaces"))?;
            for row in &rows {
                found.push(rows::space(row)?);
            }
        }
        found.sort_by(|a: &Space, b| a.id.cmp(&b.id));
        found.truncate(most);
        Ok(found)
    }

    /// Changes a space.
    ///
    /// # Errors
    /// ABORTED for an older version, FAILED_PRECONDITION for another model once there is a document.
    pub(crate) async fn update_space(&self, key: i64, change: &SpaceChange) -> Result<Space, Error> {
        let changing = || Error::ledger("changing a space");
        let mut writing = self.begin().await?;
        let old = space_by_key(&mut writing, key).await?;
        check_etag(&old, &change.etag)?;
        let model = change.embedding_model.as_ref().unwrap_or(&old.embedding_model);
        if *model != old.embedding_model && has_versions(&mut writing, key).await? {
            let text = format!(
                "spaces/{} has documents, whose vectors are of {}; delete them first, or make another space",
                old.id, old.embedding_model
            );
            return Err(Fault::new(Kind::FailedPrecondition, "MODEL_FIXED", text).into());
        }
        let chunking = change.chunking.unwrap_or(old.chunking);
        sqlx::query(
            "UPDATE spaces SET display_name = $1, model = $2, language = $3, target_tokens = $4, max_tokens = $5, \
             overlap_tokens = $6, version = version + 1, updated = $7 WHERE key = $8",
        )
        .bind(change.display_name.clone().unwrap_or(old.display_name))
        .bind(model.clone())
        .bind(change.language.clone().unwrap_or(old.language))
        .bind(i64::from(chunking.target_tokens))
        .bind(i64::from(chunking.max_tokens))
        .bind(i64::from(chunking.overlap_tokens))
        .bind(micros(SystemTime::now()))
        .bind(key)
        .execute(&mut *writing)
        .await
        .map_err(changing())?;
        let space = space_by_key(&mut writing, key).await?;
        writing.commit().await.map_err(changing())?;
        Ok(space)
    }

    /// Hides a space for ever, with its documents; what is left of it is work.
    ///
    /// # Errors
    /// ABORTED for an older version, FAILED_PRECONDITION when there are documents and `force` is not set.
    pub(crate) async fn delete_space(&self, key: i64, force: bool, etag: &str) -> Result<(), Error> {
        let deleting = || Error::ledger("deleting a space");
        let mut writing = self.begin().await?;
        let old = space_by_key(&mut writing, key).await?;
        check_etag(&old, etag)?;
        if old.documents > 0 && !force {
            let text = format!(
                "spaces/{} has {} documents; delete them first, or set force",
                old.id, old.documents
            );
            return Err(Fault::new(Kind::FailedPrecondition, "SPACE_NOT_EMPTY", text).into());
        }
        for statement in [
            "UPDATE spaces SET gone = key, epoch = epoch + 1, updated = $1 WHERE key = $2",
            "UPDATE documents SET state = 5, updated = $1 WHERE space = $2",
        ] {
            sqlx::query(statement)
                .bind(micros(SystemTime::now()))
                .bind(key)
                .execute(&mut *writing)
                .await
                .map_err(deleting())?;
        }
        writing.commit().await.map_err(deleting())
    }

    /// Spaces that are hidden and not yet forgotten.
    pub(crate) async fn gone_spaces(&self) -> Result<Vec<i64>, Error> {
        self.numbers("SELECT key AS number FROM spaces WHERE gone <> 0 ORDER BY key")
            .await
    }

    /// All spaces that are to be seen.
    pub(crate) async fn live_spaces(&self) -> Result<Vec<i64>, Error> {
        self.numbers("SELECT key AS number FROM spaces WHERE gone = 0 ORDER BY key")
            .await
    }

    /// Forgets a space that neither index knows any more, with whatever is left of its documents.
    pub(crate) async fn forget_space(&self, key: i64) -> Result<(), Error> {
        let forgetting = || Error::ledger("forgetting a space");
        let mut writing = self.begin().await?;
        for statement in [
            "DELETE FROM passages WHERE version IN (SELECT version FROM documents WHERE space = $1)",
            "DELETE FROM documents WHERE space = $1",
            "DELETE FROM spaces WHERE key = $1 AND gone <> 0",
        ] {
            sqlx::query(statement)
                .bind(key)
                .execute(&mut *writing)
                .await
                .map_err(forgetting())?;
        }
        writing.commit().await.map_err(forgetting())
    }

    pub(super) async fn numbers(&self, statement: &'static str) -> Result<Vec<i64>, Error> {
        let mut reading = self.reading().await?;
        let rows = sqlx::query(statement)
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("listing"))?;
        rows.iter().map(|row| get(row, "number")).collect()
    }
}

fn owned(row: &AnyRow) -> Result<Owned, Error> {
    Ok(Owned {
        key: get(row, "key")?,
        owner: get(row, "owner")?,
        id: get(row, "id")?,
        model: get(row, "model")?,
        language: get(row, "language")?,
        chunking: rows::chunking(row)?,
        epoch: rows::count(row, "epoch")?,
        _made_here: (),
    })
}

/// Writes the row of a new space, which nobody sees while it is hidden.
pub(super) async fn insert_space(
    writing: &mut AnyConnection,
    key: i64,
    owner: &str,
    id: &str,
    new: &NewSpace,
    hidden: bool,
) -> Result<(), Error> {
    let now = micros(SystemTime::now());
    sqlx::query(
        "INSERT INTO spaces (key, owner, id, display_name, model, language, target_tokens, max_tokens, \
         overlap_tokens, epoch, version, gone, created, updated) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 1, $10, $11, $11)",
    )
    .bind(key)
    .bind(owner.to_owned())
    .bind(id.to_owned())
    .bind(new.display_name.clone())
    .bind(new.embedding_model.clone())
    .bind(new.language.clone())
    .bind(i64::from(new.chunking.target_tokens))
    .bind(i64::from(new.chunking.max_tokens))
    .bind(i64::from(new.chunking.overlap_tokens))
    .bind(if hidden { key } else { 0 })
    .bind(now)
    .execute(writing)
    .await
    .map_err(Error::ledger("making a space"))?;
    Ok(())
}

/// Whether there is any version of a document, even one that is going.
async fn has_versions(reading: &mut AnyConnection, key: i64) -> Result<bool, Error> {
    let row = sqlx::query("SELECT version FROM documents WHERE space = $1 LIMIT 1")
        .bind(key)
        .fetch_optional(reading)
        .await
        .map_err(Error::ledger("counting documents"))?;
    Ok(row.is_some())
}

/// What is seen of a space grows with each change.
pub(super) async fn advance_epoch(writing: &mut AnyConnection, key: i64) -> Result<(), Error> {
    sqlx::query("UPDATE spaces SET epoch = epoch + 1, updated = $1 WHERE key = $2")
        .bind(micros(SystemTime::now()))
        .bind(key)
        .execute(writing)
        .await
        .map_err(Error::ledger("advancing an epoch"))?;
    Ok(())
}

pub(super) async fn space_of(
    reading: &mut AnyConnection,
    owner: &str,
    id: &str,
) -> Result<Option<Space>, Error> {
    let statement = format!("{SPACE} WHERE s.owner = $1 AND s.id = $2 AND s.gone = 0");
    let row = sqlx::query(AssertSqlSafe(statement))
        .bind(owner.to_owned())
        .bind(id.to_owned())
        .fetch_optional(reading)
        .await
        .map_err(Error::ledger("finding a space"))?;
    row.map(|row| rows::space(&row)).transpose()
}

async fn space_by_key(reading: &mut AnyConnection, key: i64) -> Result<Space, Error> {
    let row = sqlx::query(AssertSqlSafe(format!("{SPACE} WHERE s.key = $1 AND s.gone = 0")))
        .bind(key)
        .fetch_optional(reading)
        .await
        .map_err(Error::ledger("reading a space"))?;
    row.map_or_else(|| Err(unknown("")), |row| rows::space(&row))
}

fn check_etag(space: &Space, etag: &str) -> Result<(), Error> {
    if etag.is_empty() || etag == space.etag {
        return Ok(());
    }
    let text = format!(
        "spaces/{} was changed meanwhile; get it anew and try again",
        space.id
    );
    Err(Fault::new(Kind::Aborted, "SPACE_CHANGED", text).into())
}

/// The same words whether there is none or it is another's.
pub(super) fn unknown(id: &str) -> Error {
    let id: String = id.chars().take(128).collect();
    Fault::not_found(
        "space",
        format!("spaces/{id}"),
        "list the spaces to see which are yours",
    )
    .into()
}
