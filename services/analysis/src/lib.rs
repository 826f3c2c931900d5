//! What there is to hear in audio besides words: pitch, stems, loudness, tempo, key and spectral features.
//!
//! It measures and takes apart; it recognises no words and no speakers, it speaks to no other service and fetches nothing.
//!
//! # The life of a request
//!
//! A recording takes a worker or waits for one, is decoded whole, and then: its pitch is found by a model that
//! [`analyzers`] brings into memory, its stems by another, which go out in pieces while they are made; its [`features`]
//! need no model. A stream takes a place or is refused; a thread decodes its bytes as they come and feeds a state machine:
//! a [`PitchFollower`](engine::PitchFollower), a [`Separator`](engine::Separator) or a
//! [`FeatureStream`](features::FeatureStream), whose answer depends on the samples alone, never on how they were cut.
//!
//! So a machine without ONNX Runtime or without models is ready, measures features, and says of the rest what is missing.
//!
//! Engines never see gRPC; adapters never see models.

pub mod analyzers;
pub mod config;
mod convert;
pub mod domain;
pub mod engine;
pub mod features;
mod grpc;
mod metrics;
pub mod pitch;
pub mod separation;
mod serve;
mod whole;

pub use analyzers::Analyzers;
pub use config::Config;
pub use engine::Error;
pub use serve::Analysis;
