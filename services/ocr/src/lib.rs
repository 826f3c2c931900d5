//! Text recognition on images and documents.

pub mod document;
pub mod domain;
pub mod engine;
mod error;
pub mod native;
pub mod reader;

pub use error::Error;
