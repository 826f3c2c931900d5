//! What can go wrong between us and espeak-ng.

use std::path::PathBuf;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library is nowhere.
    #[error(
        "libespeak-ng was not found in {tried}; `pip install --no-deps --target DIR espeakng-loader==0.2.4` brings it, with \
         DIR in models.wheel_dirs"
    )]
    Missing {
        /// Every place that was looked at.
        tried: String,
    },
    /// The library is there and cannot be used.
    #[error("{} is not a usable libespeak-ng (1.51 or newer is needed)", path.display())]
    Unusable {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        #[source]
        source: libloading::Error,
    },
    /// The folder with its dictionaries and voices is not what the library wants.
    #[error("espeak-ng cannot use its data in {}: {problem}", path.display())]
    Data {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// It was opened from elsewhere before; it keeps one state a process.
    #[error("espeak-ng is already open from {}; a process has one", path.display())]
    Elsewhere {
        /// From where.
        path: PathBuf,
    },
    /// It has no such voice.
    #[error("espeak-ng has no voice \"{0}\"")]
    Voice(String),
    /// A pronunciation has a sound that the voice's language has not.
    #[error("the voice \"{voice}\" has no sound for \"{symbol}\" of the pronunciation \"{pronunciation}\"")]
    Pronunciation {
        /// The voice.
        voice: String,
        /// The first symbol that is not known.
        symbol: String,
        /// All of it.
        pronunciation: String,
    },
    /// More text than it takes at once.
    #[error("{bytes} bytes of text are more than the {most} that are spoken at once")]
    TooLong {
        /// The length of the text.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// A call failed.
    #[error("{function} failed with code {code}")]
    Call {
        /// The function of the library.
        function: &'static str,
        /// What it returned.
        code: i32,
    },
    /// The caller no longer wanted the result.
    #[error("cancelled")]
    Cancelled,
}
