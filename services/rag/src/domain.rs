//! The nouns of retrieval: plain data, known to parsers, indexes and adapters alike.
//!
//! A document has one text. Blocks and passages are ranges of it, so that what is found, shown and cited is the same
//! bytes; where they come from pages or recordings they say also where on the page or when.

mod document;
mod query;
pub(crate) mod rules;
mod space;
pub(crate) mod time;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

pub use document::{DocType, DocTypeSource, Document, DocumentState, Failure, Head};
pub use query::{Filter, Found, Fusion, Hit, Query, Retrieval, ScoreComponent, ScoreSource, StageTiming};
pub use space::{Chunking, NewSpace, Space, SpaceChange};

/// A document as its parser gives it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// Its title, where it says one.
    pub title: Option<String>,
    /// Its text: the very text for text formats, the extracted one for the others.
    pub text: String,
    /// What it consists of, in reading order: ranges of `text` that do not overlap.
    pub blocks: Vec<Block>,
}

/// A part of a document that belongs together.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// Its bytes in the document's text, on character boundaries, never empty.
    pub range: Range<usize>,
    /// The headings above it, the outermost first. A heading has those above it, and not itself.
    pub headings: Arc<[String]>,
    /// Where it stands, in documents that are not text.
    pub place: Option<Place>,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A heading.
    Heading,
    /// Running text.
    Paragraph,
    /// An item of a list.
    ListItem,
    /// A row of a table, its cells named where the table names them.
    TableRow,
    /// Program text, or what is set as such.
    Code,
    /// What one speaker says without a pause.
    Speech,
}

/// A place in a document that is not text.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A region of a page.
    Page {
        /// The page, counted from 0.
        page: u32,
        /// The outline as shares of width and height, 0 to 1, clockwise from the top left, at least three points.
        outline: Vec<[f32; 2]>,
    },
    /// A span of a recording.
    Time {
        /// Its beginning, from that of the recording.
        start: Duration,
        /// Its end.
        end: Duration,
    },
}

/// A passage: what is indexed, found and cited.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Its place among the document's passages, counted from 0.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub range: Range<usize>,
    /// Those bytes.
    pub text: String,
    /// The headings above it, the outermost first.
    pub headings: Arc<[String]>,
    /// Where it stands, in documents that are not text.
    pub place: Option<Place>,
    /// How many tokens of the embedding model it has, headings not counted.
    pub tokens: u32,
}

/// A passage's id: UUIDv5 of its space, document, place among the passages, and content. So the same content has the same
/// id however often it is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassageId(pub Uuid);

// === impl PassageId ===

/// The namespace of passages' ids: UUIDv5 of "polyphony.rag.v1" in the URL namespace.
const NAMESPACE: Uuid = Uuid::from_u128(0x2428_4020_8253_5a32_a66c_79c9_2330_efbf);

impl PassageId {
    /// The id of a passage.
    pub fn of(space: &str, document: &str, ordinal: u32, text: &str) -> Self {
        // Lengths go before texts, so that no two different tuples give the same bytes.
        let mut name = Vec::with_capacity(space.len() + document.len() + text.len() + 20);
        for part in [space, document] {
            name.extend_from_slice(&(part.len() as u64).to_le_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        name.extend_from_slice(&ordinal.to_le_bytes());
        name.extend_from_slice(text.as_bytes());
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }
}

impl fmt::Display for PassageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
