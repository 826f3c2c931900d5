//! Sessions on ONNX Runtime, devices and GPU truth.
//!
//! What an engine needs to run a model file, and nothing about what the model means:
//!
//! - [`Runtime`] finds the ONNX Runtime library and opens it on first use, so that a process without a model stays
//!   small and starts at once;
//! - [`DeviceChoice`] and [`Device`] say where to run, and refuse a GPU that is not there instead of quietly using the
//!   processor; [`gpu`] reports what the NVIDIA driver says;
//! - [`SessionPool`] holds the sessions of one model file, for callers on many threads;
//! - [`EngineError`] is what the engines of all services fail with;
//! - [`crew`] does one thing to many items on several threads, as many as there are sessions;
//! - [`silero`] is the one model that several services share: voice activity.
//!
//! It downloads and verifies nothing: paths come from the model store, which saw to it that the bytes are the right ones
//! and that a graph takes its weights from no file but the model's.

mod cancel;
mod config;
pub mod crew;
mod device;
mod engine;
mod error;
pub mod gpu;
mod pool;
mod runtime;
mod session;
pub mod silero;

pub use cancel::{Cancel, CancelOnDrop};
pub use config::InferenceConfig;
pub use device::{Device, DeviceChoice, Placement};
pub use engine::EngineError;
pub use error::Error;
/// The binding to ONNX Runtime, so that engines need not name its version.
pub use ort;
pub use pool::{Lease, Port, SessionPool};
pub use runtime::{Loaded, Runtime};
pub use session::{Graph, SessionSettings, TensorRt, TerminateOn, open, open_graph};
