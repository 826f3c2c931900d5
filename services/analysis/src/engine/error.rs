//! What can go wrong in an engine, and what of it is the caller's business.

use polyphony_error::{Fault, Kind};
use polyphony_inference::{Error as InferenceError, ort};

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

impl Error {
    /// A failure of an engine.
    pub fn engine(engine: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Engine {
            engine,
            source: source.into(),
        }
    }

    /// What ONNX Runtime says, in the name of an engine.
    pub fn inference(engine: &'static str, error: InferenceError) -> Self {
        match error {
            InferenceError::Cancelled => Self::Cancelled,
            // These two tell the operator what to do, so they must not end as "internal error".
            error @ (InferenceError::RuntimeMissing { .. } | InferenceError::DeviceUnavailable { .. }) => {
                Self::Request(error.into())
            }
            other => Self::engine(engine, other),
        }
    }

    /// What the binding to ONNX Runtime says, in the name of an engine.
    pub fn ort(engine: &'static str, error: ort::Error) -> Self {
        Self::inference(engine, error.into())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
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
