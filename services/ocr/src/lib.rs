//! Text recognition on images and documents.

pub mod document;
pub mod domain;
pub mod engine;
mod error;
pub mod layout;
pub mod native;
pub mod page;
pub mod reader;
pub mod reading;
pub mod render;

pub use error::Error;
