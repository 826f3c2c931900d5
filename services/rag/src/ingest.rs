//! Taking documents in: what a client hands over, what it is told meanwhile, and what became of it.
//!
//! An ingestion is acknowledged when its documents are in the ledger and their bytes on the disk. From then on the workers
//! (`worker`) answer for it, also after a crash; the ingestion here only watches. Not here: any index (`store`).

mod board;
mod naming;
mod watch;
pub(crate) mod worker;

pub(crate) use board::Board;
pub(crate) use naming::{ID_RULE, id_for, is_id};
pub(crate) use watch::superseded;
pub use watch::{DocumentResult, Ingestion, Outcome, Progress};

use crate::domain::Head;
use crate::staging::Kept;

/// A document that a client hands over.
#[derive(Debug)]
pub struct Submission {
    /// What is said of it.
    pub head: Head,
    /// Its bytes.
    pub kept: Kept,
}

/// What to do with a document that is there with other content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ConflictPolicy {
    /// The new one takes its place.
    #[default]
    Replace,
    /// The old one stays.
    Skip,
    /// The new one fails with ALREADY_EXISTS.
    Fail,
}
