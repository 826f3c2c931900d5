//! Spaces as archives: all that is in one, to be kept or taken elsewhere.
//!
//! An archive is what the ledger says at one moment; indexes are made anew where it is imported. Its name is first, then
//! frames ([`format`]): what the space is, each document with its passages, and a last frame that counts them. Whoever has
//! the bytes has the size and the digest over them too, so one that broke off or was changed is never taken for whole.

mod export;
mod format;
mod import;

pub use export::{Export, Piece};
pub(crate) use format::Document;
pub use import::ArchiveEnd;
