//! Text recognition on images and documents: what stands on a page, and where.
//!
//! It reads pictures and PDFs; it is not a translator, and it understands nothing of what it reads but the shape of
//! pages. It speaks to no other service and fetches nothing.
//!
//! # The life of a request
//!
//! [`grpc`](self) takes a place or refuses, and converts the config; every field is honoured or refused by its path. A
//! thread then does the [`job`](self): a process of its own, the [`reader`], opens the [`document`], bounded by the system
//! in time and memory, for nothing else can bound a decoder; bad documents are refused here, before a model is loaded for
//! them. The roster of [`engines`] brings the model into memory if it is not there. Page by page the reader gives a
//! picture, or the text that the document itself holds; the [`engine`] finds and reads the lines of the picture, or
//! [`native`] puts the document's own glyphs together to lines; the layout puts lines into reading order, columns, tables
//! and fields. What stands on a page goes out as it is, and [`render`]ed in the formats that were asked for.
//!
//! Engines never see gRPC; adapters never see models.

mod batch;
mod classify;
pub mod config;
mod convert;
pub mod document;
pub mod domain;
pub mod engine;
pub mod engines;
mod error;
mod grpc;
mod job;
pub mod layout;
mod metrics;
mod mixed;
pub mod native;
pub mod page;
mod read;
pub mod reader;
pub mod reading;
pub mod render;
mod serve;

pub use config::Config;
pub use error::Error;
pub use serve::{Ocr, StartError, serve};
