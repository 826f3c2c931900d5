//! Retrieval: documents in, passages and answers out that cite exactly where they come from.
//!
//! It takes documents in, cuts them into passages, finds the passages that fit a query by meaning and by words, and
//! answers questions from them. It reads text formats itself; pages and recordings it has read by the ocr and asr
//! services, and answers are written by a language model behind llm-proxy: calls to other services go over the wire.
//!
//! # The life of a document
//!
//! [`ingest`] stores its bytes and a row in the `ledger`, and only then acknowledges it. A worker [`parse`]s it to text
//! and blocks, finds its [`doctype`], cuts it ([`chunk`]) into passages, has them embedded, and writes passages and
//! vectors to the ledger; then the [`dense`] index, then the [`lexical`] one, then the ledger says that it is ready. A
//! crash anywhere in between is mended at the next start: the ledger is the truth, and both indexes follow it. What was
//! asked for together is a job of a queue (`ingestions`), which watches its documents and outlives the process as they do.
//!
//! # The life of a query
//!
//! The caller's verified identity and the space make a [`scope`], the only way to either index. `retrieve` asks both,
//! [`fuse`]s what they say, orders the best anew where a cross-encoder is there, and leaves out what the ledger no longer
//! knows. [`answer`] gives the best to a language model and checks what it cites.

pub mod answer;
pub mod archive;
pub mod chunk;
mod clients;
pub mod config;
mod convert;
pub mod dense;
pub mod doctype;
pub mod domain;
mod encoders;
pub mod engine;
mod error;
mod fault;
mod fetch;
pub mod fuse;
mod grpc;
pub mod ingest;
mod ingestions;
mod ledger;
pub mod lexical;
mod metrics;
pub mod parse;
mod prepare;
mod retrieve;
pub mod scope;
mod serve;
mod staging;
mod store;

pub use config::Config;
pub use encoders::Encoders;
pub use error::Error;
pub use prepare::beginning;
pub use scope::Scope;
pub use serve::{Rag, StartError, serve};
pub use staging::{Kept, Upload};
pub use store::{Audit, DocumentListing, Store};
