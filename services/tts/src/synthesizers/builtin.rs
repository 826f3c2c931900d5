//! The engines of this crate with the models of the store.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_models::{Entry, Installed, ModelRef, Residents, Sha256, Store};

use super::{BoxError, Builder, Synthesizers, loaded};
use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::espeak::{self, EspeakEngine};
use crate::engine::kokoro::{self, KokoroEngine};
use crate::engine::piper::{self, PiperEngine};

/// The model in the catalogue whose library makes phones for the others, too.
const ESPEAK: &str = "espeak-ng";
/// Engines from the best to the last resort. A neural one is better than none.
const ENGINES: [&str; 3] = [kokoro::NAME, piper::NAME, espeak::NAME];

impl Synthesizers {
    /// Every model of the catalogue that this crate has an engine for.
    ///
    /// # Errors
    /// A catalogue that names a model twice.
    pub fn of_store(
        store: &Store,
        residents: Residents,
        config: &Config,
    ) -> Result<Self, polyphony_models::Error> {
        let choice = config.engine;
        let rank = |entry: &Entry| {
            let place = ENGINES.iter().position(|engine| *engine == entry.engine);
            place.unwrap_or(ENGINES.len()) as u32
        };
        let shelf = Arc::new(Shelf {
            store: store.clone(),
            espeak: ESPEAK.parse()?,
            runtime: Runtime::new(&config.inference),
            inference: config.inference.clone(),
            known: Mutex::default(),
        });
        let asked = Arc::clone(&shelf);
        let mut builder = Builder::new(residents);
        builder.roster = builder.roster.prefer_named(&config.model)?.add_task(
            store,
            "tts",
            |engine| is_chosen(choice, engine),
            rank,
            move |installed| asked.known(installed).map(Some),
            move |installed| shelf.load(installed).map(loaded),
        )?;
        Ok(builder.build())
    }
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto => ENGINES.contains(&engine),
        EngineChoice::Espeak => engine == espeak::NAME,
        EngineChoice::Kokoro => engine == kokoro::NAME,
        EngineChoice::Piper => engine == piper::NAME,
    }
}

/// Opens models, and remembers what they say of themselves.
struct Shelf {
    store: Store,
    espeak: ModelRef,
    runtime: Runtime,
    inference: InferenceConfig,
    /// What models that were asked said, by their digests.
    known: Mutex<Vec<(Sha256, EngineInfo)>>,
}

impl Shelf {
    fn load(&self, installed: &Installed) -> Result<Arc<dyn Engine>, BoxError> {
        match installed.engine.as_str() {
            espeak::NAME => Ok(Arc::new(open_espeak(installed)?)),
            kokoro::NAME => {
                let espeak = espeak_folder(&self.store.find(&self.espeak)?)?;
                let (model, digest) = installed.names();
                let names = (model.as_str(), digest.as_str());
                let files = kokoro_files(installed)?;
                let engine = KokoroEngine::open(&files, &espeak, names, &self.runtime, &self.inference)?;
                Ok(Arc::new(engine))
            }
            piper::NAME => {
                let Voice { graph, settings } = Voice::of(installed)?;
                let espeak = espeak_folder(&self.store.find(&self.espeak)?)?;
                let (model, digest) = installed.names();
                let names = (model.as_str(), digest.as_str());
                let engine =
                    PiperEngine::open(&graph, &settings, &espeak, names, &self.runtime, &self.inference)?;
                Ok(Arc::new(engine))
            }
            other => Err(unknown(other)),
        }
    }

    /// What a model says of itself while it is not in memory. Each is asked once.
    fn known(&self, installed: &Installed) -> Result<EngineInfo, BoxError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, info)) = known.iter().find(|(digest, _)| *digest == installed.digest) {
            return Ok(info.clone());
        }
        let info = foretell(installed)?;
        known.push((installed.digest, info.clone()));
        Ok(info)
    }
}

fn foretell(installed: &Installed) -> Result<EngineInfo, BoxError> {
    let (model, digest) = installed.names();
    match installed.engine.as_str() {
        // Its voices are files of its own, which only it can read, and it is quick to open.
        espeak::NAME => Ok(open_espeak(installed)?.info().clone()),
        kokoro::NAME => Ok(kokoro::foretell(&kokoro_files(installed)?, &model, &digest)?),
        piper::NAME => Ok(piper::foretell(&Voice::of(installed)?.settings, &model, &digest)?),
        other => Err(unknown(other)),
    }
}

fn open_espeak(installed: &Installed) -> Result<EspeakEngine, BoxError> {
    let (model, digest) = installed.names();
    Ok(EspeakEngine::open(&espeak_folder(installed)?, model, digest)?)
}

fn espeak_folder(installed: &Installed) -> Result<PathBuf, BoxError> {
    let library = installed
        .path(espeak::LIBRARY)
        .ok_or("the model has no library of espeak-ng")?;
    Ok(library.parent().map(PathBuf::from).unwrap_or_default())
}

/// The files of a Piper voice.
struct Voice {
    graph: PathBuf,
    settings: PathBuf,
}

impl Voice {
    fn of(installed: &Installed) -> Result<Self, BoxError> {
        let mut files = installed.files.iter().map(|file| file.path.as_str());
        let graph = files
            .find(|file| file.ends_with(".onnx"))
            .ok_or("the model has no graph")?;
        let settings = format!("{graph}{}", piper::SETTINGS);
        let path = |file: &str| {
            let found = installed.path(file);
            found.ok_or_else(|| BoxError::from(format!("the model has no {file}")))
        };
        Ok(Self {
            graph: path(graph)?,
            settings: path(&settings)?,
        })
    }
}

/// The files of a Kokoro model, as the hub's exports lay them out.
fn kokoro_files(installed: &Installed) -> Result<kokoro::Files, BoxError> {
    let all: Vec<PathBuf> = installed
        .files
        .iter()
        .filter_map(|file| installed.path(file.path.as_str()))
        .collect();
    let ends = |path: &&PathBuf, ending: &str| path.extension().is_some_and(|own| own == ending);
    let graph = all
        .iter()
        .find(|path| ends(path, "onnx"))
        .ok_or("the model has no graph")?;
    let vocabulary = ["tokenizer.json", "config.json"]
        .into_iter()
        .find_map(|name| all.iter().find(|path| path.ends_with(name)))
        .ok_or("the model has no tokenizer.json")?;
    Ok(kokoro::Files {
        graph: graph.clone(),
        vocabulary: vocabulary.clone(),
        voices: all.iter().filter(|path| ends(path, "bin")).cloned().collect(),
    })
}

fn unknown(engine: &str) -> BoxError {
    format!("no engine is called {engine}").into()
}
