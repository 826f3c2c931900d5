//! Documents as a space knows them: what the client says of one, and what became of it.

use std::time::SystemTime;

use polyphony_error::{Fault, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the client says of a document before its bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The last part of its name: 1 to 128 of letters, digits, ".", "_" and "-". None: made from `source_uri`, else from
    /// the bytes.
    pub id: Option<String>,
    /// Where it comes from, as the client has it: a path or an address. May be empty.
    pub source_uri: String,
    /// Its title. None: found in it.
    pub title: Option<String>,
    /// Its media type, as "text/markdown". Empty: found from its bytes and the ending of `source_uri`.
    pub media_type: String,
    /// Its kind. None: found.
    pub doc_type: Option<String>,
    /// The client's words for it.
    pub tags: Vec<String>,
    /// The client's data about it.
    pub metadata: Map<String, Value>,
    /// The date it speaks of.
    #[serde(with = "super::time::optional")]
    pub time: Option<SystemTime>,
    /// Its language, as BCP-47. None: found.
    pub language: Option<String>,
}

/// A document of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The last part of its name.
    pub id: String,
    /// Its title, given or found; may be empty.
    pub title: String,
    /// Where it comes from, as the client has it.
    pub source_uri: String,
    /// Its media type, given or found; empty until it is looked at.
    pub media_type: String,
    /// What kind it is. None until that is decided.
    pub doc_type: Option<DocType>,
    /// The client's words for it.
    pub tags: Vec<String>,
    /// The client's data about it.
    pub metadata: Map<String, Value>,
    /// The date it speaks of.
    pub time: Option<SystemTime>,
    /// Its language, as BCP-47, given or found.
    pub language: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// `sha256:` over its bytes, in hexadecimal.
    pub digest: String,
    /// Where it is.
    pub state: DocumentState,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// How many passages it was cut into.
    pub passages: u32,
    /// When it was taken in.
    pub created: SystemTime,
    /// When it was last changed.
    pub updated: SystemTime,
}

/// Where a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentState {
    /// Its bytes are kept; nobody has looked at it yet.
    Stored,
    /// It was cut into passages, which are being written to the indexes.
    Indexing,
    /// Searches find it.
    Ready,
    /// It failed.
    Failed,
}

/// What kind of document it is, and how that was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocType {
    /// The kind, as "invoice"; "unknown" where nothing fits.
    pub name: String,
    /// How sure it is, 0 to 1.
    pub confidence: f32,
    /// What decided.
    pub source: DocTypeSource,
}

/// What decided the kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocTypeSource {
    /// The client said so.
    Given,
    /// A rule.
    Rule,
    /// The trained classifier.
    Classifier,
    /// A zero-shot model.
    ZeroShot,
}

/// Why a document failed: what is left of a [`Fault`] after it was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind's gRPC code.
    code: i32,
    /// A stable `UPPER_SNAKE_CASE` reason.
    pub reason: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

// === impl DocumentState ===

impl DocumentState {
    /// As it is written in the ledger.
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Stored => 1,
            Self::Indexing => 2,
            Self::Ready => 3,
            Self::Failed => 4,
        }
    }

    pub(crate) const fn of_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Stored),
            2 => Some(Self::Indexing),
            3 => Some(Self::Ready),
            4 => Some(Self::Failed),
            _ => None,
        }
    }
}

// === impl Failure ===

/// All kinds, to find one by its code.
const KINDS: [Kind; 13] = [
    Kind::InvalidArgument,
    Kind::NotFound,
    Kind::AlreadyExists,
    Kind::FailedPrecondition,
    Kind::Unauthenticated,
    Kind::PermissionDenied,
    Kind::ResourceExhausted,
    Kind::Unimplemented,
    Kind::Unavailable,
    Kind::DeadlineExceeded,
    Kind::Cancelled,
    Kind::Aborted,
    Kind::Internal,
];

impl Failure {
    /// The kind of fault it was.
    pub fn kind(&self) -> Kind {
        let found = KINDS.into_iter().find(|kind| i32::from(kind.code()) == self.code);
        found.unwrap_or(Kind::Internal)
    }

    /// Whether the same document might go through at another time.
    pub fn may_pass_later(&self) -> bool {
        matches!(
            self.kind(),
            Kind::ResourceExhausted | Kind::Unavailable | Kind::DeadlineExceeded | Kind::Aborted
        )
    }
}

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        Self {
            code: fault.kind.code().into(),
            reason: fault.reason.to_owned(),
            message: fault.message.clone().into_owned(),
        }
    }
}
