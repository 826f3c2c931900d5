//! The engines of this crate with the models of the store.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use polyphony_models::{Entry, Installed, Residents, Sha256, Store};

use super::{BoxError, Builder, Synthesizers, loaded};
use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::espeak::{self, EspeakEngine};

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
        let preferred = if config.model.is_empty() {
            None
        } else {
            Some(config.model.parse()?)
        };
        let choice = config.engine;
        // A neural model is better than none.
        let rank = |entry: &Entry| u32::from(entry.engine == espeak::NAME);
        let known = Known::default();
        let mut builder = Builder::new(residents).prefer(preferred);
        builder.roster = builder.roster.add_task(
            store,
            "tts",
            |engine| is_chosen(choice, engine),
            rank,
            move |installed| known.of(installed).map(Some),
            |installed| load(installed).map(loaded),
        )?;
        Ok(builder.build())
    }
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto | EngineChoice::Espeak => engine == espeak::NAME,
        EngineChoice::Piper | EngineChoice::Kokoro => false,
    }
}

fn load(installed: &Installed) -> Result<Arc<dyn Engine>, BoxError> {
    match installed.engine.as_str() {
        espeak::NAME => Ok(Arc::new(open_espeak(installed)?)),
        other => Err(format!("no engine is called {other}").into()),
    }
}

fn open_espeak(installed: &Installed) -> Result<EspeakEngine, BoxError> {
    let library = installed
        .path(espeak::LIBRARY)
        .ok_or("the model has no library of espeak-ng")?;
    let folder = library.parent().map(PathBuf::from).unwrap_or_default();
    let digest = format!("sha256:{}", installed.digest);
    Ok(EspeakEngine::open(
        &folder,
        installed.model.id.to_string(),
        digest,
    )?)
}

/// What models say of themselves while they are not in memory, each asked once.
#[derive(Default)]
struct Known(Mutex<Vec<(Sha256, EngineInfo)>>);

impl Known {
    fn of(&self, installed: &Installed) -> Result<EngineInfo, BoxError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, info)) = known.iter().find(|(digest, _)| *digest == installed.digest) {
            return Ok(info.clone());
        }
        let info = foretell(installed)?;
        known.push((installed.digest, info.clone()));
        Ok(info)
    }
}

fn foretell(installed: &Installed) -> Result<EngineInfo, BoxError> {
    match installed.engine.as_str() {
        // Its voices are files of its own, which only it can read, and it is quick to open.
        espeak::NAME => Ok(open_espeak(installed)?.info().clone()),
        other => Err(format!("no engine is called {other}").into()),
    }
}
