//! Between the wire and the domain: parsed once at receipt, infallible outwards. Every field is honoured or refused by its
//! path.

pub(crate) mod answer;
pub(crate) mod archive;
pub(crate) mod data;
pub(crate) mod document;
pub(crate) mod hits;
pub(crate) mod ingest;
pub(crate) mod names;
pub(crate) mod rerank;
pub(crate) mod search;
pub(crate) mod space;
