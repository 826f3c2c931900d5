//! The verbs of diarization: what every engine can do. One file an engine in `engine/`.
//!
//! An engine knows nothing of gRPC. It is blocking and CPU-bound: callers run it on a blocking thread. Streaming is a
//! state machine fed with samples ([`Stream`]), so it is tested without a socket.

pub mod activity;
pub mod cache;
pub mod ge2e;
pub mod pyannote;
pub mod trouble;

use crate::domain::{Cancel, Diarization, Ended, EngineInfo, Event, Options, StreamOptions, Voice};
use crate::error::Error;

/// A diarizer with its models loaded; shared by all requests.
pub trait Engine: Send + Sync {
    /// What it is.
    fn info(&self) -> &EngineInfo;

    /// Tells who speaks when in a whole recording, mono at 16 kHz, -1 to 1, of any length.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after `cancel`; [`Error::Engine`] when a model fails.
    fn diarize(&self, audio: &[f32], options: &Options, cancel: &Cancel) -> Result<Diarization, Error>;

    /// The voice of a recording that is meant to be of one person. None when nobody speaks in it.
    ///
    /// # Errors
    /// As [`diarize`](Self::diarize).
    fn voice(&self, audio: &[f32], cancel: &Cancel) -> Result<Option<Voice>, Error>;

    /// Begins a stream.
    ///
    /// # Errors
    /// [`Error::Engine`] when a model fails.
    fn stream(&self, options: &StreamOptions, cancel: &Cancel) -> Result<Box<dyn Stream>, Error>;
}

/// One stream, fed as it is spoken. Its memory does not grow with its length beyond what its segments take. What it
/// tells depends on the samples alone, not on how they were cut. Dropping it frees what it holds.
pub trait Stream: Send {
    /// Takes the next samples, mono at 16 kHz, and tells what follows from them.
    ///
    /// # Errors
    /// As [`Engine::diarize`]; the stream is of no use afterwards.
    fn push(&mut self, samples: &[f32]) -> Result<Vec<Event>, Error>;

    /// How many samples have been worked through: segments before them are told, and change by revisions only.
    fn settled(&self) -> u64;

    /// Tells what is left, now that no more comes.
    ///
    /// # Errors
    /// As [`Engine::diarize`].
    fn finish(self: Box<Self>) -> Result<(Vec<Event>, Ended), Error>;
}
