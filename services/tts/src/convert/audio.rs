//! `AudioConfig`: how the audio is to sound and to be written.

use std::ops::RangeInclusive;

use polyphony_audio::encode::Format;
use polyphony_audio::pcm::SampleRate;
use polyphony_proto::tts::v1 as pb;
use polyphony_wire::Refusals;

use crate::domain::{GAINS, PITCHES, Prosody, RATES};
use crate::sound::Encoding;

/// Samples a second that can be asked for.
const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=48_000;
/// Bits a second that can be asked for; what an encoding has of them it says itself.
const BIT_RATES: RangeInclusive<u32> = 6_000..=320_000;

/// What can be written, in the order of the enum.
const ENCODINGS: [(pb::OutputEncoding, Format); 8] = [
    (pb::OutputEncoding::Linear16, Format::Linear16),
    (pb::OutputEncoding::Float32, Format::Float32),
    (pb::OutputEncoding::Mulaw, Format::MuLaw),
    (pb::OutputEncoding::Alaw, Format::ALaw),
    (pb::OutputEncoding::Wav, Format::Wav),
    (pb::OutputEncoding::Flac, Format::Flac),
    (pb::OutputEncoding::OggOpus, Format::OggOpus),
    (pb::OutputEncoding::Mp3, Format::Mp3),
];

/// An audio config that is well formed. None: the caller does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AskedAudio {
    pub(crate) format: Option<Format>,
    pub(crate) sample_rate: Option<SampleRate>,
    pub(crate) speaking_rate: Option<f32>,
    pub(crate) pitch: Option<f32>,
    pub(crate) gain: Option<f32>,
    pub(crate) bit_rate: Option<u32>,
}

/// Where the audio goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one message, when it is whole.
    Whole,
    /// As it is made: what is written at the end of a file's making cannot be sent at its beginning.
    Stream,
}

/// The encodings that can be written here and now.
pub(crate) fn encodings() -> impl Iterator<Item = pb::OutputEncoding> {
    ENCODINGS
        .into_iter()
        .filter(|(_, format)| format.check_available().is_ok())
        .map(|(wire, _)| wire)
}

// === impl AskedAudio ===

impl AskedAudio {
    /// Parses an audio config.
    pub(crate) fn parse(wire: Option<pb::AudioConfig>, delivery: Delivery, refusals: &mut Refusals) -> Self {
        let Some(wire) = wire else { return Self::default() };
        let pb::AudioConfig {
            audio_encoding,
            sample_rate_hertz,
            speaking_rate,
            pitch,
            volume_gain_db,
            bit_rate,
        } = wire;
        let mut refuse =
            |field: &str, problem: String| refusals.add(&format!("audio_config.{field}"), problem);
        let format = match pb::OutputEncoding::try_from(audio_encoding) {
            Ok(pb::OutputEncoding::Unspecified) => None,
            Ok(wanted) => ENCODINGS
                .into_iter()
                .find_map(|(wire, format)| (wire == wanted).then_some(format)),
            Err(_) => {
                refuse("audio_encoding", "must be one of OutputEncoding".to_owned());
                None
            }
        };
        if delivery == Delivery::Stream && format.is_some_and(Format::is_file) {
            let problem = "is a whole file; in a stream ask for LINEAR16, FLOAT32, MULAW, ALAW or OGG_OPUS";
            refuse("audio_encoding", problem.to_owned());
        }
        for (field, value, range) in [
            ("speaking_rate", speaking_rate, RATES),
            ("pitch", pitch, PITCHES),
            ("volume_gain_db", volume_gain_db, GAINS),
        ] {
            if value.is_some_and(|value| !range.contains(&value)) {
                refuse(field, format!("must be {} to {}", range.start(), range.end()));
            }
        }
        if sample_rate_hertz.is_some_and(|rate| !SAMPLE_RATES.contains(&rate)) {
            refuse("sample_rate_hertz", "must be 8000 to 48000".to_owned());
        }
        if bit_rate.is_some_and(|rate| !BIT_RATES.contains(&rate)) {
            refuse("bit_rate", "must be 6000 to 320000".to_owned());
        } else if bit_rate.is_some() && !matches!(format, Some(Format::OggOpus | Format::Mp3)) {
            refuse("bit_rate", "is for OGG_OPUS and MP3 alone".to_owned());
        }
        Self {
            format,
            sample_rate: sample_rate_hertz.and_then(|rate| SampleRate::new(rate).ok()),
            speaking_rate,
            pitch,
            gain: volume_gain_db,
            bit_rate,
        }
    }

    /// With the defaults for a model of so many samples a second.
    pub(crate) fn encoding(&self, natural: SampleRate, delivery: Delivery) -> Encoding {
        let format = self.format.unwrap_or(match delivery {
            Delivery::Whole => Format::Wav,
            Delivery::Stream => Format::Linear16,
        });
        Encoding {
            format,
            rate: self.sample_rate.unwrap_or_else(|| format.rate_for(natural)),
            bit_rate: self.bit_rate.unwrap_or(Format::BIT_RATE),
        }
    }

    /// How it is said, where `voice` says it otherwise than others.
    pub(crate) fn prosody(&self, voice: &AskedProsody) -> Prosody {
        let natural = Prosody::NATURAL;
        Prosody {
            rate: self.speaking_rate.or(voice.rate).unwrap_or(natural.rate),
            pitch: self.pitch.or(voice.pitch).unwrap_or(natural.pitch),
            gain: self.gain.or(voice.gain).unwrap_or(natural.gain),
        }
    }
}

/// What a stored voice says of its manner.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct AskedProsody {
    pub(crate) rate: Option<f32>,
    pub(crate) pitch: Option<f32>,
    pub(crate) gain: Option<f32>,
}

/// As it is done, with every default filled in.
pub(crate) fn effective(encoding: Encoding, prosody: Prosody) -> pb::AudioConfig {
    let Encoding {
        format,
        rate,
        bit_rate,
    } = encoding;
    let wire = ENCODINGS
        .into_iter()
        .find_map(|(wire, own)| (own == format).then_some(wire));
    let has_bit_rate = matches!(format, Format::OggOpus | Format::Mp3);
    pb::AudioConfig {
        audio_encoding: wire.unwrap_or_default().into(),
        sample_rate_hertz: Some(rate.hz()),
        speaking_rate: Some(prosody.rate),
        pitch: Some(prosody.pitch),
        volume_gain_db: Some(prosody.gain),
        bit_rate: has_bit_rate.then_some(bit_rate),
    }
}
