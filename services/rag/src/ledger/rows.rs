//! Rows of the ledger made into nouns, each column once.

use polyphony_error::Fault;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::Error;
use crate::domain::time::of_micros;
use crate::domain::{Chunking, DocType, Document, DocumentState, Failure, Head, Space};

/// What parts the tags of a document from each other, so that one can be looked for within a text.
pub(super) const TAG_MARK: char = '\u{1f}';

pub(super) fn get<'r, T>(row: &'r AnyRow, column: &'static str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(column).map_err(Error::ledger("reading a row"))
}

/// A number that is a count.
pub(super) fn count(row: &AnyRow, column: &'static str) -> Result<u64, Error> {
    let number: i64 = get(row, column)?;
    u64::try_from(number).map_err(|_| Error::damaged(format!("{column} is {number}")))
}

pub(super) fn small_count(row: &AnyRow, column: &'static str) -> Result<u32, Error> {
    let number: i64 = get(row, column)?;
    u32::try_from(number).map_err(|_| Error::damaged(format!("{column} is {number}")))
}

/// What is written as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::damaged(format!("{what} cannot be read: {error}")))
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Request(Fault::internal(error)))
}

pub(super) fn chunking(row: &AnyRow) -> Result<Chunking, Error> {
    Ok(Chunking {
        target_tokens: small_count(row, "target_tokens")?,
        max_tokens: small_count(row, "max_tokens")?,
        overlap_tokens: small_count(row, "overlap_tokens")?,
    })
}

/// What a client says of the document.
pub(super) fn head(row: &AnyRow) -> Result<Head, Error> {
    let text: String = get(row, "head")?;
    json(&text, "what a client says of a document")
}

/// What kind the document is, once that is decided.
pub(super) fn doc_type(row: &AnyRow) -> Result<Option<DocType>, Error> {
    let text: Option<String> = get(row, "doc_type")?;
    text.map(|text| json(&text, "a document's kind")).transpose()
}

/// A row of `spaces` with its counts beside it.
pub(super) fn space(row: &AnyRow) -> Result<Space, Error> {
    let version: i64 = get(row, "version")?;
    Ok(Space {
        id: get(row, "id")?,
        display_name: get(row, "display_name")?,
        owner: get(row, "owner")?,
        embedding_model: get(row, "model")?,
        language: get(row, "language")?,
        chunking: chunking(row)?,
        documents: count(row, "documents")?,
        passages: count(row, "passages")?,
        size_bytes: count(row, "bytes")?,
        epoch: count(row, "epoch")?,
        etag: format!("{version:x}"),
        created: of_micros(get(row, "created")?),
        updated: of_micros(get(row, "updated")?),
    })
}

/// The columns that [`document`] reads.
pub(super) const DOCUMENT: &str = "version, id, state, title, media_type, doc_type, tags, time, language, head, size, \
                                   digest, failure, passages, created, updated";

pub(super) fn state(row: &AnyRow) -> Result<DocumentState, Error> {
    let number: i64 = get(row, "state")?;
    let state = DocumentState::of_number(number);
    state.ok_or_else(|| Error::damaged(format!("a document is in state {number}")))
}

/// Why the document failed, if it did.
pub(super) fn failure(row: &AnyRow) -> Result<Option<Failure>, Error> {
    let text: Option<String> = get(row, "failure")?;
    text.map(|text| json(&text, "a document's failure")).transpose()
}

pub(super) fn document(row: &AnyRow) -> Result<Document, Error> {
    let head = head(row)?;
    let time: Option<i64> = get(row, "time")?;
    let tags: String = get(row, "tags")?;
    Ok(Document {
        id: get(row, "id")?,
        title: get(row, "title")?,
        source_uri: head.source_uri,
        media_type: get(row, "media_type")?,
        doc_type: doc_type(row)?,
        tags: tags_of(&tags),
        metadata: head.metadata,
        time: time.map(of_micros),
        language: get(row, "language")?,
        size_bytes: count(row, "size")?,
        digest: get(row, "digest")?,
        state: state(row)?,
        failure: failure(row)?,
        passages: small_count(row, "passages")?,
        created: of_micros(get(row, "created")?),
        updated: of_micros(get(row, "updated")?),
    })
}

/// Tags as they are written: a mark before, between and after them.
pub(super) fn marked(tags: &[String]) -> String {
    let mut text = String::from(TAG_MARK);
    for tag in tags {
        text.push_str(tag);
        text.push(TAG_MARK);
    }
    text
}

pub(super) fn tags_of(marked: &str) -> Vec<String> {
    let tags = marked.split(TAG_MARK).filter(|tag| !tag.is_empty());
    tags.map(str::to_owned).collect()
}
