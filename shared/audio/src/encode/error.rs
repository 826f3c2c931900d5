//! What can go wrong when sound is written. None of it is about input that was heard: that is [`crate::Error`].

use std::borrow::Cow;

/// Why sound is not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The format has no such rate, channels or bit rate.
    #[error("{problem}")]
    Setting {
        /// The setting as the API calls it: `sample_rate_hertz`, `bit_rate` or `audio_channel_count`.
        field: &'static str,
        /// What is wrong and what is accepted.
        problem: Cow<'static, str>,
    },
    /// The samples end in the middle of a frame. A bug of the caller.
    #[error("the samples end in the middle of a frame: {left} are left over where a frame has {channels}")]
    PartialFrame {
        /// Samples left over.
        left: usize,
        /// Samples in a frame.
        channels: usize,
    },
    /// A library that is opened at run time is not on this machine, or another version of it.
    #[error("{library} cannot be opened; `apt-get install {package}` brings it")]
    Missing {
        /// Its file name.
        library: &'static str,
        /// What has it in Debian.
        package: &'static str,
        /// What the loader says.
        source: libloading::Error,
    },
    /// More than the format can say.
    #[error("a WAV file ends at 4 GiB; ask for FLAC, or for less at once")]
    TooLong,
    /// The codec's library failed.
    #[error("the encoder failed: {reason}")]
    Failed {
        /// In its own words or number.
        reason: Cow<'static, str>,
    },
}

// === impl Error ===

impl Error {
    pub(super) fn setting(field: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::Setting {
            field,
            problem: problem.into(),
        }
    }

    pub(super) fn failed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Failed {
            reason: reason.into(),
        }
    }
}
