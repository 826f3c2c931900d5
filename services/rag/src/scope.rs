//! Whose documents a call may touch: the only key to either index.
//!
//! A scope is made by the ledger alone, for a caller whose identity was verified and who owns the space it asks for.
//! Whatever reads or writes an index takes one, so that a query without a tenant cannot be written.

use crate::domain::Chunking;
use crate::ledger::Owned;

/// One space, as its owner may use it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    key: SpaceKey,
    owner: String,
    id: String,
    model: String,
    language: Option<String>,
    chunking: Chunking,
    epoch: u64,
}

/// The number of a space: never given twice, and never shown to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceKey(i64);

// === impl Scope ===

impl Scope {
    /// For what the ledger has found to be the caller's; nothing else can make an [`Owned`].
    pub(crate) fn of(owned: Owned) -> Self {
        let Owned {
            key,
            owner,
            id,
            model,
            language,
            chunking,
            epoch,
            ..
        } = owned;
        Self {
            key: SpaceKey(key),
            owner,
            id,
            model,
            language,
            chunking,
            epoch,
        }
    }

    /// The number of the space.
    pub(crate) const fn key(&self) -> SpaceKey {
        self.key
    }

    /// Whose the space is.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The last part of the space's name.
    pub fn space(&self) -> &str {
        &self.id
    }

    /// The embedding model of the space.
    pub fn embedding_model(&self) -> &str {
        &self.model
    }

    /// The language that the space says, as BCP-47.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// How the space wants documents cut.
    pub const fn chunking(&self) -> Chunking {
        self.chunking
    }

    /// The epoch of the space when the scope was made.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

// === impl SpaceKey ===

impl SpaceKey {
    /// The number itself, for files and filters.
    pub(crate) const fn number(self) -> i64 {
        self.0
    }
}
