//! Forced alignment: when each word of a known text is said.
//!
//! It finds times for words that are given. It recognises nothing and corrects nothing; it speaks to no other service
//! and fetches nothing.
//!
//! # The life of a request
//!
//! A recording takes a worker, is decoded to mono at 16 kHz, and goes with its [`text`] to an [`engine`]: that makes a
//! chain of what is to be heard, and the [`trellis`] finds the cheapest way of the audio through it. A stream takes a
//! place; a thread decodes the bytes as they come and feeds the [`session`], a state machine over the same engine that
//! tells words once nothing that is still to come can move them. [`render`] writes times as subtitles and labels.
//!
//! Engines never see gRPC; adapters never see models.

pub mod aligners;
pub mod config;
mod convert;
pub mod domain;
pub mod engine;
mod error;
mod grpc;
mod metrics;
pub mod render;
mod serve;
pub mod session;
pub mod text;
pub mod trellis;
mod whole;

pub use aligners::Aligners;
pub use config::Config;
pub use error::Error;
pub use serve::Align;
