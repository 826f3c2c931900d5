//! What was read of a page of a document: where its text came from, and what stands on it. Plain data; renderers and
//! conversions take it.

use crate::domain::PageReading;

/// A page that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Its place in the document, counted from 0.
    pub number: u32,
    /// Dots an inch. 0: not known.
    pub dpi: f32,
    /// Where its text came from.
    pub source: Source,
    /// What stands on it.
    pub reading: PageReading,
}

/// Where text came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Source {
    /// Read from the picture.
    #[default]
    Picture,
    /// The document's own.
    Native,
    /// Both.
    Mixed,
}
