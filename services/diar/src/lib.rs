//! Speaker diarization: who speaks when, and who that is.
//!
//! It parts a recording or a stream by voices, and knows people who are enrolled. It is not a recogniser of words; it
//! speaks to no other service and fetches nothing.
//!
//! # The life of a request
//!
//! A recording takes a worker, is decoded whole to mono at 16 kHz and goes to the [`engine`] at once: where somebody
//! speaks, what each stretch sounds like, which stretches are one person ([`clustering`]), who speaks in each frame
//! ([`timeline`]). A stream is fed to the engine's state machine as it is spoken, which tells segments and corrects them.
//! People who are enrolled ([`speakers`]) are named by how similar their voice is.
//!
//! Engines never see gRPC; adapters never see models.

pub mod clustering;
pub mod config;
mod convert;
pub mod diarizers;
pub mod domain;
pub mod engine;
mod error;
mod grpc;
mod identify;
mod metrics;
pub mod rttm;
mod serve;
pub mod speakers;
pub mod streaming;
pub mod timeline;

mod whole;

pub use config::Config;
pub use error::Error;
pub use serve::{Diar, StartError};
