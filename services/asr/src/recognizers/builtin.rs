//! The engines of this crate with the models of the store.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_inference::silero::Silero;
use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_models::{Entry, Installed, ModelRef, Residents, Store};

use super::{BoxError, Builder, Recognizers, VadLoader, shelf};
use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::pocketsphinx::{self, Decoders, PocketSphinx};
use crate::engine::whisper::{self, WhisperEngine};
use crate::vad::{SileroVad, VoiceActivity};

/// The voice activity model in the catalogue, and its file.
const VAD: &str = "silero-vad";
const VAD_FILE: &str = "silero_vad/data/silero_vad.onnx";

impl Recognizers {
    /// Every model of the catalogue that this crate has an engine for.
    ///
    /// # Errors
    /// A catalogue that names a model twice, or lacks the voice activity model.
    pub fn of_store(
        store: &Store,
        residents: Residents,
        config: &Config,
    ) -> Result<Self, polyphony_models::Error> {
        let runtime = Runtime::new(&config.inference);
        let vad_model: ModelRef = VAD.parse()?;
        let vad = vad_loader(
            store.clone(),
            runtime.clone(),
            vad_model.clone(),
            &config.inference,
        );
        let vad_ready = {
            let (store, runtime) = (store.clone(), runtime.clone());
            move || {
                runtime.locate().map_err(|error| error.to_string())?;
                if store.is_on_disk(&vad_model) {
                    return Ok(());
                }
                store
                    .find(&vad_model)
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
        };
        let choice = config.engine;
        // A neural model is better than none, and a larger one than a smaller.
        let rank = |entry: &Entry| u32::from(entry.engine == pocketsphinx::NAME);
        let (loading, config) = (Arc::clone(&vad), config.clone());
        let mut builder = Builder::new(residents, vad, vad_ready);
        builder.roster = builder.roster.prefer_named(&config.model)?.add_task(
            store,
            "asr",
            |engine| is_chosen(choice, engine),
            rank,
            foretell,
            move |installed| shelf(&loading, |vad| load(installed, vad, &config, &runtime)),
        )?;
        Ok(builder.build())
    }
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto => [whisper::NAME, pocketsphinx::NAME].contains(&engine),
        EngineChoice::Whisper => engine == whisper::NAME,
        EngineChoice::PocketSphinx => engine == pocketsphinx::NAME,
    }
}

fn load(
    installed: &Installed,
    vad: &Arc<dyn VoiceActivity>,
    config: &Config,
    runtime: &Runtime,
) -> Result<Arc<dyn Engine>, BoxError> {
    let file = |name: &str| -> Result<PathBuf, BoxError> {
        installed
            .path(name)
            .ok_or_else(|| format!("the model has no {name}").into())
    };
    let (model, digest) = installed.names();
    match installed.engine.as_str() {
        whisper::NAME => Ok(Arc::new(WhisperEngine::load(
            &folder(installed),
            model,
            digest,
            runtime,
            &config.inference,
        )?)),
        pocketsphinx::NAME => {
            let files = pocketsphinx::Files {
                acoustic_model: file("en-us/mdef")?
                    .parent()
                    .map(PathBuf::from)
                    .unwrap_or_default(),
                language_model: file("en-us.lm.bin")?,
                dictionary: file("cmudict-en-us.dict")?,
            };
            let decoders = Decoders {
                most: config.streams() + config.workers(),
                kept: config.workers(),
            };
            Ok(Arc::new(PocketSphinx::open(
                &files,
                model,
                digest,
                decoders,
                Arc::clone(vad),
            )?))
        }
        other => Err(format!("no engine is called {other}").into()),
    }
}

/// What a model's own small files say about it.
fn foretell(installed: &Installed) -> Result<Option<EngineInfo>, BoxError> {
    let (model, digest) = installed.names();
    match installed.engine.as_str() {
        whisper::NAME => Ok(whisper::foretell(&folder(installed), model, digest)?),
        pocketsphinx::NAME => Ok(Some(pocketsphinx::info(model, digest))),
        _ => Ok(None),
    }
}

fn folder(installed: &Installed) -> whisper::Folder {
    let files = installed.files.iter().map(|file| file.path.as_str());
    whisper::Folder::new(&installed.dir, files)
}

/// Loads the voice activity model when it is first needed and keeps it: it is small and every request wants it.
fn vad_loader(store: Store, runtime: Runtime, model: ModelRef, inference: &InferenceConfig) -> VadLoader {
    let kept: Mutex<Option<Arc<dyn VoiceActivity>>> = Mutex::new(None);
    let (sessions, _) = inference.width(false);
    Arc::new(move || {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vad) = kept.as_ref() {
            return Ok(Arc::clone(vad));
        }
        let installed = store.find(&model)?;
        let path = installed
            .path(VAD_FILE)
            .ok_or("the voice activity model has no file")?;
        let vad: Arc<dyn VoiceActivity> =
            Arc::new(SileroVad::new(Silero::open(runtime.get()?, &path, sessions)?));
        *kept = Some(Arc::clone(&vad));
        Ok(vad)
    })
}
