//! The verbs of speech recognition: what every engine can do. One file an engine in `engine/`.
//!
//! An engine knows nothing of gRPC. It is blocking and CPU-bound: callers run it on a blocking thread. Streaming is a
//! state machine fed with samples ([`Utterance`]), so it is tested without a socket.

pub mod agreement;
pub mod pocketsphinx;
pub mod whisper;

use crate::domain::{Cancel, DecodeOptions, EngineInfo, Transcript};
use crate::error::Error;

/// A recogniser with its model loaded; shared by all requests.
pub trait Engine: Send + Sync {
    /// What it is.
    fn info(&self) -> &EngineInfo;

    /// Recognises a whole recording of any length, mono at 16 kHz, -1 to 1. Times count from its first sample.
    ///
    /// # Errors
    /// [`Error::Cancelled`] within two decode steps of `cancel`; [`Error::Engine`] when the model fails.
    fn recognize(&self, audio: &[f32], options: &DecodeOptions, cancel: &Cancel)
    -> Result<Transcript, Error>;

    /// Begins an utterance that is fed as it is spoken.
    ///
    /// # Errors
    /// [`Error::Engine`] when the model fails.
    fn utterance(&self, options: &DecodeOptions, cancel: &Cancel) -> Result<Box<dyn Utterance>, Error>;
}

/// One utterance, fed as it is spoken. Times count from its first sample. Dropping it frees what it holds.
pub trait Utterance: Send {
    /// Takes the next samples, mono at 16 kHz. Cheap for engines that re-decode, the decoding itself for those that
    /// decode as they go.
    ///
    /// # Errors
    /// As [`Engine::recognize`].
    fn accept(&mut self, samples: &[f32]) -> Result<(), Error>;

    /// What has been said so far, words with times. The result depends on the samples alone, not on how they were cut.
    ///
    /// # Errors
    /// As [`Engine::recognize`].
    fn hypothesis(&mut self) -> Result<Transcript, Error>;

    /// What was said, now that no more comes.
    ///
    /// # Errors
    /// As [`Engine::recognize`].
    fn finish(self: Box<Self>) -> Result<Transcript, Error>;
}
