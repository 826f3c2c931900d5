//! Passages in the ledger: what searches show, and all that the indexes are made of.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::Any;
use sqlx::AnyConnection;
use sqlx::AssertSqlSafe;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use uuid::Uuid;

use super::rows::{self, get};
use super::{Ledger, listed, take_numbers};
use crate::Error;
use crate::domain::time::of_micros;
use crate::domain::{DocType, Passage, PassageId, Place};

/// A passage to write.
#[derive(Debug, Clone)]
pub(crate) struct NewPassage {
    pub(crate) id: PassageId,
    pub(crate) passage: Passage,
    pub(crate) vector: Vec<f32>,
}

/// A passage of a ready document, for who searches: what is shown, and no vector.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) key: i64,
    pub(crate) id: PassageId,
    pub(crate) document: String,
    pub(crate) title: String,
    pub(crate) doc_type: Option<DocType>,
    pub(crate) language: Option<String>,
    pub(crate) passage: Passage,
}

/// A passage for the indexes, or for an archive.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) key: i64,
    pub(crate) id: PassageId,
    pub(crate) passage: Passage,
    pub(crate) vector: Vec<f32>,
    pub(crate) about: Arc<About>,
}

/// What a passage's document gives to it.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) document: String,
    pub(crate) title: String,
    pub(crate) doc_type: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) time: Option<SystemTime>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) language: Option<String>,
}

/// A place as it is written. Times are microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum WrittenPlace {
    Page { page: u32, outline: Vec<[f32; 2]> },
    Time { start: u64, end: u64 },
}

pub(super) const ABOUT: &str = "d.id AS document, d.title, d.doc_type, d.tags, d.time, d.head, d.language";

/// Passages by their keys, and then the documents that they are of. SQLite keeps to the order of a `CROSS JOIN`; left alone
/// it reads all ready documents first, whatever their number.
pub(super) const OF_KEYS: &str =
    "FROM passages p CROSS JOIN documents d WHERE d.version = p.version AND p.key IN";

/// Numbers in a statement. Few of them are its parameters, filled up with the last one to a number of which there are not
/// many, so that the database knows the statement from the last time; many stand in its text.
enum List<'a> {
    Parameters { keys: &'a [i64], places: usize },
    Text(&'a [i64]),
}

// === impl List ===

impl<'a> List<'a> {
    const LEAST: usize = 16;
    const MOST: usize = 128;

    fn of(keys: &'a [i64]) -> Self {
        match keys.len() {
            ..=Self::MOST => Self::Parameters {
                keys,
                places: keys.len().next_power_of_two().max(Self::LEAST),
            },
            _ => Self::Text(keys),
        }
    }

    /// As it stands in the statement; its parameters are those from the second on.
    fn text(&self) -> String {
        match self {
            Self::Parameters { places, .. } => {
                let places: Vec<String> = (0..*places).map(|place| format!("${}", place + 2)).collect();
                places.join(",")
            }
            Self::Text(keys) => listed(keys),
        }
    }

    fn bind<'q>(&self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        match *self {
            Self::Parameters { keys, places } => {
                let rest = keys.last().into_iter().cycle().take(places - keys.len());
                keys.iter().chain(rest).fold(query, |query, key| query.bind(*key))
            }
            // The text is another each time.
            Self::Text(_) => query.persistent(false),
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// The passages of these numbers that searches of the space may show, and the epoch that says so.
    pub(crate) async fn load(&self, space: i64, keys: &[i64]) -> Result<(HashMap<i64, Loaded>, u64), Error> {
        if keys.is_empty() {
            return Ok((HashMap::new(), self.epoch(space).await?));
        }
        let list = List::of(keys);
        let statement = format!(
            "SELECT p.key, p.ordinal, p.id, p.text, p.headings, p.first, p.last, p.place, p.tokens, d.id AS document, \
             d.title, d.doc_type, d.language, (SELECT epoch FROM spaces WHERE key = $1) AS epoch \
             {OF_KEYS} ({}) AND d.space = $1 AND d.state = 3",
            list.text()
        );
        let mut reading = self.reading().await?;
        let query = list.bind(sqlx::query(AssertSqlSafe(statement)).bind(space));
        let found = query
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("reading passages"))?;
        drop(reading);
        let epoch = match found.first() {
            Some(row) => rows::count(row, "epoch")?,
            None => self.epoch(space).await?,
        };
        let loaded = found.iter().map(loaded);
        let loaded = loaded.map(|loaded| loaded.map(|loaded| (loaded.key, loaded)));
        Ok((loaded.collect::<Result<_, _>>()?, epoch))
    }

    /// The vectors of these passages.
    pub(crate) async fn vectors(&self, space: i64, keys: &[i64]) -> Result<HashMap<i64, Vec<f32>>, Error> {
        let statement = format!(
            "SELECT p.key, p.vector {OF_KEYS} ({}) AND d.space = $1 AND d.state = 3",
            listed(keys)
        );
        let mut reading = self.reading().await?;
        let found = sqlx::query(AssertSqlSafe(statement))
            .bind(space)
            .persistent(false)
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("reading vectors"))?;
        found
            .iter()
            .map(|row| Ok((get(row, "key")?, vector(row)?)))
            .collect()
    }

    /// The epoch of a space as it is now.
    pub(crate) async fn epoch(&self, space: i64) -> Result<u64, Error> {
        let mut reading = self.reading().await?;
        let row = sqlx::query("SELECT epoch FROM spaces WHERE key = $1")
            .bind(space)
            .fetch_optional(&mut *reading)
            .await
            .map_err(Error::ledger("reading an epoch"))?;
        row.map_or(Ok(0), |row| rows::count(&row, "epoch"))
    }

    /// The passages of these numbers that are of ready documents of the space.
    pub(crate) async fn ready_passages_of(&self, space: i64, keys: &[i64]) -> Result<Vec<Stored>, Error> {
        let statement = format!(
            "SELECT p.*, {ABOUT} {OF_KEYS} ({}) AND d.space = $1 AND d.state = 3 ORDER BY p.key",
            listed(keys)
        );
        let mut reading = self.reading().await?;
        let found = sqlx::query(AssertSqlSafe(statement))
            .bind(space)
            .persistent(false)
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("reading passages"))?;
        stored(&found)
    }

    /// The passages of versions, in order.
    pub(crate) async fn passages_of(&self, versions: &[i64]) -> Result<Vec<Stored>, Error> {
        let statement = format!(
            "SELECT p.*, {ABOUT} FROM passages p JOIN documents d ON d.version = p.version \
             WHERE p.version IN ({}) ORDER BY p.version, p.ordinal",
            listed(versions)
        );
        let mut reading = self.reading().await?;
        let found = sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("reading passages"))?;
        stored(&found)
    }

    /// The numbers of the passages of ready documents, in order.
    pub(crate) async fn ready_keys(&self, space: i64) -> Result<Vec<i64>, Error> {
        self.keys("d.space = $1 AND d.state = 3", space).await
    }

    /// The numbers of all passages that the indexes may know of the space, of whatever state.
    pub(crate) async fn all_keys(&self, space: i64) -> Result<Vec<i64>, Error> {
        self.keys("d.space = $1", space).await
    }

    /// The numbers of the passages of one version.
    pub(crate) async fn keys_of(&self, version: i64) -> Result<Vec<i64>, Error> {
        self.keys("d.version = $1", version).await
    }

    async fn keys(&self, which: &'static str, number: i64) -> Result<Vec<i64>, Error> {
        let statement = format!(
            "SELECT p.key FROM passages p JOIN documents d ON d.version = p.version WHERE {which} ORDER BY p.key"
        );
        let mut reading = self.reading().await?;
        let found = sqlx::query(AssertSqlSafe(statement))
            .bind(number)
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("listing passages"))?;
        found.iter().map(|row| get(row, "key")).collect()
    }

    /// The passages that this document has already, by their ids: the same text need not be embedded again.
    pub(crate) async fn known_passages(
        &self,
        space: i64,
        document: &str,
    ) -> Result<HashMap<PassageId, Stored>, Error> {
        let statement = format!(
            "SELECT p.*, {ABOUT} FROM passages p JOIN documents d ON d.version = p.version \
             WHERE d.space = $1 AND d.id = $2 AND d.state = 3"
        );
        let mut reading = self.reading().await?;
        let found = sqlx::query(AssertSqlSafe(statement))
            .bind(space)
            .bind(document.to_owned())
            .fetch_all(&mut *reading)
            .await
            .map_err(Error::ledger("reading vectors"))?;
        Ok(stored(&found)?
            .into_iter()
            .map(|stored| (stored.id, stored))
            .collect())
    }
}

/// Writes passages of a version, and gives how many bytes they are.
pub(super) async fn insert(
    writing: &mut AnyConnection,
    version: i64,
    passages: &[NewPassage],
) -> Result<u64, Error> {
    let first = take_numbers(writing, "passage", passages.len()).await?;
    let mut bytes = 0;
    for (key, new) in (first..).zip(passages) {
        let NewPassage { id, passage, vector } = new;
        let headings = rows::to_json(&passage.headings[..].iter().collect::<Vec<_>>())?;
        let place = passage.place.as_ref().map(WrittenPlace::from);
        let place = place.as_ref().map(rows::to_json).transpose()?;
        bytes += (passage.text.len() + headings.len() + 4 * vector.len()) as u64;
        sqlx::query(
            "INSERT INTO passages (key, version, ordinal, id, text, headings, first, last, place, tokens, vector) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(key)
        .bind(version)
        .bind(i64::from(passage.ordinal))
        .bind(id.to_string())
        .bind(passage.text.clone())
        .bind(headings)
        .bind(passage.range.start as i64)
        .bind(passage.range.end as i64)
        .bind(place)
        .bind(i64::from(passage.tokens))
        .bind(to_bytes(vector))
        .execute(&mut *writing)
        .await
        .map_err(Error::ledger("writing passages"))?;
    }
    Ok(bytes)
}

fn loaded(row: &AnyRow) -> Result<Loaded, Error> {
    Ok(Loaded {
        key: get(row, "key")?,
        id: passage_id(row)?,
        document: get(row, "document")?,
        title: get(row, "title")?,
        doc_type: rows::doc_type(row)?,
        language: get(row, "language")?,
        passage: passage(row)?,
    })
}

/// Rows of one version follow each other and share what is said of their document.
pub(super) fn stored(found: &[AnyRow]) -> Result<Vec<Stored>, Error> {
    let mut abouts: HashMap<i64, Arc<About>> = HashMap::new();
    let mut all = Vec::with_capacity(found.len());
    for row in found {
        let version: i64 = get(row, "version")?;
        let about = match abouts.get(&version) {
            Some(about) => Arc::clone(about),
            None => {
                let about = Arc::new(about(row)?);
                abouts.insert(version, Arc::clone(&about));
                about
            }
        };
        all.push(Stored {
            key: get(row, "key")?,
            id: passage_id(row)?,
            passage: passage(row)?,
            vector: vector(row)?,
            about,
        });
    }
    Ok(all)
}

fn about(row: &AnyRow) -> Result<About, Error> {
    let tags: String = get(row, "tags")?;
    let time: Option<i64> = get(row, "time")?;
    Ok(About {
        document: get(row, "document")?,
        title: get(row, "title")?,
        doc_type: rows::doc_type(row)?.map(|doc_type| doc_type.name),
        tags: rows::tags_of(&tags),
        time: time.map(of_micros),
        metadata: rows::head(row)?.metadata,
        language: get(row, "language")?,
    })
}

fn passage_id(row: &AnyRow) -> Result<PassageId, Error> {
    let text: String = get(row, "id")?;
    let id = Uuid::parse_str(&text).map_err(|_| Error::damaged(format!("a passage has the id {text}")))?;
    Ok(PassageId(id))
}

fn passage(row: &AnyRow) -> Result<Passage, Error> {
    Ok(Passage {
        ordinal: rows::small_count(row, "ordinal")?,
        range: range(row)?,
        text: get(row, "text")?,
        headings: headings(row)?,
        place: place(row)?,
        tokens: rows::small_count(row, "tokens")?,
    })
}

fn headings(row: &AnyRow) -> Result<Arc<[String]>, Error> {
    let text: String = get(row, "headings")?;
    let headings: Vec<String> = rows::json(&text, "the headings of a passage")?;
    Ok(headings.into())
}

fn range(row: &AnyRow) -> Result<Range<usize>, Error> {
    let (first, last) = (rows::count(row, "first")?, rows::count(row, "last")?);
    Ok(first as usize..last as usize)
}

fn place(row: &AnyRow) -> Result<Option<Place>, Error> {
    let text: Option<String> = get(row, "place")?;
    let written: Option<WrittenPlace> = text
        .map(|text| rows::json(&text, "the place of a passage"))
        .transpose()?;
    Ok(written.map(Place::from))
}

impl From<WrittenPlace> for Place {
    fn from(written: WrittenPlace) -> Self {
        match written {
            WrittenPlace::Page { page, outline } => Self::Page { page, outline },
            WrittenPlace::Time { start, end } => Self::Time {
                start: Duration::from_micros(start),
                end: Duration::from_micros(end),
            },
        }
    }
}

impl From<&Place> for WrittenPlace {
    fn from(place: &Place) -> Self {
        let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        match place {
            Place::Page { page, outline } => Self::Page {
                page: *page,
                outline: outline.clone(),
            },
            Place::Time { start, end } => Self::Time {
                start: micros(start),
                end: micros(end),
            },
        }
    }
}

/// A vector as bytes: each number as a little-endian 32-bit float.
pub(crate) fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// The vector of such bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let numbers = bytes.chunks_exact(4);
    if !numbers.remainder().is_empty() {
        return None;
    }
    let number = |four: &[u8]| four.try_into().ok().map(f32::from_le_bytes);
    numbers.map(number).collect()
}

fn vector(row: &AnyRow) -> Result<Vec<f32>, Error> {
    let bytes: Vec<u8> = get(row, "vector")?;
    of_bytes(&bytes).ok_or_else(|| Error::damaged("a vector has a broken number"))
}
