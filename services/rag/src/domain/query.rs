//! Queries and what is found: plain data.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::{DocType, PassageId, Place};

/// A query. Its limits are checked when it is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// What is looked for, at most 4,000 characters.
    pub text: String,
    /// Only these passages.
    pub filter: Filter,
    /// How to retrieve.
    pub retrieval: Retrieval,
    /// At most this many hits, 1 to 1,000.
    pub page_size: usize,
    /// `next_page` of the previous page. Empty: the first.
    pub page: String,
}

/// Which passages may be found. All that is set must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Of one of these kinds. Empty: of any.
    pub doc_types: Vec<String>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// Of one of these documents, by id. Empty: of any.
    pub documents: Vec<String>,
    /// Of documents not before this time.
    pub from: Option<SystemTime>,
    /// Of documents before this time.
    pub until: Option<SystemTime>,
    /// With each of these values in the client's data. A list in the data has each of its elements.
    pub metadata: Map<String, Value>,
}

/// How to retrieve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Retrieval {
    /// How the two searches are joined.
    pub fusion: Fusion,
    /// The share of the vector search in [`Fusion::RelativeScore`], 0 to 1. None: the more of the query each search could
    /// read, and the more its best passages stand out, the more it counts.
    pub dense_weight: Option<f32>,
    /// The constant of RRF, 1 to 1,000. None: 60.
    pub rrf_k: Option<u32>,
    /// How many passages each search brings, 1 to 10,000. None: 100.
    pub candidates: Option<u32>,
    /// Passages below this score are left out.
    pub score_threshold: Option<f32>,
    /// 0 is relevance alone, 1 difference alone (MMR). None: 0.
    pub diversity: Option<f32>,
    /// Order the best anew with a cross-encoder. None: when there is one.
    pub rerank: Option<bool>,
    /// The cross-encoder's id. Empty: the server's default.
    pub rerank_model: String,
    /// At most this many passages of one document, at least 1. None: no limit.
    pub max_per_document: Option<u32>,
    /// Search by exact distances instead of the graph.
    pub exact: bool,
}

/// How two searches are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Fusion {
    /// Scores scaled to 0..1 by the smallest and the largest, then weighted.
    #[default]
    RelativeScore,
    /// Reciprocal ranks (Cormack et al. 2009).
    Rrf,
    /// Scores scaled by mean and deviation.
    Dbsf,
    /// The vector search alone.
    DenseOnly,
    /// The lexical search alone.
    LexicalOnly,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The passages, the best first.
    pub hits: Vec<Hit>,
    /// Where the next page begins. Empty: this is the last.
    pub next_page: String,
    /// The space's epoch that was searched.
    pub epoch: u64,
    /// The retrieval with every default filled in.
    pub effective: Retrieval,
    /// Where the time went.
    pub timings: Vec<StageTiming>,
    /// The embedding model, where vectors were searched.
    pub embedding_model: Option<String>,
    /// The cross-encoder, where it ordered.
    pub rerank_model: Option<String>,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The passage's id.
    pub id: PassageId,
    /// The document's id.
    pub document: String,
    /// The document's title.
    pub title: String,
    /// The document's kind.
    pub doc_type: Option<DocType>,
    /// The passage.
    pub text: String,
    /// The headings above it, the outermost first.
    pub headings: Arc<[String]>,
    /// Its bytes in the document's text.
    pub range: Range<usize>,
    /// Where it stands, in documents that are not text.
    pub place: Option<Place>,
    /// How well it fits; comparable within this answer only.
    pub score: f32,
    /// What the score is made of.
    pub components: Vec<ScoreComponent>,
    /// Where the query's words stand: bytes of `text`, in order, apart from each other.
    pub highlights: Vec<Range<usize>>,
}

/// A part of a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreComponent {
    /// What it comes from.
    pub source: ScoreSource,
    /// The score as that has it: a cosine, a BM25 score or a logit.
    pub raw: f32,
    /// The score after scaling, 0 to 1.
    pub normalized: f32,
    /// Its place in that list, counted from 1. 0: it is not in it.
    pub rank: u32,
    /// How much it counts.
    pub weight: f32,
    /// What it adds to the score.
    pub contribution: f32,
}

/// What a part of a score comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoreSource {
    /// The vector search.
    Dense,
    /// The lexical search.
    Lexical,
    /// The cross-encoder.
    Rerank,
    /// The preference for passages that differ.
    Diversity,
}

/// How long one stage took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageTiming {
    /// The stage: "embed", "dense", "lexical", "fuse", "load", "rerank" or "diversify".
    pub stage: &'static str,
    /// How long.
    pub duration: Duration,
}
