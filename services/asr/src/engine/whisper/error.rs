//! What can go wrong in this engine, and what of it is the caller's business.

use std::path::PathBuf;

use polyphony_error::Fault;
use polyphony_inference::{Error as InferenceError, ort};

use crate::Error;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum WhisperError {
    /// The folder is not a Whisper model as this engine knows them.
    #[error("{} is not a Whisper model of the optimum / transformers.js layout: {problem}", folder.display())]
    Layout { folder: PathBuf, problem: String },
    /// A file cannot be read or does not say what it should.
    #[error("{} cannot be read as what it should be", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Text and tokens do not convert.
    #[error("the tokenizer failed")]
    Tokenizer(#[source] tokenizers::Error),
    /// The features cannot be made.
    #[error("the features cannot be made")]
    Features(#[from] polyphony_audio::Error),
    /// The model or its runtime.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The model gives what no sound model gives.
    #[error("the model's output is unusable: {0}")]
    Output(String),
    /// The request asks for what the model cannot do.
    #[error(transparent)]
    Request(Fault),
}

impl WhisperError {
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

impl From<ort::Error> for WhisperError {
    fn from(error: ort::Error) -> Self {
        Self::Inference(error.into())
    }
}

impl From<WhisperError> for Error {
    fn from(error: WhisperError) -> Self {
        match error {
            WhisperError::Request(fault) => Self::Request(fault),
            WhisperError::Inference(error) => Self::inference(super::NAME, error),
            other => Self::engine(super::NAME, other),
        }
    }
}
