//! How the audio of a request is encoded, and its bytes decoded to what engines hear.

use std::time::Duration;

use polyphony_audio::Class;
use polyphony_audio::decode::{Decoded, Decoder};
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::pcm::{Encoding, Spec};
use polyphony_audio::probe::{Container, Probe, probe};
use polyphony_audio::stream::Format;
use polyphony_error::{Fault, Kind};
use polyphony_proto::types::v1 as types;
use types::AudioEncoding as Wire;

use crate::Refusals;

/// Samples a second that speech is decoded to.
const SPEECH: u32 = 16_000;
/// The most channels of raw audio.
const MOST_CHANNELS: u32 = 8;

/// What can be decoded; the raw ones need a sample rate.
pub const ENCODINGS: [Wire; 11] = [
    Wire::Linear16,
    Wire::Mulaw,
    Wire::Alaw,
    Wire::Float32,
    Wire::Wav,
    Wire::Flac,
    Wire::Mp3,
    Wire::OggOpus,
    Wire::OggVorbis,
    Wire::WebmOpus,
    Wire::M4aAac,
];

/// Parses `explicit_decoding`. None: the format is found from the first bytes.
pub fn format(explicit: Option<types::ExplicitDecoding>, refusals: &mut Refusals) -> Format {
    let Some(explicit) = explicit else {
        return Format::Auto;
    };
    let types::ExplicitDecoding {
        encoding,
        sample_rate_hertz,
        audio_channel_count,
    } = explicit;
    let raw = match Wire::try_from(encoding) {
        Ok(Wire::Linear16) => Encoding::S16,
        Ok(Wire::Mulaw) => Encoding::MuLaw,
        Ok(Wire::Alaw) => Encoding::ALaw,
        Ok(Wire::Float32) => Encoding::F32,
        Ok(Wire::Wav) => return container(Container::Wav, explicit, refusals),
        Ok(Wire::Flac) => return container(Container::Flac, explicit, refusals),
        Ok(Wire::Mp3) => return container(Container::Mp3, explicit, refusals),
        Ok(Wire::OggOpus | Wire::OggVorbis) => return container(Container::Ogg, explicit, refusals),
        Ok(Wire::WebmOpus) => return container(Container::Matroska, explicit, refusals),
        Ok(Wire::M4aAac) => return container(Container::Mp4, explicit, refusals),
        Ok(Wire::Unspecified) | Err(_) => {
            refusals.add(
                "explicit_decoding.encoding",
                "must be one of AudioEncoding, or leave explicit_decoding out",
            );
            return Format::Auto;
        }
    };
    let channels = if audio_channel_count == 0 {
        1
    } else {
        audio_channel_count
    };
    if channels > MOST_CHANNELS {
        refusals.add("explicit_decoding.audio_channel_count", "must be 1 to 8");
    }
    match Spec::new(sample_rate_hertz, channels.min(MOST_CHANNELS)) {
        Ok(spec) => Format::Raw { encoding: raw, spec },
        Err(_) => {
            refusals.add(
                "explicit_decoding.sample_rate_hertz",
                "must be 8000 to 192000 for raw samples",
            );
            Format::Auto
        }
    }
}

/// A container says its own rate and channels; a second opinion would have to be ignored.
fn container(container: Container, explicit: types::ExplicitDecoding, refusals: &mut Refusals) -> Format {
    let message = format!("must be left out: {container} says it itself");
    if explicit.sample_rate_hertz != 0 {
        refusals.add("explicit_decoding.sample_rate_hertz", message.clone());
    }
    if explicit.audio_channel_count != 0 {
        refusals.add("explicit_decoding.audio_channel_count", message);
    }
    Format::Container(container)
}

/// Opens a whole recording in its own rate and channels.
///
/// # Errors
/// When the bytes are not of that format, or beyond the limits.
pub fn open<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Decoder<'a>, polyphony_audio::Error> {
    match format {
        Format::Auto => Decoder::open(bytes, limits, cancel),
        Format::Container(expected) => {
            if let Probe::Found(found) = probe(bytes)?
                && found != expected
            {
                return Err(polyphony_audio::Error::WrongContainer { expected, found });
            }
            Decoder::open(bytes, limits, cancel)
        }
        Format::Raw { encoding, spec } => Decoder::open_raw(bytes, encoding, spec, limits),
    }
}

/// Decodes a whole recording to mono at 16 kHz. Blocks for as long as that takes.
///
/// # Errors
/// As [`open`], and when it is damaged or cancelled.
pub fn decode(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Decoded, polyphony_audio::Error> {
    open(bytes, format, limits, cancel)?.into_speech(limits, cancel)
}

/// The limits of a whole recording that is decoded to mono at 16 kHz and no longer than `longest`.
pub fn limits(bytes: &[u8], longest: Duration) -> Limits {
    Limits {
        max_bytes: bytes.len() as u64,
        max_duration: longest,
        max_decoded_bytes: longest
            .as_secs()
            .saturating_add(1)
            .saturating_mul(u64::from(SPEECH) * 4),
        ..Limits::default()
    }
}

/// Audio that cannot be used, in the field that brought it.
pub fn fault(error: polyphony_audio::Error, field: &str) -> Fault {
    let (reason, class) = (error.reason(), error.class());
    match class {
        Class::Invalid => Fault::invalid(field.to_owned(), error.to_string()).with_reason(reason),
        Class::Limit => {
            let text = format!("{field}: {error}");
            Fault::exhausted(reason, field.to_owned(), text, None)
                .and_invalid(field.to_owned(), error.to_string())
        }
        Class::Cancelled => Fault::new(Kind::Cancelled, "CANCELLED", "the caller went away"),
        Class::Internal => Fault::internal(error),
    }
}
