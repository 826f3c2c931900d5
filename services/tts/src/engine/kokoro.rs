//! Kokoro (hexgrad, 82 M parameters): StyleTTS 2 with an ISTFTNet decoder as an ONNX graph, with the phones of espeak-ng
//! written as misaki writes them.
//!
//! A voice is a style vector for each number of phones. The network normalises over all of what it says, so it runs on a
//! clause as a whole, and audio comes clause by clause. How long each phone is it knows; most exports do not give that, but
//! where it can be found within the graph the graph is made to tell it. Else times are estimated, and say so.
//!
//! It is not misaki: for English that has a dictionary of its own and asks espeak-ng only for words that are not in it.
//! Japanese and Chinese need phonemisers that are not here; their voices are refused by name.

mod durations;
mod network;
mod phones;
mod vocabulary;
mod voices;

use std::path::{Path, PathBuf};

use polyphony_espeak as espeak;
use polyphony_espeak::Espeak;
use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_models::Provenance;

use super::Engine;
use super::delivery::{self, Line, Model, Sound};
use super::phonemes::{self, Wanted};
use super::shape::Native;
use super::timeline;
use crate::domain::{Abilities, Cancel, EngineInfo, Piece, Timing, Utterance};
use crate::error::Error;
use durations::Ends;
use network::Network;
use phones::Accent;
use vocabulary::Vocabulary;
use voices::Style;

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "kokoro";
/// Samples a second.
const RATE: u32 = 24_000;

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The graph.
    pub graph: PathBuf,
    /// `tokenizer.json` or `config.json`: which phone has which id.
    pub vocabulary: PathBuf,
    /// `voices/*.bin`, each named for its voice.
    pub voices: Vec<PathBuf>,
}

/// The voices with their graph.
#[derive(Debug)]
pub struct KokoroEngine {
    espeak: Espeak,
    vocabulary: Vocabulary,
    /// As those of `info`, with the voices of espeak-ng that make their phones.
    styles: Vec<(Style, espeak::Voice)>,
    network: Network,
    info: EngineInfo,
}

/// What can be said of a model without loading it.
///
/// # Errors
/// [`Error::Engine`] when no voice of it can be spoken with.
pub fn foretell(files: &Files, model: &str, digest: &str) -> Result<EngineInfo, Error> {
    let styles = Style::among(&files.voices);
    // Exports use chance that cannot be repeated.
    info(&styles, (model, digest), String::new(), "cpu".to_owned(), false)
}

// === impl KokoroEngine ===

impl KokoroEngine {
    /// Opens a model: its files, and the folder of espeak-ng.
    ///
    /// # Errors
    /// [`Error::Engine`], whose source says what is missing or does not fit.
    pub fn open(
        files: &Files,
        espeak: &Path,
        names: (&str, &str),
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let vocabulary = Vocabulary::read(&files.vocabulary).map_err(failed)?;
        let espeak = Espeak::open(espeak).map_err(|error| Error::engine(NAME, error))?;
        let loaded = runtime.get().map_err(failed)?;
        let placement = config.device.place(loaded).map_err(failed)?;
        if let Some(reason) = &placement.fallback {
            tracing::info!(reason, "Kokoro runs on the processor");
        }
        let device = placement.device;
        // A clause runs as a whole, so all cores work on one; a session has a third of a gigabyte.
        let network = Network::open(loaded, &files.graph, device, config.width(true)).map_err(failed)?;
        let mut styles = Vec::new();
        for style in Style::among(&files.voices) {
            style.check().map_err(failed)?;
            let found = style.spoken().and_then(|(_, name)| {
                let voice = espeak.voice(name).or_else(|| espeak.voice_for(name).cloned());
                voice.map(|voice| (style.clone(), voice))
            });
            styles.extend(found);
        }
        let version = format!("onnxruntime {}, espeak-ng {}", loaded.version(), espeak.version());
        let all = Style::among(&files.voices);
        let seed = !network.is_random();
        let info = info(&all, names, version, device.to_string(), seed)?;
        Ok(Self {
            espeak,
            vocabulary,
            styles,
            network,
            info,
        })
    }
}

impl Engine for KokoroEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn speak(&self, utterance: &Utterance, cancel: &Cancel, out: &mut dyn FnMut(Piece)) -> Result<(), Error> {
        delivery::deliver(self, utterance, cancel, out)
    }
}

impl Model for KokoroEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn native(&self) -> Native {
        Native {
            rates: self.network.speeds(),
            pitches: 0.0..=0.0,
        }
    }

    fn say(&self, line: &Line<'_>, cancel: &Cancel, out: &mut dyn FnMut(Sound)) -> Result<(), Error> {
        let found = self.styles.iter().find(|(style, _)| style.id == line.voice.id);
        let (style, voice) =
            found.ok_or_else(|| Error::refused("config.voice", "Kokoro has no such voice"))?;
        let wanted = Wanted {
            voice,
            tie: Some(phones::TIE),
            times: line.times,
        };
        let spoken = phonemes::of(&self.espeak, line.script, wanted, cancel)?;
        let accent = Accent::of(style.spoken().map_or("", |(language, _)| language));
        for sentence in &spoken.sentences {
            let sentence = phones::written(sentence, accent);
            for part in self.vocabulary.parts(&sentence) {
                let row = style.row(part.len()).map_err(failed)?;
                let ids = vocabulary::padded(&part);
                let made = self.network.run(&ids, row, line.rate, cancel).map_err(failed)?;
                let (ends, timing) = match made.durations {
                    Some(durations) => (Ends::told(&durations, made.samples.len()), Timing::Model),
                    None => (Ends::estimated(&part, &made.samples, RATE), Timing::Estimated),
                };
                let places: Vec<_> = part
                    .iter()
                    .enumerate()
                    .map(|(at, (symbol, _))| (*symbol, at + 1..at + 2))
                    .collect();
                out(Sound::Timeline(delivery::Timeline {
                    timing,
                    ..timeline::of(&places, &spoken, &ends.0, line.times)
                }));
                out(Sound::Audio(made.samples));
            }
        }
        Ok(())
    }
}

fn info(
    styles: &[Style],
    (model, digest): (&str, &str),
    version: String,
    device: String,
    seed: bool,
) -> Result<EngineInfo, Error> {
    let voices: Vec<_> = styles.iter().filter_map(Style::voice).collect();
    if voices.is_empty() {
        return Err(Error::engine(
            NAME,
            "it has no voice of a language that is spoken here; voices/af_heart.bin is one",
        ));
    }
    Ok(EngineInfo {
        made: Provenance {
            engine: NAME,
            version,
            model: model.to_owned(),
            digest: digest.to_owned(),
            device,
            degraded: None,
        },
        sample_rate: RATE,
        voices,
        unspoken: styles.iter().filter_map(Style::refusal).collect(),
        abilities: Abilities {
            word_times: true,
            phone_times: true,
            seed,
            pronunciations: true,
        },
    })
}

fn failed(error: polyphony_inference::Error) -> Error {
    Error::inference(NAME, error)
}

#[cfg(test)]
mod tests;
