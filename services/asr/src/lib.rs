//! Speech recognition: streaming, unary and batch.

pub mod domain;
pub mod engine;
mod error;

pub use error::Error;
