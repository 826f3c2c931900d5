//! What can go wrong in alignment, and its kind.

use polyphony_error::{Fault, Kind};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for something that cannot be done: the fault says which field and what is accepted.
    #[error(transparent)]
    Request(Fault),
    /// The text takes longer to say than the audio lasts.
    #[error("the text cannot be said within the audio")]
    Misfit,
    /// The caller no longer wants the result.
    #[error("cancelled")]
    Cancelled,
    /// The model or its runtime failed.
    #[error("{engine} failed")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// Its own error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// A failure of an engine.
    pub fn engine(engine: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Engine {
            engine,
            source: source.into(),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(fault) => fault,
            Error::Misfit => {
                let message = "the text is too long for the audio (or for the times of its segments), even at the \
                               fastest that people speak; send the text of this recording";
                Self::new(Kind::FailedPrecondition, "TEXT_DOES_NOT_FIT", message)
            }
            Error::Cancelled => Self::new(Kind::Cancelled, "CANCELLED", "the caller went away"),
            Error::Engine { .. } => Self::internal(error),
        }
    }
}
