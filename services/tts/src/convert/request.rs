//! `SynthesisConfig`: what is asked for, checked as far as can be without a model.

use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;
use polyphony_wire::{Expected, Refusals};

use super::audio::{AskedAudio, Delivery};
use crate::domain::{EngineInfo, SILENCES};
use crate::phones::{self, Notation};
use crate::pronunciations::Pronunciations;
use crate::synthesizers::PREFIX;

/// The most characters of an alias, of a language code, of a voice's name, and of a phrase.
const MOST_ALIAS: usize = 64;
const MOST_LANGUAGE: usize = 35;
const MOST_NAME: usize = 256;
const MOST_PHRASE: usize = 200;
const MOST_PRONUNCIATIONS: usize = 1_000;
const MOST_SPEAKERS: usize = 64;

/// A config that is well formed.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Where it stands in the request, as "config.".
    pub(crate) path: String,
    /// The model's name; empty: the voice's, else the default.
    pub(crate) model: String,
    /// Empty: the voice's.
    pub(crate) language: String,
    /// Empty: the model's first for the language.
    pub(crate) voice: String,
    /// Aliases and voices.
    pub(crate) speakers: Vec<(String, String)>,
    pub(crate) audio: AskedAudio,
    pub(crate) delivery: Delivery,
    pub(crate) pronunciations: Pronunciations,
    pub(crate) word_times: bool,
    pub(crate) phone_times: bool,
    pub(crate) silence_scale: f32,
    pub(crate) seed: Option<u64>,
    expected: Expected,
    expected_model_digest: String,
    custom_pronunciations: Vec<pb::CustomPronunciation>,
}

/// The paths that an engine honours, for `GetCapabilities`.
pub(crate) fn supported_fields(info: &EngineInfo) -> Vec<String> {
    let mut fields = vec![
        "config.model",
        "config.language_code",
        "config.voice",
        "config.speaker_voices",
        "config.audio_config.audio_encoding",
        "config.audio_config.sample_rate_hertz",
        "config.audio_config.speaking_rate",
        "config.audio_config.pitch",
        "config.audio_config.volume_gain_db",
        "config.audio_config.bit_rate",
        "config.silence_scale",
        "config.expected_model_digest",
        "input.text",
        "input.ssml",
        "input.multi_speaker",
        "max_buffer_duration",
    ];
    let abilities = info.abilities;
    for (able, field) in [
        (abilities.word_times, "config.enable_word_time_offsets"),
        (abilities.phone_times, "config.enable_phoneme_time_offsets"),
        (abilities.pronunciations, "config.custom_pronunciations"),
        (abilities.seed, "config.seed"),
    ] {
        if able {
            fields.push(field);
        }
    }
    fields.into_iter().map(str::to_owned).collect()
}

// === impl Asked ===

impl Asked {
    /// Parses a config; `path` is where it stands in the request, as "config.".
    pub(crate) fn parse(
        config: Option<pb::SynthesisConfig>,
        path: &str,
        delivery: Delivery,
    ) -> Result<Self, Fault> {
        let mut refusals = Refusals::at(path.to_owned());
        let pb::SynthesisConfig {
            model,
            language_code,
            voice,
            speaker_voices,
            audio_config,
            custom_pronunciations,
            enable_word_time_offsets,
            enable_phoneme_time_offsets,
            silence_scale,
            seed,
            num_steps,
            expected_model_digest,
        } = config.unwrap_or_default();
        if !language_code.is_empty() && !is_language_tag(&language_code) {
            refusals.add("language_code", "must be a BCP-47 code, as \"en-GB\"");
        }
        if !voice.is_empty() && !is_voice_name(&voice) {
            refusals.add("voice", WRONG_NAME);
        }
        if silence_scale.is_some_and(|scale| !SILENCES.contains(&scale)) {
            refusals.add("silence_scale", "must be 0 to 3");
        }
        if num_steps.is_some() {
            refusals.add("num_steps", "is not supported: no engine here works in steps");
        }
        let speakers = parse_speakers(speaker_voices, &mut refusals);
        let pronunciations = parse_pronunciations(&custom_pronunciations, &mut refusals);
        let audio = AskedAudio::parse(audio_config, delivery, &mut refusals);
        let expected = Expected::parse(&expected_model_digest, &mut refusals);
        refusals.finish()?;
        Ok(Self {
            path: path.to_owned(),
            model,
            language: language_code.replace('_', "-"),
            voice,
            speakers,
            audio,
            delivery,
            pronunciations,
            word_times: enable_word_time_offsets.unwrap_or(false),
            phone_times: enable_phoneme_time_offsets.unwrap_or(false),
            silence_scale: silence_scale.unwrap_or(1.0),
            seed,
            expected,
            expected_model_digest,
            custom_pronunciations,
        })
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<(), Fault> {
        let mut refusals = Refusals::at(self.path.clone());
        let (engine, model) = (info.made.engine, &info.made.model);
        let abilities = info.abilities;
        for (asked, able, field, problem) in [
            (
                self.word_times,
                abilities.word_times,
                "enable_word_time_offsets",
                "it does not know when words are heard",
            ),
            (
                self.phone_times,
                abilities.phone_times,
                "enable_phoneme_time_offsets",
                "it does not know when phones are heard",
            ),
            (
                !self.pronunciations.is_empty(),
                abilities.pronunciations,
                "custom_pronunciations",
                "it takes no pronunciations",
            ),
            (
                self.seed.is_some(),
                abilities.seed,
                "seed",
                "its chance cannot be repeated",
            ),
        ] {
            if asked && !able {
                refusals.add(
                    field,
                    format!("is not supported by {engine} ({model}): {problem}"),
                );
            }
        }
        refusals.finish()?;
        self.expected.check(&info.made.digest, &self.path)
    }

    /// What is the same in the effective config.
    pub(crate) fn echo(self) -> pb::SynthesisConfig {
        pb::SynthesisConfig {
            custom_pronunciations: self.custom_pronunciations,
            enable_word_time_offsets: Some(self.word_times),
            enable_phoneme_time_offsets: Some(self.phone_times),
            silence_scale: Some(self.silence_scale),
            seed: self.seed,
            expected_model_digest: self.expected_model_digest,
            ..pb::SynthesisConfig::default()
        }
    }
}

const WRONG_NAME: &str = "must be \"voices/\" and a name; ListVoices shows what there is";

fn is_voice_name(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@".contains(c);
    !rest.is_empty() && name.len() <= MOST_NAME && rest.chars().all(plain)
}

/// Subtags of 1 to 8 letters and digits.
fn is_language_tag(code: &str) -> bool {
    let subtag =
        |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    code.len() <= MOST_LANGUAGE && code.split(['-', '_']).all(subtag)
}

fn parse_speakers(wire: Vec<pb::SpeakerVoice>, refusals: &mut Refusals) -> Vec<(String, String)> {
    if wire.len() > MOST_SPEAKERS {
        refusals.add("speaker_voices", "must be at most 64");
        return Vec::new();
    }
    let mut speakers: Vec<(String, String)> = Vec::with_capacity(wire.len());
    for (at, speaker) in wire.into_iter().enumerate() {
        let pb::SpeakerVoice { speaker_alias, voice } = speaker;
        let mut refuse = |field: &str, problem: &'static str| {
            refusals.add(&format!("speaker_voices[{at}].{field}"), problem);
        };
        if speaker_alias.is_empty() || speaker_alias.chars().nth(MOST_ALIAS).is_some() {
            refuse("speaker_alias", "must have 1 to 64 characters");
        }
        if speakers.iter().any(|(alias, _)| *alias == speaker_alias) {
            refuse("speaker_alias", "is there twice");
        }
        if !is_voice_name(&voice) {
            refuse("voice", WRONG_NAME);
        }
        speakers.push((speaker_alias, voice));
    }
    speakers
}

fn parse_pronunciations(wire: &[pb::CustomPronunciation], refusals: &mut Refusals) -> Pronunciations {
    let mut parsed = Pronunciations::default();
    if wire.len() > MOST_PRONUNCIATIONS {
        refusals.add("custom_pronunciations", "must be at most 1000");
        return parsed;
    }
    for (at, custom) in wire.iter().enumerate() {
        let pb::CustomPronunciation {
            phrase,
            phonetic_encoding,
            pronunciation,
        } = custom;
        let mut refuse = |field: &str, problem: String| {
            refusals.add(&format!("custom_pronunciations[{at}].{field}"), problem);
        };
        let notation = match pb::PhoneticEncoding::try_from(*phonetic_encoding) {
            Ok(pb::PhoneticEncoding::Ipa) => Some(Notation::Ipa),
            Ok(pb::PhoneticEncoding::XSampa) => Some(Notation::XSampa),
            Ok(pb::PhoneticEncoding::JapaneseYomigana | pb::PhoneticEncoding::Pinyin) => {
                refuse(
                    "phonetic_encoding",
                    "is not supported; write it in IPA or X_SAMPA".to_owned(),
                );
                None
            }
            Ok(pb::PhoneticEncoding::Unspecified) | Err(_) => {
                refuse("phonetic_encoding", "must be IPA or X_SAMPA".to_owned());
                None
            }
        };
        let ipa = match notation.map(|notation| phones::ipa(pronunciation, notation)) {
            Some(Ok(ipa)) => ipa,
            Some(Err(problem)) => {
                refuse("pronunciation", problem);
                continue;
            }
            None => continue,
        };
        if phrase.chars().nth(MOST_PHRASE).is_some() || !parsed.add(phrase, &ipa) {
            refuse(
                "phrase",
                "must be one or more words, at most 200 characters".to_owned(),
            );
        }
    }
    parsed
}
