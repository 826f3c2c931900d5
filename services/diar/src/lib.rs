//! Speaker diarization: who speaks when, and who that is.
//!
//! It parts a recording or a stream by voices. It is not a recogniser of words; it speaks to no other service and fetches
//! nothing. Engines never see gRPC; adapters never see models.

pub mod clustering;
pub mod domain;
pub mod engine;
mod error;
pub mod rttm;
pub mod timeline;

pub use error::Error;
