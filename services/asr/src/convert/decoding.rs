//! How the audio of a request is encoded, and its bytes decoded to what engines hear.

use polyphony_audio::decode::{Decoded, Decoder};
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::pcm::{Encoding, Spec};
use polyphony_audio::probe::{Container, Probe, probe};
use polyphony_audio::stream::Format;
use polyphony_error::{Fault, Kind};
use polyphony_proto::asr::v1::recognition_config::Decoding;
use polyphony_proto::types::v1 as types;
use types::AudioEncoding as Wire;

use super::Refusals;

/// The most channels of raw audio.
const MOST_CHANNELS: u32 = 8;

/// What can be decoded; the raw ones need a sample rate.
pub(crate) const ENCODINGS: [Wire; 11] = [
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

/// Parses the decoding of a config.
pub(crate) fn format(decoding: Option<Decoding>, refusals: &mut Refusals) -> Format {
    let explicit = match decoding {
        None | Some(Decoding::AutoDecoding(types::AutoDecoding {})) => return Format::Auto,
        Some(Decoding::ExplicitDecoding(explicit)) => explicit,
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
                "must be one of AudioEncoding, or use auto_decoding",
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

/// The bytes of media; others than inline ones are refused by name. `path` is that of the media in the request.
pub(crate) fn inline(media: Option<types::Media>, path: &str) -> Result<prost::bytes::Bytes, Fault> {
    use types::media::Source;
    match media.and_then(|types::Media { source }| source) {
        None => Err(Fault::invalid(
            path.to_owned(),
            "must be set; put the bytes of the recording into inline",
        )),
        Some(Source::Inline(bytes)) if bytes.is_empty() => Err(audio_is_empty(path)),
        Some(Source::Inline(bytes)) => Ok(bytes),
        Some(Source::BlobDigest(_)) => {
            let message = format!("{path}.blob_digest: there is no blob store here; send the bytes inline");
            Err(Fault::unimplemented("BLOB_STORE_ABSENT", message)
                .and_invalid(format!("{path}.blob_digest"), "is not supported"))
        }
        Some(Source::Uri(_)) => {
            let message = format!("{path}.uri: no scheme or host is allowed here; send the bytes inline");
            let fault = Fault::new(Kind::PermissionDenied, "URI_NOT_ALLOWED", message);
            Err(fault.and_invalid(format!("{path}.uri"), "is not allowed"))
        }
    }
}

fn audio_is_empty(path: &str) -> Fault {
    super::audio_fault(polyphony_audio::Error::Empty, &format!("{path}.inline"))
}

/// Decodes a whole recording to mono at 16 kHz. Blocks for as long as that takes.
pub(crate) fn decode(
    bytes: &[u8],
    format: Format,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Decoded, polyphony_audio::Error> {
    let decoder = match format {
        Format::Auto => Decoder::open(bytes, limits, cancel)?,
        Format::Container(expected) => {
            if let Probe::Found(found) = probe(bytes)?
                && found != expected
            {
                return Err(polyphony_audio::Error::WrongContainer { expected, found });
            }
            Decoder::open(bytes, limits, cancel)?
        }
        Format::Raw { encoding, spec } => Decoder::open_raw(bytes, encoding, spec, limits)?,
    };
    decoder.into_speech(limits, cancel)
}
