//! The index of vectors, behind one trait: Qdrant's own index in this process (`edge`), or a Qdrant server
//! (`server`).
//!
//! Spaces share an index for each embedding model, as Qdrant advises: the space is a field that every question filters by,
//! and is indexed as the tenant's. Unlike words' rarity, a cosine says nothing of other tenants' vectors, so sharing leaks
//! nothing, and ten thousand small spaces cost no more than one large one. The filter is made in one place for each index,
//! from a [`Scope`], which only the ledger makes.

mod config;
pub(crate) mod edge;
pub(crate) mod server;

use std::fmt;

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

pub use config::{DenseConfig, DenseEngine, Quantization};

use crate::Error;
use crate::domain::Filter;
use crate::fuse::Scored;
use crate::ledger::Stored;
use crate::scope::Scope;

/// An index of vectors.
pub(crate) trait Dense: fmt::Debug + Send + Sync {
    /// Adds passages, each in the place of one with its number, and returns when the index has them for good.
    fn upsert<'a>(&'a self, scope: &'a Scope, passages: &'a [Stored]) -> BoxFuture<'a, Result<(), Error>>;

    /// Takes passages away, and returns when the index has forgotten them for good.
    fn remove<'a>(&'a self, scope: &'a Scope, keys: &'a [i64]) -> BoxFuture<'a, Result<(), Error>>;

    /// At most `limit` passages of the space whose vectors are nearest by cosine, the nearest first.
    fn search<'a>(
        &'a self,
        scope: &'a Scope,
        nearest: Nearest<'a>,
    ) -> BoxFuture<'a, Result<Vec<Scored>, Error>>;

    /// The numbers of the passages that the index knows of the space, in order. An index that is missing or broken is
    /// made anew first, and is then empty.
    fn keys<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<i64>, Error>>;

    /// Builds what makes searches of many vectors fast, where it is time to.
    fn optimize<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<(), Error>>;

    /// Whether searches can be answered now, for the health of the service.
    fn check(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nearest<'a> {
    /// A vector of unit length.
    pub(crate) vector: &'a [f32],
    pub(crate) filter: &'a Filter,
    pub(crate) limit: usize,
    /// Compare with every vector instead of following the graph.
    pub(crate) exact: bool,
}

/// The fields of a point. What is filtered by is here; what is shown is in the ledger.
pub(crate) mod payload {
    /// The number of the space, as text: Qdrant knows tenants by words.
    pub(crate) const SPACE: &str = "space";
    /// The document's id.
    pub(crate) const DOCUMENT: &str = "document";
    /// The document's kind.
    pub(crate) const DOC_TYPE: &str = "doc_type";
    /// The document's tags.
    pub(crate) const TAGS: &str = "tags";
    /// The client's data, as [`crate::lexical::pairs`].
    pub(crate) const METADATA: &str = "metadata";
    /// The document's time, microseconds since 1970.
    pub(crate) const TIME: &str = "time";
}

/// The name of a model's index: letters to read, and a digest to tell it from others.
pub(crate) fn index_name(model: &str) -> String {
    /// So many letters are read.
    const READ: usize = 40;
    let readable: String = model
        .chars()
        .take(READ)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let digest = Sha256::digest(model.as_bytes());
    format!(
        "{readable}-{:02x}{:02x}{:02x}{:02x}",
        digest[0], digest[1], digest[2], digest[3]
    )
}
