//! What can go wrong between a model file and its results.

use std::path::PathBuf;

use polyphony_error::{Fault, Kind};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ONNX Runtime library is nowhere.
    #[error(
        "the ONNX Runtime library was not found (looked at {tried}); `make setup` or `pip install onnxruntime==1.31.1` \
         into one of `inference.wheel_dirs` installs it, or set `inference.onnxruntime` to its file"
    )]
    RuntimeMissing {
        /// Every place that was looked at.
        tried: String,
    },
    /// The library is there and cannot be used.
    #[error("{} is not a usable ONNX Runtime (1.20 or newer is needed)", path.display())]
    RuntimeUnusable {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The device that was asked for cannot be had.
    #[error("device \"{device}\" is not available: {reason}")]
    DeviceUnavailable {
        /// As it was asked for.
        device: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A model file cannot be opened.
    #[error("the model file {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What ONNX Runtime or the file system says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model file is not what its user takes it for.
    #[error("the model file {} does not fit: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A run of the model failed.
    #[error("running the model failed")]
    Run(#[from] ort::Error),
    /// The caller no longer wanted the result.
    #[error("cancelled")]
    Cancelled,
}

// === impl Error ===

impl Error {
    /// A file that cannot be opened.
    pub fn open(
        path: impl Into<PathBuf>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Open {
            path: path.into(),
            source: source.into(),
        }
    }

    /// A model file that is not what its user takes it for.
    pub fn unfit(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self::Unfit {
            path: path.into(),
            problem: problem.into(),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::RuntimeMissing { .. } => {
                Self::new(Kind::FailedPrecondition, "ONNXRUNTIME_MISSING", error.to_string())
            }
            Error::DeviceUnavailable { .. } => {
                Self::new(Kind::FailedPrecondition, "DEVICE_UNAVAILABLE", error.to_string())
            }
            Error::Cancelled => Self::new(Kind::Cancelled, "CANCELLED", "the caller went away"),
            Error::RuntimeUnusable { .. } | Error::Open { .. } | Error::Unfit { .. } | Error::Run(_) => {
                Self::internal(error)
            }
        }
    }
}
