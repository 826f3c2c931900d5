//! What can go wrong in this engine, and what of it is the caller's business.

use std::path::PathBuf;

use polyphony_inference::{Error as InferenceError, ort};

use crate::Error;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum CtcError {
    /// The folder is not a CTC model as this engine knows them.
    #[error("{} is not a wav2vec2 or MMS model with a CTC head: {problem}", folder.display())]
    Layout { folder: PathBuf, problem: String },
    /// A file cannot be read or does not say what it should.
    #[error("{} cannot be read as what it should be", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The model or its runtime.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The model gives what no sound model gives.
    #[error("the model's output is unusable: {0}")]
    Output(String),
}

impl CtcError {
    pub(super) fn file(
        path: impl Into<PathBuf>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::File {
            path: path.into(),
            source: source.into(),
        }
    }
}

impl From<ort::Error> for CtcError {
    fn from(error: ort::Error) -> Self {
        Self::Inference(error.into())
    }
}

impl From<CtcError> for Error {
    fn from(error: CtcError) -> Self {
        match error {
            CtcError::Inference(InferenceError::Cancelled) => Self::Cancelled,
            // These two tell the operator what to do, so they must not end as "internal error".
            CtcError::Inference(
                error @ (InferenceError::RuntimeMissing { .. } | InferenceError::DeviceUnavailable { .. }),
            ) => Self::Request(error.into()),
            other => Self::engine(super::NAME, other),
        }
    }
}
