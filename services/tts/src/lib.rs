//! Speech synthesis: text in, speech out, as it is written.

pub mod clauses;
pub mod config;
pub mod domain;
pub mod engine;
mod error;
pub mod phones;
pub mod ssml;
pub mod voices;

pub use error::Error;
