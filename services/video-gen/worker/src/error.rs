//! What can go wrong in the worker, and its kind.

use std::io;
use std::path::{Path, PathBuf};

use crate::catalogue::{Missing, Refused};
use crate::protocol::FailureKind;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The order cannot be done.
    #[error(transparent)]
    Order(#[from] Refused),
    /// There is no such model.
    #[error(transparent)]
    Model(#[from] Missing),
    /// A file of a model is not there, or is not what the model needs.
    #[error("{}: {problem}", path.display())]
    Weights {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what was expected.
        problem: String,
    },
    /// The device cannot be had.
    #[error("device \"{device}\" cannot be had: {reason}")]
    Device {
        /// As it was asked for.
        device: String,
        /// Why, and what helps.
        reason: String,
    },
    /// A file could not be written.
    #[error("{} could not be {doing}", path.display())]
    Storage {
        /// Which.
        path: PathBuf,
        /// "written", "synced", "renamed"…
        doing: &'static str,
        /// The system's own error.
        #[source]
        source: io::Error,
    },
    /// The encoder of video or images failed.
    #[error("the frames could not be encoded: {0}")]
    Encoding(String),
    /// LibTorch failed.
    #[error("LibTorch failed: {0}")]
    Torch(String),
    /// A network made what are no numbers.
    #[error(
        "the transformer made infinities or what are no numbers: its weights are damaged, or flow_shift is beyond use"
    )]
    NotNumbers,
    /// It was given up.
    #[error("cancelled")]
    Cancelled,
}

/// What most functions here return.
pub type Result<T> = std::result::Result<T, Error>;

// === impl Error ===

impl Error {
    /// A file of a model that is not what the model needs.
    pub fn weights(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Weights {
            path: path.into(),
            problem: problem.into(),
        }
    }

    /// A file that could not be written.
    pub fn storage(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Storage { path, doing, source }
    }

    /// What it says, with its causes: for the one line that the parent gets.
    pub fn message(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        message
    }

    /// Whose fault it is.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Order(_) => FailureKind::InvalidArgument,
            Self::Model(_) => FailureKind::UnknownModel,
            Self::Weights { .. } | Self::NotNumbers => FailureKind::Weights,
            Self::Device { .. } => FailureKind::Device,
            Self::Storage { .. } => FailureKind::Storage,
            // LibTorch has no code for it, only these words, on CUDA and on the processor.
            Self::Torch(what) if what.contains("out of memory") || what.contains("can't allocate memory") => {
                FailureKind::Device
            }
            Self::Encoding(_) | Self::Torch(_) | Self::Cancelled => FailureKind::Internal,
        }
    }
}
