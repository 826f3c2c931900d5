//! Speech recognition: streaming, unary and batch.
//!
//! It writes down what is said: in a stream while it is spoken, in a recording, or in many in the background. It is not
//! an aligner, a diarizer or a translator of text; it speaks to no other service and fetches nothing.
//!
//! # The life of a request
//!
//! A stream: [`grpc`](self) takes a place or refuses, reads the config and converts it; [`recognizers`] brings the model
//! into memory if it is not there; the engine is asked whether it can do all that was asked for; a thread decodes the
//! bytes as they come, resamples them to 16 kHz and feeds the [`session`], a state machine that finds where speech begins
//! and ends ([`vad`]), hands it to the [`engine`], and keeps what two results agree on ([`engine::agreement`]); events go
//! out as they happen. A recording takes a worker, is decoded whole, and goes to the engine at once.
//!
//! Engines never see gRPC; adapters never see models.

mod batch;
pub mod config;
mod convert;
pub mod domain;
pub mod engine;
mod error;
mod grpc;
mod metrics;
pub mod normalize;
pub mod recognizers;
pub mod render;
mod serve;
pub mod session;
pub mod vad;
mod whole;

pub use config::Config;
pub use error::Error;
pub use recognizers::Recognizers;
pub use serve::{Asr, serve};
