//! Who speaks: from the names of a request to voices of loaded models.
//!
//! A name is a model's voice, or a stored one that the caller may use and that stands for a model's voice in a manner of
//! its own. Without a name the language decides, without a language the model. What engines cannot honour is refused
//! here, before a word is spoken.

use std::time::SystemTime;

use polyphony_audio::pcm::SampleRate;
use polyphony_chassis::Caller;
use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;

use crate::convert::audio::{AskedProsody, Delivery, effective};
use crate::convert::request::Asked;
use crate::domain::{EngineInfo, Item, Prosody, Utterance, Voice};
use crate::pronunciations::Pronunciations;
use crate::sound::Encoding;
use crate::synthesizers::{ModelVoice, PREFIX, Synthesizer, Synthesizers};
use crate::voices::Voices;

/// A request that can be honoured, all of it.
#[derive(Debug)]
pub(crate) struct Cast {
    /// Never empty; the first speaks plain text.
    pub(crate) speakers: Vec<Speaker>,
    pub(crate) encoding: Encoding,
    pub(crate) manner: Manner,
    pub(crate) pronunciations: Pronunciations,
    /// With every default filled in.
    pub(crate) effective: pb::SynthesisConfig,
}

/// One who speaks.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    /// What a multi-speaker text calls it; empty for who speaks all other text.
    pub(crate) alias: String,
    pub(crate) synthesizer: Synthesizer,
    /// One of the engine's.
    voice: Voice,
    /// The language that is spoken, one of the voice's.
    pub(crate) language: String,
    prosody: Prosody,
    /// As the effective config calls the voice.
    name: String,
}

/// What all speakers of a request do alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) word_times: bool,
    pub(crate) phone_times: bool,
    pub(crate) seed: Option<u64>,
    silence_scale: f32,
    /// In a stream it is said how much was spoken, by words where they are known.
    counted: bool,
}

/// Where voices are looked for, and by whom.
#[derive(Debug)]
pub(crate) struct Casting<'a> {
    pub(crate) synthesizers: &'a Synthesizers,
    pub(crate) voices: &'a Voices,
    pub(crate) caller: &'a Caller,
}

/// Which of its voices an engine is asked for.
#[derive(Debug, Clone)]
struct Wanted {
    model: String,
    /// Its id; none: one that speaks the language.
    voice: Option<String>,
    prosody: AskedProsody,
    name: String,
}

/// Languages that a refusal tells; a message is cut when it is long.
const TOLD: usize = 12;

impl Casting<'_> {
    /// Finds who speaks. With `aliases` alone the text has no part for a speaker without one.
    pub(crate) async fn cast(&self, asked: Asked, aliases: bool) -> Result<Cast, Fault> {
        let mut parts = Vec::new();
        if !aliases {
            parts.push((String::new(), asked.voice.clone(), format!("{}voice", asked.path)));
        }
        for (at, (alias, voice)) in asked.speakers.iter().enumerate() {
            let field = format!("{}speaker_voices[{at}].voice", asked.path);
            parts.push((alias.clone(), voice.clone(), field));
        }
        let mut speakers: Vec<Speaker> = Vec::with_capacity(parts.len());
        for (alias, name, field) in parts {
            let speaker = self.speaker(&asked, alias, &name, &field).await?;
            asked.fit(speaker.synthesizer.engine.info())?;
            speakers.push(speaker);
        }
        let Some(first) = speakers.first() else {
            let field = format!("{}speaker_voices", asked.path);
            return Err(Fault::invalid(
                field,
                "is empty; a text of several speakers needs their voices",
            ));
        };
        let info = first.synthesizer.engine.info();
        let natural = SampleRate::new(info.sample_rate).map_err(Fault::internal)?;
        let encoding = asked.audio.encoding(natural, asked.delivery);
        let manner = Manner {
            word_times: asked.word_times,
            phone_times: asked.phone_times,
            seed: asked.seed,
            silence_scale: asked.silence_scale,
            counted: asked.delivery == Delivery::Stream,
        };
        let named = speakers.iter().filter(|speaker| !speaker.alias.is_empty());
        let speaker_voices = named
            .map(|speaker| pb::SpeakerVoice {
                speaker_alias: speaker.alias.clone(),
                voice: speaker.name.clone(),
            })
            .collect();
        let pronunciations = asked.pronunciations.clone();
        let effective = pb::SynthesisConfig {
            model: info.made.model.clone(),
            language_code: first.language.clone(),
            voice: first.name.clone(),
            speaker_voices,
            audio_config: Some(effective(encoding, first.prosody)),
            ..asked.echo()
        };
        Ok(Cast {
            encoding,
            manner,
            pronunciations,
            effective,
            speakers,
        })
    }

    async fn speaker(&self, asked: &Asked, alias: String, name: &str, field: &str) -> Result<Speaker, Fault> {
        let wanted = self.wanted(asked, name, field).await?;
        let synthesizer = {
            let (voice, language) = (wanted.voice.clone(), asked.language.clone());
            let fits = move |info: &EngineInfo| match &voice {
                Some(voice) => info.voice(voice).is_some(),
                None => language.is_empty() || info.voice_for(&language).is_some(),
            };
            self.synthesizers.acquire(&wanted.model, fits).await?
        };
        let info = synthesizer.engine.info();
        let voice = match &wanted.voice {
            Some(id) => info.voice(id).ok_or_else(|| unknown(&wanted.name))?,
            None if asked.language.is_empty() => info.voices.first().ok_or_else(|| unknown(&wanted.name))?,
            None => info
                .voice_for(&asked.language)
                .ok_or_else(|| foreign(asked, info, &info.languages()))?,
        };
        let language = spoken(voice, &asked.language).ok_or_else(|| {
            let languages: Vec<&str> = voice.languages.iter().map(String::as_str).collect();
            foreign(asked, info, &languages)
        })?;
        Ok(Speaker {
            alias,
            voice: voice.clone(),
            language: language.to_owned(),
            prosody: asked.audio.prosody(&wanted.prosody),
            name: if wanted.name.is_empty() {
                format!("{PREFIX}{}", voice.id)
            } else {
                wanted.name
            },
            synthesizer,
        })
    }

    /// Which voice of which model a name means: a model's own before a stored one.
    async fn wanted(&self, asked: &Asked, name: &str, field: &str) -> Result<Wanted, Fault> {
        if name.is_empty() {
            return Ok(Wanted {
                model: asked.model.clone(),
                voice: None,
                prosody: AskedProsody::default(),
                name: String::new(),
            });
        }
        let present = self.synthesizers.voices().await?;
        if let Some(own) = find(&present, name, &asked.model) {
            return Ok(Wanted {
                model: form(own, &asked.model),
                voice: Some(own.voice.id.clone()),
                prosody: AskedProsody::default(),
                name: name.to_owned(),
            });
        }
        let id = name.strip_prefix(PREFIX).unwrap_or_default();
        let stored = self.voices.get(id).await?;
        if stored.is_none()
            && let Some(why) = self.synthesizers.refusal(name).await?
        {
            return Err(Fault::invalid(field.to_owned(), format!("{name} {why}")));
        }
        let stored = stored.ok_or_else(|| {
            let fault = unknown(name);
            fault.and_invalid(
                field.to_owned(),
                "is no voice here; ListVoices shows what there is",
            )
        })?;
        stored.check_spoken(self.caller, SystemTime::now())?;
        let record = &stored.record;
        let model = if record.model.is_empty() {
            &asked.model
        } else {
            &record.model
        };
        let own = find(&present, &record.voice, model).ok_or_else(|| {
            let message = format!(
                "{name} speaks with {}, which no model here has; pull one that does",
                record.voice
            );
            Fault::new(
                polyphony_error::Kind::FailedPrecondition,
                "VOICE_WITHOUT_MODEL",
                message,
            )
        })?;
        Ok(Wanted {
            model: form(own, model),
            voice: Some(own.voice.id.clone()),
            prosody: AskedProsody {
                rate: record.speaking_rate,
                pitch: record.pitch,
                gain: record.volume_gain_db,
            },
            name: name.to_owned(),
        })
    }
}

/// The form of a voice's model that is asked for; the best where it is not said.
fn form(own: &ModelVoice, asked: &str) -> String {
    if asked.is_empty() {
        own.model.to_string()
    } else {
        asked.to_owned()
    }
}

/// The voice of a name among those of the models, of one model alone where it is said.
pub(crate) fn find<'a>(present: &'a [ModelVoice], name: &str, model: &str) -> Option<&'a ModelVoice> {
    let rest = name.strip_prefix(PREFIX)?;
    // Whichever form of it: all have the same voices.
    let is_of = |own: &&ModelVoice, model: &str| {
        let id = model.split('@').next().unwrap_or_default();
        id.is_empty() || id == own.model.id.as_str()
    };
    let exact = present.iter().find(|own| own.name == name && is_of(own, model));
    exact.or_else(|| {
        // Of a certain model, or by its longer name.
        let (of, id) = rest.rsplit_once('/').unwrap_or((model, rest));
        present
            .iter()
            .find(|own| !of.is_empty() && own.voice.id == id && is_of(own, of) && is_of(own, model))
    })
}

/// The voice's language that serves what was asked for; its first where nothing was.
fn spoken<'a>(voice: &'a Voice, asked: &str) -> Option<&'a str> {
    let first = voice.languages.first().map(String::as_str);
    if asked.is_empty() {
        return first;
    }
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let same = |own: &&String| own.eq_ignore_ascii_case(asked);
    // A voice of another region is better than none, and who asks for "en" takes any.
    let near = |own: &&String| primary(own) == primary(asked);
    let found = voice.languages.iter().find(same);
    found
        .or_else(|| voice.languages.iter().find(near))
        .map(String::as_str)
}

fn unknown(name: &str) -> Fault {
    Fault::not_found("voice", name.to_owned(), "ListVoices shows what there is")
}

fn foreign(asked: &Asked, info: &EngineInfo, known: &[&str]) -> Fault {
    let (field, said) = (format!("{}language_code", asked.path), &asked.language);
    let (engine, model) = (info.made.engine, &info.made.model);
    let some = known[..known.len().min(TOLD)].join(", ");
    let rest = match known.len().saturating_sub(TOLD) {
        0 => String::new(),
        rest => format!(" and {rest} more, which GetCapabilities lists"),
    };
    let message =
        format!("{said} is not a language of the voice, of {engine} ({model}); it speaks {some}{rest}");
    Fault::invalid(field, message).with_reason("LANGUAGE")
}

// === impl Cast ===

impl Cast {
    /// The speaker of plain text.
    pub(crate) fn first(&self) -> &Speaker {
        // A cast without speakers is not made.
        &self.speakers[0]
    }

    /// The speaker of an alias, as an index.
    pub(crate) fn speaker(&self, alias: &str, field: &str) -> Result<usize, Fault> {
        let named = |speaker: &Speaker| !alias.is_empty() && speaker.alias == alias;
        self.speakers.iter().position(named).ok_or_else(|| {
            let problem = "is none of the aliases in speaker_voices of the config";
            Fault::invalid(field.to_owned(), problem)
        })
    }

    /// Items as an utterance of a speaker.
    pub(crate) fn utterance(&self, speaker: usize, items: Vec<Item>) -> Utterance {
        let Speaker {
            synthesizer,
            voice,
            language,
            prosody,
            ..
        } = &self.speakers[speaker];
        let counted = self.manner.counted && synthesizer.engine.info().abilities.word_times;
        Utterance {
            items,
            voice: voice.id.clone(),
            language: (voice.languages.first() != Some(language)).then(|| language.clone()),
            prosody: *prosody,
            silence_scale: self.manner.silence_scale,
            seed: self.manner.seed,
            word_times: self.manner.word_times || counted,
            phone_times: self.manner.phone_times,
        }
    }
}
