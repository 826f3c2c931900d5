//! Text recognition on images and documents.

pub mod domain;
pub mod engine;
mod error;

pub use error::Error;
