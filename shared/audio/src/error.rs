//! What can be wrong with audio, each in words that a client can act on.
//!
//! A message is a predicate without its subject, so that an adapter can put the field's own name before it:
//! `Fault::invalid("audio.inline", error.to_string())` reads "audio.inline: is empty; send at least one sample".

use std::borrow::Cow;
use std::time::Duration;

use thiserror::Error;

use crate::probe::Container;

/// Everything that this crate refuses.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// Not one byte was sent.
    #[error("is empty; send at least one sample")]
    Empty,
    /// The first bytes belong to no audio container that we know.
    #[error(
        "is not audio in a known container (it begins with {begins}); send WAV, FLAC, MP3, Ogg, M4A or WebM, \
         or name the encoding of raw samples"
    )]
    NotAudio {
        /// The first bytes in hexadecimal.
        begins: String,
    },
    /// A container that we know by name and do not read.
    #[error("is {found}, which is not supported; send WAV, FLAC, MP3, Ogg, M4A or WebM")]
    UnsupportedContainer {
        /// Its name.
        found: &'static str,
    },
    /// The container is not the one that was announced.
    #[error("is {found} although {expected} was announced; correct the announced encoding or leave it out")]
    WrongContainer {
        /// What the request said.
        expected: Container,
        /// What the bytes are.
        found: Container,
    },
    /// The container is readable and the codec in it is not.
    #[error("holds {codec} in {container}, which is not supported; re-encode it as FLAC or Opus")]
    UnsupportedCodec {
        /// Where it was found.
        container: Container,
        /// The codec or the feature of it.
        codec: Cow<'static, str>,
    },
    /// The container holds no audio track.
    #[error("is {container} without an audio track that can be decoded; send one with sound")]
    NoAudioTrack {
        /// Where it was looked for.
        container: Container,
    },
    /// All is well formed and no sample came out.
    #[error("is {container} with no samples in it; send at least one sample")]
    NoSamples {
        /// The container, now known to be empty.
        container: Container,
    },
    /// Zero channels, or more than are allowed.
    #[error("has {found} channels; 1 to {max} are accepted")]
    Channels {
        /// The declared number.
        found: u32,
        /// The limit in force.
        max: u32,
    },
    /// A sample rate outside of what audio uses.
    #[error("has a sample rate of {found} Hz; 8000 to 192000 Hz are accepted")]
    SampleRate {
        /// The declared rate.
        found: u32,
    },
    /// Rate or channels change in the middle.
    #[error("changes its sample rate or channels in the middle; send each part on its own")]
    FormatChanged,
    /// A sample is NaN or infinite.
    #[error("has a sample that is not a finite number; send finite samples, full scale is -1 to 1")]
    NotFinite,
    /// Raw samples that end in the middle of one.
    #[error("ends in the middle of a sample: {left} bytes are left over where a frame has {frame}")]
    PartialSample {
        /// Bytes left over.
        left: usize,
        /// Bytes in one sample of all channels.
        frame: usize,
    },
    /// More encoded bytes than are allowed.
    #[error("is larger than {limit} bytes; split it, or send a compressed format")]
    TooManyBytes {
        /// The limit in force.
        limit: u64,
    },
    /// Tags, pictures and tables before the first sound exceed the limit.
    #[error(
        "has more than {limit} bytes of headers and tags before its first sound; remove cover art and tags"
    )]
    HeaderTooLarge {
        /// The limit in force.
        limit: u64,
    },
    /// More audio than is allowed, by its own declaration or in truth.
    #[error("lasts longer than {limit:?}; split it")]
    TooLong {
        /// The limit in force.
        limit: Duration,
    },
    /// The decoded samples would exceed the limit.
    #[error("decodes to more than {limit} bytes of samples; split it, or lower its rate or channels")]
    DecodedTooLarge {
        /// The limit in force.
        limit: u64,
    },
    /// Decoding takes far longer than honest audio needs.
    #[error("takes too long to decode, as only damaged or crafted files do; re-encode it")]
    TooSlow,
    /// The input ended before the audio did.
    #[error("ends early: {decoded:?} of audio {}; send the whole file", declared_text(.declared))]
    Truncated {
        /// The length of what was decoded before.
        decoded: Duration,
        /// The length that the file declares, where it does.
        declared: Option<Duration>,
    },
    /// The bytes break the rules of their container or codec.
    #[error("is damaged {container}: {reason}; re-encode it")]
    Corrupt {
        /// The container.
        container: Container,
        /// What is wrong.
        reason: Cow<'static, str>,
    },
    /// The decoder panicked on this input and was caught. Worth a person's look.
    #[error("is {container} that our decoder failed on; re-encode it")]
    DecoderFailed {
        /// The container.
        container: Container,
    },
    /// The container may need its end before its beginning.
    #[error(
        "is {container}, whose index may come after the sound, so it is not decoded as it arrives; \
         send the whole file to Recognize, or stream FLAC, Ogg Opus, WebM, MP3, WAV or raw samples"
    )]
    NotStreamable {
        /// The container.
        container: Container,
    },
    /// More was fed than was taken out. A bug of the caller, not of the client.
    #[error("was fed faster than it was taken out; take all blocks before the next bytes")]
    Backlog,
    /// The caller asked to stop.
    #[error("was not wanted any more")]
    Cancelled,
    /// A setting of ours is out of range.
    #[error("{name} {problem}")]
    Setting {
        /// Its name, as in the API.
        name: &'static str,
        /// What is wrong and what is accepted.
        problem: Cow<'static, str>,
    },
}

/// Whose fault it is and which status fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The input is wrong: `INVALID_ARGUMENT`.
    Invalid,
    /// The input is fine and too much: `INVALID_ARGUMENT` or `RESOURCE_EXHAUSTED`, as the service prefers.
    Limit,
    /// Nobody waits for the answer: `CANCELLED`.
    Cancelled,
    /// We are wrong: `INTERNAL`.
    Internal,
}

// === impl Error ===

impl Error {
    /// A stable `UPPER_SNAKE_CASE` reason for `google.rpc.ErrorInfo`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "AUDIO_EMPTY",
            Self::NotAudio { .. } => "AUDIO_NOT_RECOGNIZED",
            Self::UnsupportedContainer { .. } => "AUDIO_CONTAINER_UNSUPPORTED",
            Self::WrongContainer { .. } => "AUDIO_CONTAINER_MISMATCH",
            Self::UnsupportedCodec { .. } => "AUDIO_CODEC_UNSUPPORTED",
            Self::NoAudioTrack { .. } => "AUDIO_NO_TRACK",
            Self::NoSamples { .. } => "AUDIO_NO_SAMPLES",
            Self::Channels { .. } => "AUDIO_CHANNELS",
            Self::SampleRate { .. } => "AUDIO_SAMPLE_RATE",
            Self::FormatChanged => "AUDIO_FORMAT_CHANGED",
            Self::NotFinite => "AUDIO_NOT_FINITE",
            Self::PartialSample { .. } => "AUDIO_PARTIAL_SAMPLE",
            Self::TooManyBytes { .. } => "AUDIO_TOO_LARGE",
            Self::HeaderTooLarge { .. } => "AUDIO_HEADER_TOO_LARGE",
            Self::TooLong { .. } => "AUDIO_TOO_LONG",
            Self::DecodedTooLarge { .. } => "AUDIO_DECODED_TOO_LARGE",
            Self::TooSlow => "AUDIO_TOO_SLOW",
            Self::Truncated { .. } => "AUDIO_TRUNCATED",
            Self::Corrupt { .. } => "AUDIO_CORRUPT",
            Self::DecoderFailed { .. } => "AUDIO_DECODER_FAILED",
            Self::NotStreamable { .. } => "AUDIO_NOT_STREAMABLE",
            Self::Backlog => "AUDIO_BACKLOG",
            Self::Cancelled => "CANCELLED",
            Self::Setting { .. } => "INVALID_SETTING",
        }
    }

    /// Which kind of status fits.
    pub const fn class(&self) -> Class {
        match self {
            Self::TooManyBytes { .. }
            | Self::HeaderTooLarge { .. }
            | Self::TooLong { .. }
            | Self::DecodedTooLarge { .. } => Class::Limit,
            Self::Cancelled => Class::Cancelled,
            Self::Backlog => Class::Internal,
            Self::Empty
            | Self::NotAudio { .. }
            | Self::UnsupportedContainer { .. }
            | Self::WrongContainer { .. }
            | Self::UnsupportedCodec { .. }
            | Self::NoAudioTrack { .. }
            | Self::NoSamples { .. }
            | Self::Channels { .. }
            | Self::SampleRate { .. }
            | Self::FormatChanged
            | Self::NotFinite
            | Self::PartialSample { .. }
            | Self::TooSlow
            | Self::Truncated { .. }
            | Self::Corrupt { .. }
            | Self::DecoderFailed { .. }
            | Self::NotStreamable { .. }
            | Self::Setting { .. } => Class::Invalid,
        }
    }

    pub(crate) fn setting(name: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self::Setting {
            name,
            problem: problem.into(),
        }
    }
}

fn declared_text(declared: &Option<Duration>) -> String {
    declared.map_or_else(
        || "came out before the end of the bytes".to_owned(),
        |declared| format!("of the declared {declared:?} came out"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_a_sentence_after_the_field() {
        let error = Error::Truncated {
            decoded: Duration::from_millis(1500),
            declared: Some(Duration::from_secs(3)),
        };
        assert_eq!(
            error.to_string(),
            "ends early: 1.5s of audio of the declared 3s came out; send the whole file"
        );
        assert_eq!(
            (error.reason(), error.class()),
            ("AUDIO_TRUNCATED", Class::Invalid)
        );
    }
}
