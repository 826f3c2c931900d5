//! The verbs of speech synthesis: what every engine can do. One file an engine in `engine/`.
//!
//! An engine knows nothing of gRPC. It is blocking and CPU-bound: callers run it on a blocking thread. It gets an
//! utterance, of a clause or more, and gives audio in the order of time, each word with the audio in which it begins.
//! What rate, pitch, volume and pauses an engine's model has not is done to its audio here, for all alike.

mod delivery;
pub mod espeak;
#[cfg(test)]
mod golden;
mod graph;
pub mod kokoro;
mod pauses;
mod phonemes;
pub mod piper;
mod shape;
mod stage;
mod stretch;
mod timeline;

use crate::domain::{Cancel, EngineInfo, Piece, Utterance};
use crate::error::Error;

/// A voice, or several, with the model loaded; shared by all requests.
pub trait Engine: Send + Sync {
    /// What it is.
    fn info(&self) -> &EngineInfo;

    /// Speaks an utterance: hands `out` audio as it is made, nothing for an utterance that is silent. It may wait in
    /// `out`; no lock is held then.
    ///
    /// # Errors
    /// [`Error::Request`] before any audio, when the utterance asks for what [`EngineInfo`] says it cannot do;
    /// [`Error::Cancelled`] soon after `cancel`; [`Error::Engine`] when the model fails.
    fn speak(&self, utterance: &Utterance, cancel: &Cancel, out: &mut dyn FnMut(Piece)) -> Result<(), Error>;
}
