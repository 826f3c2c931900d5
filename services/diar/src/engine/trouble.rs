//! What can go wrong in the engines, and what of it is the caller's business.

use std::path::PathBuf;

use polyphony_inference::{Error as InferenceError, ort};

use crate::Error;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The model or its runtime.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The features or stretches cannot be made.
    #[error("the audio cannot be worked through")]
    Audio(#[from] polyphony_audio::Error),
    /// A model says of itself what cannot be.
    #[error("the model {} does not fit: {problem}", path.display())]
    Model {
        /// Its file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
}

impl From<ort::Error> for Trouble {
    fn from(error: ort::Error) -> Self {
        Self::Inference(error.into())
    }
}

impl Trouble {
    /// As an error of this crate.
    pub fn of(self, engine: &'static str) -> Error {
        match self {
            Self::Inference(error) => Error::inference(engine, error),
            other => Error::engine(engine, other),
        }
    }
}
