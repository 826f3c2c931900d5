//! What can go wrong in an engine, whatever it recognises or makes, and what of it is the caller's business.

use std::borrow::Cow;

use polyphony_error::{Fault, Kind};

use crate::Error;

/// What can go wrong in an engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
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

// === impl EngineError ===

impl EngineError {
    /// A failure of an engine.
    pub fn engine(engine: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Engine {
            engine,
            source: source.into(),
        }
    }

    /// A field of the request that cannot be honoured, and why.
    pub fn refused(field: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Request(Fault::invalid(field, why))
    }

    /// What a session or its runtime says, in the name of an engine.
    pub fn inference(engine: &'static str, error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Cancelled,
            // These two tell the operator what to do, so they must not end as "internal error".
            error @ (Error::RuntimeMissing { .. } | Error::DeviceUnavailable { .. }) => {
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

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        Self::Request(fault)
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Request(fault) => fault,
            EngineError::Cancelled => Self::new(Kind::Cancelled, "CANCELLED", "the caller went away"),
            EngineError::Engine { .. } => Self::internal(error),
        }
    }
}
