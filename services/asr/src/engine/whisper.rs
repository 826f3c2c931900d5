//! Whisper on ONNX Runtime: the export layout that hub users have, greedy, with a key/value cache.
//!
//! Follows openai-whisper (Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision"): its
//! features, rules, windows and word alignment. Nothing about a model is assumed but what its files say, so tiny, turbo,
//! distilled, English-only and fine-tuned models load alike.
//!
//! In reading order: `layout` finds the files, `settings` and `vocabulary` read them, `features` makes what the
//! encoder hears, `network` and `scores` run the graphs, `rules` says what may come next, `greedy` decodes a window,
//! `segments` cuts it, `transcribe` goes through a recording and gives a `transcription`, `repetition` finds loops in
//! it; `words`, `alignment` and `word_times` say when each word was said; `utterance` is the stream.
//!
//! It does not beam-search, does not carry text from window to window, and encodes one window at a time.

mod alignment;
mod error;
mod features;
mod greedy;
mod layout;
mod network;
mod repetition;
mod rules;
mod scores;
mod segments;
mod settings;
mod transcribe;
mod transcription;
mod utterance;
mod vocabulary;
mod word_times;
mod words;

use std::sync::Arc;
use std::time::Duration;

use polyphony_inference::{Device, InferenceConfig, Placement, Runtime};
use polyphony_models::Provenance;

use self::alignment::Heads;
use self::error::WhisperError;
use self::features::{Extractor, WINDOW_FRAMES};
use self::network::Network;
use self::segments::Tick;
use self::settings::Settings;
use self::transcribe::{Wanted, Words};
use self::utterance::WhisperUtterance;
use self::vocabulary::Vocabulary;
use crate::Error;
use crate::domain::{Cancel, Commit, DecodeOptions, EngineInfo, SAMPLE_RATE, Transcript};
use crate::engine::{Engine, Utterance};

pub use self::layout::Folder;
pub use self::transcription::{Thresholds, TokenSegment, TokenWord, Transcription};

/// A Whisper model, loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WhisperEngine {
    whisper: Arc<Whisper>,
    info: EngineInfo,
}

/// What the engine shares with its utterances.
#[derive(Debug)]
struct Whisper {
    network: Network,
    vocabulary: Vocabulary,
    settings: Settings,
    extractor: Extractor,
    heads: Heads,
    tick: Tick,
}

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "whisper";
/// The audio between two interim results: each costs a run of the encoder over 30 s.
const PARTIAL_INTERVAL: Duration = Duration::from_secs(1);

/// What can be said of a model before it is loaded, from its small files: all but the version and the device. None where
/// only the vocabulary says which languages it knows, as in exports of 2022.
///
/// # Errors
/// [`Error::Engine`] when the folder is not a Whisper model or a file of it is broken.
pub fn foretell(
    folder: &Folder,
    model: impl Into<String>,
    digest: impl Into<String>,
) -> Result<Option<EngineInfo>, Error> {
    // Which of the graphs is found does not matter here.
    let settings = Settings::read(&layout::find(folder, Device::Cpu)?)?;
    let multilingual = settings.is_multilingual();
    if multilingual && settings.languages.is_empty() {
        return Ok(None);
    }
    let known = if multilingual {
        settings.languages.as_slice()
    } else {
        &[]
    };
    // Every Whisper has the token of a prompt.
    Ok(Some(info(
        model.into(),
        digest.into(),
        codes(known),
        multilingual,
        true,
    )))
}

fn info(
    model: String,
    digest: String,
    languages: Vec<String>,
    translates: bool,
    takes_prompt: bool,
) -> EngineInfo {
    EngineInfo {
        made: Provenance {
            engine: NAME,
            version: String::new(),
            model,
            digest,
            device: String::new(),
            degraded: None,
        },
        detects_language: languages.len() > 1,
        translates,
        takes_prompt,
        word_confidence: true,
        languages,
        commit: Commit::LocalAgreement,
        partial_interval: PARTIAL_INTERVAL,
    }
}

/// The languages' codes, English first; of none, English alone.
fn codes(known: &[(String, u32)]) -> Vec<String> {
    if known.is_empty() {
        return vec!["en".to_owned()];
    }
    let mut codes: Vec<String> = known.iter().map(|(code, _)| code.clone()).collect();
    codes.sort_by_key(|code| code != "en");
    codes
}

// === impl WhisperEngine ===

impl WhisperEngine {
    /// Loads the model in `folder` and runs it once so that the first
    /// request is not the slow one. `model` and `digest` are told in receipts.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime or the device is missing, with the remedy; [`Error::Engine`] when the
    /// folder is not a Whisper model or a file of it is broken.
    pub fn load(
        folder: &Folder,
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let loaded = runtime.get().map_err(WhisperError::from)?;
        let placement = config.device.place(loaded).map_err(WhisperError::from)?;
        let Placement { device, fallback } = &placement;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        let files = layout::find(folder, *device)?;
        let settings = Settings::read(&files)?;
        let vocabulary = Vocabulary::read(&files.tokenizer, &settings)?;
        let width = config.width(device.is_gpu());
        let network = Network::open(
            loaded,
            &files.encoder,
            &files.decoder,
            settings.mels,
            *device,
            width,
        )?;
        let heads = Heads::new(
            settings.alignment_heads.as_deref(),
            network.layers(),
            network.heads(),
        );
        let tick_frames = WINDOW_FRAMES / settings.audio_context.min(WINDOW_FRAMES);
        let whisper = Whisper {
            extractor: Extractor::new(settings.mels)?,
            tick: Tick {
                frames: tick_frames,
                seconds: tick_frames as f64 / features::FRAME_RATE,
            },
            heads,
            network,
            vocabulary,
            settings,
        };
        whisper.warm_up()?;
        let Vocabulary {
            tasks,
            previous,
            languages,
            ..
        } = &whisper.vocabulary;
        let mut info = info(
            model.into(),
            digest.into(),
            codes(languages),
            tasks.is_some(),
            previous.is_some(),
        );
        info.made.version = format!("onnxruntime {}", loaded.version());
        info.made.device = device.to_string();
        Ok(Self {
            whisper: Arc::new(whisper),
            info,
        })
    }

    /// Transcribes a recording, mono at 16 kHz, and keeps the tokens. [`Engine::recognize`] gives the transcript of it.
    ///
    /// # Errors
    /// As [`Engine::recognize`].
    pub fn transcribe(
        &self,
        audio: &[f32],
        options: &DecodeOptions,
        thresholds: Option<Thresholds>,
        cancel: &Cancel,
    ) -> Result<Transcription, Error> {
        let words = if options.word_times {
            Words::Best
        } else {
            Words::None
        };
        let wanted = Wanted {
            options,
            thresholds,
            words,
        };
        Ok(transcribe::transcribe(&self.whisper, audio, wanted, cancel)?)
    }

    fn transcript(
        whisper: &Whisper,
        audio: &[f32],
        wanted: Wanted<'_>,
        cancel: &Cancel,
    ) -> Result<Transcript, Error> {
        let length = Duration::from_micros(audio.len() as u64 * 1_000_000 / u64::from(SAMPLE_RATE));
        Ok(transcribe::transcribe(whisper, audio, wanted, cancel)?.into_transcript(length))
    }
}

impl Engine for WhisperEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn recognize(
        &self,
        audio: &[f32],
        options: &DecodeOptions,
        cancel: &Cancel,
    ) -> Result<Transcript, Error> {
        let words = if options.word_times {
            Words::Best
        } else {
            Words::None
        };
        Self::transcript(&self.whisper, audio, Wanted::new(options, words), cancel)
    }

    fn utterance(&self, options: &DecodeOptions, cancel: &Cancel) -> Result<Box<dyn Utterance>, Error> {
        let whisper = Arc::clone(&self.whisper);
        Ok(Box::new(WhisperUtterance::new(
            whisper,
            options.clone(),
            cancel.clone(),
        )))
    }
}

// === impl Whisper ===

impl Whisper {
    /// Runs each graph once, on silence: memory is taken and kernels are chosen now.
    fn warm_up(&self) -> Result<(), WhisperError> {
        let cancel = Cancel::default();
        let silence = vec![0.0; self.settings.mels * WINDOW_FRAMES];
        let audio = self.network.encode(silence, &cancel)?;
        let mut decoding = self.network.decode(&audio, &cancel)?;
        decoding.start(&[self.vocabulary.start])?;
        decoding.step(self.vocabulary.no_timestamps)?;
        Ok(())
    }
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    fn new(options: &'a DecodeOptions, words: Words) -> Self {
        let thresholds = options.hallucination_filter.then(Thresholds::default);
        Self {
            options,
            thresholds,
            words,
        }
    }
}
