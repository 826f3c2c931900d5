//! Spaces: documents that are searched together, and belong to one owner.

use std::time::SystemTime;

/// A space.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// The last part of its name: 1 to 63 of a-z, 0-9 and "-", beginning with a letter.
    pub id: String,
    /// A title for a person, at most 100 characters.
    pub display_name: String,
    /// Whose it is.
    pub owner: String,
    /// The embedding model. Fixed once there is a document.
    pub embedding_model: String,
    /// The language for stemming, as BCP-47. None: found by document.
    pub language: Option<String>,
    /// How documents are cut.
    pub chunking: Chunking,
    /// How many documents are in it.
    pub documents: u64,
    /// How many passages searches find.
    pub passages: u64,
    /// What its passages and vectors take in the ledger, and documents that wait; indexes are not counted.
    pub size_bytes: u64,
    /// Grows with each change of what searches see.
    pub epoch: u64,
    /// Changes with each update.
    pub etag: String,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last changed.
    pub updated: SystemTime,
}

/// How documents are cut into passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    /// A passage has about this many tokens, 50 to 2,000.
    pub target_tokens: u32,
    /// A passage has at most this many tokens.
    pub max_tokens: u32,
    /// Passages share this many tokens with their neighbours, 0 to 500.
    pub overlap_tokens: u32,
}

/// A space to make. The rules of its fields are checked when it is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSpace {
    /// The last part of its name. None: chosen here.
    pub id: Option<String>,
    /// A title for a person.
    pub display_name: String,
    /// The embedding model. Empty: the server's default.
    pub embedding_model: String,
    /// The language for stemming, as BCP-47. None: found by document.
    pub language: Option<String>,
    /// How documents are cut.
    pub chunking: Chunking,
}

/// What to change of a space; what is None stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpaceChange {
    /// A title for a person.
    pub display_name: Option<String>,
    /// The embedding model; refused once there is a document.
    pub embedding_model: Option<String>,
    /// The language for stemming; `Some(None)`: found by document. It counts for documents that come later.
    pub language: Option<Option<String>>,
    /// How documents are cut that come later.
    pub chunking: Option<Chunking>,
    /// Change only this version. Empty: whichever.
    pub etag: String,
}

// === impl Chunking ===

impl Default for Chunking {
    fn default() -> Self {
        Self {
            target_tokens: 400,
            max_tokens: 600,
            overlap_tokens: 50,
        }
    }
}
