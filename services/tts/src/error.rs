//! What can go wrong in speech synthesis, and its kind.

use polyphony_error::{Fault, Kind};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for something that cannot be done: the fault says which field and what is accepted.
    #[error(transparent)]
    Request(Fault),
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

// === impl Error ===

impl Error {
    /// A failure of an engine.
    pub fn engine(engine: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Engine {
            engine,
            source: source.into(),
        }
    }

    /// A field of the request that cannot be honoured, and why.
    pub fn refused(field: &'static str, why: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Request(Fault::invalid(field, why))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Request(fault) => fault,
            Error::Cancelled => Self::new(Kind::Cancelled, "CANCELLED", "the caller went away"),
            Error::Engine { .. } => Self::internal(error),
        }
    }
}
