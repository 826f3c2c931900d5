//! Documents in the ledger: taken in, found, listed, and gone.

use std::time::SystemTime;

use polyphony_database::Dialect;
use polyphony_error::{Fault, Kind};
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::requests::Request;
use super::rows::{self, DOCUMENT, TAG_MARK, get};
use super::spaces::advance_epoch;
use super::{Ledger, take_numbers};
use crate::Error;
use crate::domain::time::micros;
use crate::domain::{Document, DocumentState, Failure, Head};
use crate::ingest::ConflictPolicy;

/// A document to take in, its bytes already kept.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The last part of its name.
    pub(crate) id: String,
    /// What the client says of it.
    pub(crate) head: Head,
    /// `sha256:` over its bytes.
    pub(crate) digest: String,
    /// How many they are.
    pub(crate) size: u64,
    /// The file they are in.
    pub(crate) staged: String,
}

/// What was decided of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Submitted {
    /// The last part of its name.
    pub(crate) id: String,
    /// What was decided.
    pub(crate) admission: Admission,
}

/// Whether a document is taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Admission {
    /// It is, as this version; its bytes are needed until that is ready.
    Taken(i64),
    /// The same is on its way already, as this version.
    Joined(i64),
    /// The same is there already.
    Unchanged,
    /// Another is there, and stays.
    Skipped,
    /// Another is there, and that is an error.
    Refused(Failure),
}

// === impl Admission ===

impl Admission {
    /// The version that is on its way.
    pub(crate) const fn version(&self) -> Option<i64> {
        match self {
            Self::Taken(version) | Self::Joined(version) => Some(*version),
            Self::Unchanged | Self::Skipped | Self::Refused(_) => None,
        }
    }
}

/// Which documents are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing<'a> {
    /// Only those in this state.
    pub(crate) state: Option<DocumentState>,
    /// Only those with all of these tags.
    pub(crate) tags: &'a [String],
    /// Only those after this id.
    pub(crate) after: &'a str,
    /// At most so many.
    pub(crate) most: usize,
}

/// What a row says of a version that is there.
struct There {
    version: i64,
    state: DocumentState,
    digest: String,
    head_digest: String,
}

// === impl Ledger ===

impl Ledger {
    /// Takes documents in, all or none; a request that was answered before gets the same answer.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when more than `most_waiting` would wait.
    pub(crate) async fn submit(
        &self,
        (owner, space): (&str, i64),
        wanted: &[Wanted],
        policy: ConflictPolicy,
        request: &Request,
        most_waiting: usize,
    ) -> Result<(Vec<Submitted>, bool), Error> {
        let taking = || Error::ledger("taking in documents");
        let mut writing = self.begin().await?;
        if let Some(answer) = request.answered(&mut writing, owner).await? {
            return Ok((rows::json(&answer, "the answer to a request")?, false));
        }
        check_room(&mut writing, wanted.len(), most_waiting).await?;
        let mut submitted = Vec::with_capacity(wanted.len());
        for one in wanted {
            let admission = admit(&mut writing, space, one, policy).await?;
            submitted.push(Submitted {
                id: one.id.clone(),
                admission,
            });
        }
        request
            .answer(&mut writing, owner, &rows::to_json(&submitted)?)
            .await?;
        writing.commit().await.map_err(taking())?;
        Ok((submitted, true))
    }

    /// A document as clients see it: the version on its way, else the one that is ready, else the one that failed.
    ///
    /// # Errors
    /// NOT_FOUND when there is none.
    pub(crate) async fn document(&self, space: i64, id: &str) -> Result<Document, Error> {
        let mut reading = self.reading().await?;
        let listing = format!(
            "SELECT {DOCUMENT} FROM documents WHERE space = $1 AND id = $2 AND state < 5 ORDER BY version"
        );
        let found = sqlx::query(AssertSqlSafe(listing))
            .bind(space)
            .bind(id.to_owned())
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("finding a document"))?;
        // Of a document that is ready and one that is to replace it, the later is told about.
        found.last().map_or_else(|| Err(unknown(id)), rows::document)
    }

    /// The version as it is, whatever became of it; none once it is gone.
    pub(crate) async fn version(&self, version: i64) -> Result<Option<Document>, Error> {
        let mut reading = self.reading().await?;
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT {DOCUMENT} FROM documents WHERE version = $1 AND state < 5"
        )))
        .bind(version)
        .fetch_optional(&mut *reading)
        .await
        .map_err(Error::ledger("finding a document"))?;
        row.as_ref().map(rows::document).transpose()
    }

    /// Documents by id.
    pub(crate) async fn list_documents(
        &self,
        space: i64,
        listing: &Listing<'_>,
    ) -> Result<Vec<Document>, Error> {
        let mut statement = format!(
            "SELECT {DOCUMENT} FROM documents d WHERE space = $1 AND id > $2 AND state < 5 AND NOT (state = 3 AND \
             EXISTS (SELECT 1 FROM documents p WHERE p.space = d.space AND p.id = d.id AND p.state < 3))"
        );
        let within = match self.database.dialect() {
            Dialect::Sqlite => "instr",
            Dialect::Postgres => "strpos",
        };
        for at in 0..listing.tags.len() {
            statement.push_str(&format!(" AND {within}(tags, ${}) > 0", at + 4));
        }
        if let Some(state) = listing.state {
            statement.push_str(&format!(" AND state = {}", state.number()));
        }
        statement.push_str(" ORDER BY id LIMIT $3");
        let mut query = sqlx::query(AssertSqlSafe(statement))
            .bind(space)
            .bind(listing.after.to_owned())
            .bind(listing.most as i64);
        for tag in listing.tags {
            query = query.bind(format!("{TAG_MARK}{tag}{TAG_MARK}"));
        }
        let mut reading = self.reading().await?;
        let found = query
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("listing documents"))?;
        found.iter().map(rows::document).collect()
    }

    /// Hides a document from searches at once, with whatever of it is on its way.
    ///
    /// # Errors
    /// NOT_FOUND when there is none.
    pub(crate) async fn delete_document(&self, space: i64, id: &str) -> Result<(), Error> {
        let deleting = || Error::ledger("deleting a document");
        let mut writing = self.begin().await?;
        let done = sqlx::query(
            "UPDATE documents SET state = 5, updated = $1 WHERE space = $2 AND id = $3 AND state < 5",
        )
        .bind(micros(SystemTime::now()))
        .bind(space)
        .bind(id.to_owned())
        .execute(&mut *writing)
        .await
        .map_err(deleting())?;
        if done.rows_affected() == 0 {
            return Err(unknown(id));
        }
        advance_epoch(&mut writing, space).await?;
        writing.commit().await.map_err(deleting())
    }
}

async fn check_room(reading: &mut AnyConnection, more: usize, most: usize) -> Result<(), Error> {
    let row = sqlx::query("SELECT COUNT(*) AS waiting FROM documents WHERE state = 1")
        .fetch_one(reading)
        .await
        .map_err(Error::ledger("counting documents"))?;
    let waiting = rows::count(&row, "waiting")?;
    if waiting + more as u64 <= most as u64 {
        return Ok(());
    }
    let text = format!("{waiting} documents wait already and {most} may (rag.max_waiting); send these later");
    let retry = std::time::Duration::from_secs(30);
    Err(Fault::exhausted("DOCUMENTS_WAITING", "rag.max_waiting", text, Some(retry)).into())
}

/// Decides what becomes of one document, and writes its row if it is taken.
async fn admit(
    writing: &mut AnyConnection,
    space: i64,
    wanted: &Wanted,
    policy: ConflictPolicy,
) -> Result<Admission, Error> {
    let taking = || Error::ledger("taking in a document");
    let head = rows::to_json(&wanted.head)?;
    let head_digest = digest_of(&head);
    let there = sqlx::query(
        "SELECT version, state, digest, head_digest FROM documents WHERE space = $1 AND id = $2 AND state < 4 \
         ORDER BY version DESC LIMIT 1",
    )
    .bind(space)
    .bind(wanted.id.clone())
    .fetch_optional(&mut *writing)
    .await
    .map_err(taking())?;
    if let Some(there) = there.map(|row| There::of(&row)).transpose()? {
        if there.digest == wanted.digest && there.head_digest == head_digest {
            return Ok(match there.state {
                DocumentState::Ready => Admission::Unchanged,
                _ => Admission::Joined(there.version),
            });
        }
        match policy {
            ConflictPolicy::Replace => {}
            ConflictPolicy::Skip => return Ok(Admission::Skipped),
            ConflictPolicy::Fail => {
                let text = format!(
                    "documents/{} is there already with other content; delete it first, or ask for REPLACE",
                    wanted.id
                );
                let fault = Fault::new(Kind::AlreadyExists, "DOCUMENT_EXISTS", text);
                return Ok(Admission::Refused(Failure::from(&fault)));
            }
        }
    }
    let now = micros(SystemTime::now());
    // What failed, or was on its way, gives place; what is ready stays until this is.
    sqlx::query(
        "UPDATE documents SET state = 5, updated = $1 WHERE space = $2 AND id = $3 AND state IN (1, 2, 4)",
    )
    .bind(now)
    .bind(space)
    .bind(wanted.id.clone())
    .execute(&mut *writing)
    .await
    .map_err(taking())?;
    let version = take_numbers(writing, "version", 1).await?;
    let of_head = &wanted.head;
    sqlx::query(
        "INSERT INTO documents (version, space, id, state, title, media_type, doc_type, tags, time, language, head, \
         head_digest, size, digest, staged, failure, passages, bytes, created, updated) \
         VALUES ($1, $2, $3, 1, $4, $5, NULL, $6, $7, $8, $9, $10, $11, $12, $13, NULL, 0, $11, $14, $14)",
    )
    .bind(version)
    .bind(space)
    .bind(wanted.id.clone())
    .bind(of_head.title.clone().unwrap_or_default())
    .bind(of_head.media_type.clone())
    .bind(rows::marked(&of_head.tags))
    .bind(of_head.time.map(micros))
    .bind(of_head.language.clone())
    .bind(head)
    .bind(head_digest)
    .bind(i64::try_from(wanted.size).unwrap_or(i64::MAX))
    .bind(wanted.digest.clone())
    .bind(wanted.staged.clone())
    .bind(now)
    .execute(writing)
    .await
    .map_err(taking())?;
    Ok(Admission::Taken(version))
}

/// `sha256:` over a text.
pub(super) fn digest_of(text: &str) -> String {
    use sha2::{Digest, Sha256};

    crate::staging::spelled(&Sha256::digest(text.as_bytes()))
}

fn unknown(id: &str) -> Error {
    let id: String = id.chars().take(128).collect();
    let remedy = "list the documents of the space to see what is there";
    Fault::not_found("document", format!("documents/{id}"), remedy).into()
}

// === impl There ===

impl There {
    fn of(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            version: get(row, "version")?,
            state: rows::state(row)?,
            digest: get(row, "digest")?,
            head_digest: get(row, "head_digest")?,
        })
    }
}
