//! What the store needs done by others: text made into vectors, passages ordered, and documents made into passages.
//!
//! The traits are small and blocking where the work is a processor's, so that tests fill them with a few lines. Who
//! implements them knows models, parsers and other services; who calls them here knows none of that.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use polyphony_error::Fault;

use crate::domain::{Chunking, DocType, Head, Passage};

/// Makes vectors of texts. Called on threads that may block, several at once.
pub trait Embed: fmt::Debug + Send + Sync {
    /// The model's id, as "all-minilm-l6-v2".
    fn model(&self) -> &str;
    /// How many numbers a vector has.
    fn dimensions(&self) -> usize;
    /// One vector of unit length for each text.
    ///
    /// # Errors
    /// When the model or its runtime fails.
    fn embed(&self, texts: &[&str], side: Side) -> Result<Vec<Vec<f32>>, Fault>;
    /// The share of a text's tokens that the model's vocabulary has, 0 to 1.
    ///
    /// # Errors
    /// When the text cannot be cut into tokens.
    fn reads(&self, _text: &str) -> Result<f32, Fault> {
        Ok(1.0)
    }
}

/// What a text is to a model that tells queries from passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is looked for.
    Query,
    /// What is found.
    Passage,
}

/// Says how well passages answer a query. Called on threads that may block.
pub trait Rank: fmt::Debug + Send + Sync {
    /// The model's id.
    fn model(&self) -> &str;
    /// The model's own score (a logit) for each passage.
    ///
    /// # Errors
    /// When the model or its runtime fails.
    fn rank(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>, Fault>;
}

/// The models there are, loaded when they are first asked for.
pub trait Models: fmt::Debug + Send + Sync {
    /// The embedding model for spaces that name none.
    fn default_embedder(&self) -> String;

    /// An embedding model by its id.
    ///
    /// # Errors
    /// NOT_FOUND when there is none of this name, and whatever goes wrong while it is loaded.
    fn embedder<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<dyn Embed>, Fault>>;

    /// A cross-encoder by its id; the default for an empty one. None: there is none, and none was named.
    ///
    /// # Errors
    /// NOT_FOUND when there is none of this name, and whatever goes wrong while it is loaded.
    fn ranker<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Option<Arc<dyn Rank>>, Fault>>;
}

/// Makes passages of documents: finds text and structure, decides the kind, and cuts.
pub trait Prepare: fmt::Debug + Send + Sync {
    /// Reads one document. It may call other services; dropping the future stops it.
    ///
    /// # Errors
    /// Why the document cannot be taken in, for the one who sent it. UNAVAILABLE and RESOURCE_EXHAUSTED are tried again.
    fn prepare<'a>(&'a self, source: Source<'a>, step: &'a StepFn) -> BoxFuture<'a, Result<Prepared, Fault>>;
}

/// Told which step of its preparation a document has reached.
pub type StepFn = dyn Fn(Step) + Send + Sync;

/// A step of an ingestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding text and structure.
    Parsing,
    /// Reading images, or hearing recordings, in another service.
    Recognizing,
    /// Cutting into passages.
    Chunking,
    /// Making vectors.
    Embedding,
    /// Writing both indexes.
    Indexing,
}

/// A document to read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Where its bytes are.
    pub path: &'a Path,
    /// How many they are.
    pub size_bytes: u64,
    /// What the client says of it.
    pub head: &'a Head,
    /// How its space wants it cut.
    pub chunking: Chunking,
    /// The language its space says, as BCP-47.
    pub language: Option<&'a str>,
    /// The embedding model whose tokens are counted.
    pub embedding_model: &'a str,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Its media type.
    pub media_type: String,
    /// Its title, given or found; may be empty.
    pub title: String,
    /// Its language, as BCP-47, given or found.
    pub language: Option<String>,
    /// What kind it is.
    pub doc_type: Option<DocType>,
    /// Its passages, at least one, their ordinals counted from 0.
    pub passages: Vec<Passage>,
}
