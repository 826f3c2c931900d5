//! Speech synthesis: text in, speech out, as it is written.
//!
//! It speaks: a text that comes whole, or one that is still being written, clause by clause. It is not a recogniser, it
//! clones no voices yet, and it speaks to no other service; the only thing it fetches are voices, from a store that the
//! operator names.
//!
//! # The life of a request
//!
//! A stream: [`grpc`](self) takes a place or refuses, reads the config and converts it; `casting` finds whose voice of
//! which model speaks, loads it through [`synthesizers`], and asks whether it can do all that was asked for; a thread feeds
//! the text to the [`session`], a state machine that cuts it into [`clauses`]; the [`engine`] speaks one after the
//! other, the next [`ahead`] of its turn; `sound` resamples and encodes what it gives, and frames go out with the words that begin in them. The thread
//! looks for a cancel ten times in a second of audio. A whole text takes a worker and goes the same way in sentences.
//!
//! Text is plain or [`ssml`]; [`pronunciations`] and [`phones`] say how certain words are said. [`voices`] are a model's
//! own or stored ones, which have an owner, tenants and an end.
//!
//! Engines never see gRPC; adapters never see models.

pub mod ahead;
mod casting;
pub mod clauses;
pub mod config;
mod convert;
pub mod domain;
pub mod engine;
mod error;
mod grpc;
mod metrics;
pub mod phones;
pub mod pronunciations;
mod serve;
pub mod session;
mod sound;
pub mod ssml;
pub mod synthesizers;
pub mod voices;
mod whole;

pub use config::Config;
pub use error::Error;
pub use serve::{StartError, Tts, serve};
pub use synthesizers::Synthesizers;
