//! Piper: VITS voices as ONNX graphs (`voice.onnx` beside `voice.onnx.json`), with the phones of espeak-ng.
//!
//! The text becomes phones clause by clause, with the punctuation that ended each; a sentence at a time goes through the
//! network. How long each phone is the network says itself, so the times of words and phones are those of its audio.
//!
//! What it gives is what the network gives: unlike `piper-tts` it does not bring each sentence to the same peak, which
//! could only be done when the sentence is over.

mod ids;
mod network;
mod parted;
mod plan;
mod reach;
mod settings;
mod windows;

use std::path::Path;

use polyphony_espeak as espeak;
use polyphony_espeak::Espeak;
use polyphony_inference::{Device, InferenceConfig, Runtime};
use polyphony_models::{Degradation, Provenance};

use super::Engine;
use super::delivery::{self, Line, Model, Sound};
use super::phonemes::{self, Spoken, Symbol, Wanted};
use super::shape::Native;
use crate::domain::{Abilities, Cancel, EngineInfo, Gender, Piece, Script, Utterance, Voice};
use crate::error::Error;
use ids::Ids;
use network::{Input, Network, Output};
use settings::{Phones, Settings};

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "piper";
/// What a file of settings is called behind the name of its graph.
pub const SETTINGS: &str = ".json";

/// A voice, or several, with their graph.
#[derive(Debug)]
pub struct PiperEngine {
    espeak: Espeak,
    phones: Option<espeak::Voice>,
    settings: Settings,
    network: Network,
    info: EngineInfo,
}

/// What can be said of a voice without loading it.
///
/// # Errors
/// [`Error::Engine`] when its settings cannot be read.
pub fn foretell(settings: &Path, model: &str, digest: &str) -> Result<EngineInfo, Error> {
    let settings = Settings::read(settings).map_err(failed)?;
    let abilities = Abilities {
        word_times: true,
        phone_times: matches!(settings.phones, Phones::Espeak(_)),
        seed: true,
        pronunciations: matches!(settings.phones, Phones::Espeak(_)),
    };
    Ok(info(
        &settings,
        model,
        digest,
        String::new(),
        "cpu".to_owned(),
        abilities,
    ))
}

// === impl PiperEngine ===

impl PiperEngine {
    /// Opens a voice: its graph, its settings beside it, and the folder of espeak-ng.
    ///
    /// # Errors
    /// [`Error::Engine`], whose source says what is missing or does not fit.
    pub fn open(
        graph: &Path,
        settings: &Path,
        espeak: &Path,
        (model, digest): (&str, &str),
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let file = settings;
        let settings = Settings::read(file).map_err(failed)?;
        let unfit = |problem: String| failed(polyphony_inference::Error::unfit(file, problem));
        let espeak = Espeak::open(espeak).map_err(|error| Error::engine(NAME, error))?;
        let phones = match &settings.phones {
            Phones::Espeak(name) => {
                let found = espeak.voice(name).or_else(|| espeak.voice_for(name).cloned());
                Some(found.ok_or_else(|| unfit(format!("espeak-ng has no voice \"{name}\"")))?)
            }
            Phones::Letters => None,
        };
        let loaded = runtime.get().map_err(failed)?;
        let placement = config.device.place(loaded).map_err(failed)?;
        if let Some(reason) = &placement.fallback {
            tracing::info!(reason, "Piper runs on the processor");
        }
        let device = placement.device;
        let width = config.width(device != Device::Cpu);
        let network = Network::open(loaded, graph, device, width).map_err(failed)?;
        if network.speakers() == settings.speakers.is_empty() {
            return Err(unfit(
                "the graph and its settings do not agree about speakers".to_owned(),
            ));
        }
        let tells = network.tells_durations();
        let abilities = Abilities {
            word_times: tells,
            phone_times: tells && phones.is_some(),
            seed: !network.is_random(),
            pronunciations: phones.is_some(),
        };
        let version = format!("onnxruntime {}, espeak-ng {}", loaded.version(), espeak.version());
        let info = info(&settings, model, digest, version, device.to_string(), abilities);
        Ok(Self {
            espeak,
            phones,
            settings,
            network,
            info,
        })
    }

    /// Whether the graph could be cut, so that its audio comes window by window.
    pub fn streams(&self) -> bool {
        self.network.is_parted()
    }

    fn phones(&self, script: &Script, times: bool, cancel: &Cancel) -> Result<Spoken, Error> {
        let Some(voice) = &self.phones else {
            return Ok(letters(script));
        };
        let wanted = Wanted {
            voice,
            tie: None,
            times,
        };
        phonemes::of(&self.espeak, script, wanted, cancel)
    }
}

impl Engine for PiperEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn speak(&self, utterance: &Utterance, cancel: &Cancel, out: &mut dyn FnMut(Piece)) -> Result<(), Error> {
        delivery::deliver(self, utterance, cancel, out)
    }
}

impl Model for PiperEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn native(&self) -> Native {
        Native {
            rates: 0.2..=5.0,
            pitches: 0.0..=0.0,
        }
    }

    fn say(&self, line: &Line<'_>, cancel: &Cancel, out: &mut dyn FnMut(Sound)) -> Result<(), Error> {
        let spoken = self.phones(line.script, line.times, cancel)?;
        let speakers = &self.settings.speakers;
        let at = self
            .info
            .voices
            .iter()
            .position(|voice| voice.id == line.voice.id);
        let speaker = at.and_then(|at| speakers.get(at)).map(|(_, number)| *number);
        for sentence in &spoken.sentences {
            let ids = Ids::of(sentence, &self.settings);
            if ids.symbols.is_empty() {
                continue;
            }
            let input = Input {
                ids: &ids.ids,
                speaker,
                noise: self.settings.noise,
                length: self.settings.length / line.rate,
                duration_noise: self.settings.duration_noise,
                seed: line.seed,
            };
            let mut hand_on = |output: Output| match output {
                Output::Ends(ends) => {
                    let ends = ends.unwrap_or_default();
                    out(Sound::Timeline(ids.timeline(
                        &spoken,
                        &ends,
                        line.times && !ends.is_empty(),
                    )));
                }
                Output::Audio(samples) => out(Sound::Audio(samples)),
            };
            self.network.run(&input, cancel, &mut hand_on).map_err(failed)?;
        }
        Ok(())
    }
}

/// A script whose letters are the symbols: one sentence, each word a phone.
fn letters(script: &Script) -> Spoken {
    let mut spoken = Spoken::default();
    let mut sentence = Vec::new();
    let mut word = false;
    for (at, character) in script.text().char_indices() {
        let begins = phonemes::is_letter(character) && !word;
        word = phonemes::is_letter(character);
        if begins {
            spoken.words.push(at..at);
            spoken.phones.push((String::new(), Some(spoken.words.len() - 1)));
        }
        if let Some(last) = spoken.words.last_mut().filter(|_| word) {
            last.end = at + character.len_utf8();
        }
        let phone = word.then(|| spoken.phones.len() - 1);
        sentence.push(Symbol { character, phone });
    }
    if !spoken.words.is_empty() {
        spoken.sentences.push(sentence);
    }
    spoken
}

fn info(
    settings: &Settings,
    model: &str,
    digest: &str,
    version: String,
    device: String,
    abilities: Abilities,
) -> EngineInfo {
    let base: String = plain(model.rsplit('/').next().unwrap_or(model));
    let voice = |id: String, title: String| Voice {
        id,
        title,
        languages: vec![settings.language.clone()],
        gender: Gender::Unknown,
    };
    let voices = if settings.speakers.is_empty() {
        vec![voice(base.clone(), base)]
    } else {
        let speakers = settings.speakers.iter();
        speakers
            .map(|(name, _)| voice(format!("{base}-{}", plain(name)), format!("{base}, {name}")))
            .collect()
    };
    // Voices of Arabic were trained on text with its vowels, which another model would have to put in.
    let degraded = settings.language.starts_with("ar").then(|| Degradation {
        reason: "NO_DIACRITICS",
        message:
            "Arabic text without its vowels is read as espeak-ng reads it; write them, or expect wrong ones"
                .to_owned(),
    });
    EngineInfo {
        made: Provenance {
            engine: NAME,
            version,
            model: model.to_owned(),
            digest: digest.to_owned(),
            device,
            degraded,
        },
        sample_rate: settings.sample_rate,
        voices,
        unspoken: Vec::new(),
        abilities,
    }
}

/// Letters, digits, `-` and `_`.
fn plain(name: &str) -> String {
    let letter = |character: char| {
        if character.is_ascii_alphanumeric() || character == '_' {
            character
        } else {
            '-'
        }
    };
    name.chars().map(letter).collect()
}

fn failed(error: polyphony_inference::Error) -> Error {
    Error::inference(NAME, error)
}

#[cfg(test)]
mod tests;
