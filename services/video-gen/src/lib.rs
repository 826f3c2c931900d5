//! Video generation: prompts in, videos out, through a queue that tells the truth.
//!
//! It computes nothing itself. What makes videos is `polyphony-video-worker`, a process of its own that owns the device;
//! this service takes requests, keeps them in a durable queue ([`polyphony_jobs`]), and sees to the worker.
//!
//! # The life of a request
//!
//! `GenerateVideo` is parsed into an order with every default filled in, and refused at once when its model cannot take
//! it, its weights are not there, or the device could not hold it. Then it is a job. The [`engine`] claims jobs one by one:
//! it sees that the model is in the worker's memory, hands it the order, and turns what the worker tells into the state
//! and progress of the job. A worker that dies is started anew and its job tried again, three times at most. The file is
//! written aside by the worker, then synced and named; only then the job has succeeded.
//!
//! States are those that the worker told. A video is `CANCELLED` when the worker said that the device is free.

pub mod config;
mod convert;
pub mod domain;
pub mod engine;
mod error;
mod grpc;
mod metrics;
mod serve;

pub use config::Config;
pub use engine::Engine;
pub use error::Error;
pub use serve::VideoGen;
