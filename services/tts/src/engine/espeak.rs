//! espeak-ng: the voice that needs no model. It speaks over a hundred languages at once and clearly, and sounds like a
//! machine, so every receipt says `degraded`.
//!
//! Its pitch flutters from where it last stopped, so the same text never gives quite the same audio: it takes no seed.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use polyphony_espeak as espeak;
use polyphony_espeak::{Espeak, Pronunciation, Settings, Speech};
use polyphony_models::{Degradation, Provenance};

use super::Engine;
use super::delivery::{self, Line, Model, Sound, TimedWord, Timeline};
use super::shape::Native;
use crate::domain::{Abilities, Cancel, EngineInfo, Gender, Piece, Saying, Script, Timing, Utterance, Voice};
use crate::error::Error;

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "espeak";
/// The file of the library in the wheel; its folder has the data, too.
pub const LIBRARY: &str = "espeakng_loader/libespeak-ng.so.1";
/// Ids of voices begin with it, so that they are told from those of other engines.
const PREFIX: &str = "espeak-";
/// The throat of the second voice of each language; the first is heard as male.
const FEMALE: &str = "f2";
/// Silence between phones that counts as a pause, in samples: 30 ms.
const PAUSE: usize = espeak::Speech::SAMPLE_RATE as usize * 3 / 100;

/// The engine.
#[derive(Debug)]
pub struct EspeakEngine {
    espeak: Espeak,
    info: EngineInfo,
    /// By id.
    voices: HashMap<String, espeak::Voice>,
}

// === impl EspeakEngine ===

impl EspeakEngine {
    /// Opens the library and data in a folder, as that of the wheel.
    ///
    /// # Errors
    /// [`Error::Engine`], whose source says what is missing and what brings it.
    pub fn open(folder: &Path, model: String, digest: String) -> Result<Self, Error> {
        let espeak = Espeak::open(folder).map_err(|error| Error::engine(NAME, error))?;
        let mut voices = HashMap::new();
        let mut told = Vec::new();
        for voice in ordered(&espeak) {
            let female = voice.with_variant(FEMALE);
            for (voice, ending) in [(Some(voice), ""), (female, "-f")] {
                let Some(voice) = voice else { continue };
                let id = format!("{PREFIX}{}{ending}", voice.language().to_ascii_lowercase());
                if voice.language().is_empty() || voices.contains_key(&id) {
                    continue;
                }
                told.push(Voice {
                    id: id.clone(),
                    title: voice.name.clone(),
                    languages: voice.languages.clone(),
                    gender: match voice.gender {
                        espeak::Gender::Male => Gender::Male,
                        espeak::Gender::Female => Gender::Female,
                        espeak::Gender::Unknown => Gender::Unknown,
                    },
                });
                voices.insert(id, voice);
            }
        }
        let info = EngineInfo {
            made: Provenance {
                engine: NAME,
                version: format!("espeak-ng {}", espeak.version()),
                model,
                digest,
                device: "cpu".to_owned(),
                degraded: Some(degradation()),
            },
            sample_rate: Speech::SAMPLE_RATE,
            voices: told,
            unspoken: Vec::new(),
            abilities: Abilities {
                word_times: true,
                phone_times: true,
                seed: false,
                pronunciations: true,
            },
        };
        Ok(Self { espeak, info, voices })
    }
}

impl Engine for EspeakEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn speak(&self, utterance: &Utterance, cancel: &Cancel, out: &mut dyn FnMut(Piece)) -> Result<(), Error> {
        delivery::deliver(self, utterance, cancel, out)
    }
}

impl Model for EspeakEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn native(&self) -> Native {
        let (slowest, fastest) = Settings::RATES;
        Native {
            rates: slowest..=fastest,
            pitches: -12.0..=11.5,
        }
    }

    fn say(&self, line: &Line<'_>, cancel: &Cancel, out: &mut dyn FnMut(Sound)) -> Result<(), Error> {
        let voice = self.voices.get(&line.voice.id);
        let voice = voice.ok_or_else(|| Error::refused("config.voice", "espeak-ng has no such voice"))?;
        let pronunciations = pronunciations(line.script);
        let script = espeak::Script {
            text: line.script.text(),
            pronunciations: &pronunciations,
        };
        let settings = Settings {
            rate: line.rate,
            pitch: line.pitch,
        };
        // A script is a sentence or less; one that is longer comes as one, so that its times are known with its audio.
        let speech = self
            .espeak
            .render(voice, script, settings, &|| cancel.is_cancelled());
        let speech = speech.map_err(failed)?;
        out(Sound::Timeline(timeline(&speech)));
        let samples = speech.samples.iter().map(|&sample| f32::from(sample) / 32_768.0);
        out(Sound::Audio(samples.collect()));
        Ok(())
    }
}

/// The voices: American English first, since the default is the first; then by name.
fn ordered(espeak: &Espeak) -> Vec<espeak::Voice> {
    let mut voices = espeak.voices().to_vec();
    voices.sort_by_key(|voice| voice.language() != "en-US");
    voices
}

fn degradation() -> Degradation {
    Degradation {
        reason: "NO_NEURAL_VOICE",
        message: "espeak-ng speaks clearly and like a machine; `polyphony models list` shows neural voices, and `polyphony \
                  models pull` brings one"
            .to_owned(),
    }
}

fn pronunciations(script: &Script) -> Vec<Pronunciation> {
    let said = script.spans().iter().filter_map(|span| match &span.saying {
        Saying::Phones(ipa) => Some(Pronunciation {
            range: span.range.clone(),
            ipa: ipa.clone(),
        }),
        Saying::Same | Saying::Instead => None,
    });
    said.collect()
}

fn timeline(speech: &Speech) -> Timeline {
    let words = speech.words.iter().enumerate().map(|(at, word)| {
        let own = speech.phones.iter().filter(|phone| phone.word == Some(at));
        TimedWord {
            range: word.range.clone(),
            time: word.time.clone(),
            phones: own
                .map(|phone| (phone.symbol.clone(), phone.time.clone()))
                .collect(),
        }
    });
    Timeline {
        words: words.collect(),
        pauses: pauses(speech),
        timing: Timing::Model,
    }
}

/// Where no phone is heard.
fn pauses(speech: &Speech) -> Vec<Range<usize>> {
    let mut pauses = Vec::new();
    let mut at = 0;
    let ends = speech.phones.iter().map(|phone| phone.time.clone());
    for time in ends.chain(std::iter::once(speech.samples.len()..speech.samples.len())) {
        if time.start >= at + PAUSE {
            pauses.push(at..time.start);
        }
        at = at.max(time.end);
    }
    pauses
}

fn failed(error: espeak::Error) -> Error {
    match error {
        espeak::Error::Cancelled => Error::Cancelled,
        error @ (espeak::Error::Pronunciation { .. } | espeak::Error::TooLong { .. }) => {
            Error::refused("input", error.to_string())
        }
        error => Error::engine(NAME, error),
    }
}
