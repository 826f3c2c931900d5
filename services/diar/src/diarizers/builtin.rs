//! The engines of this crate with the models of the store.

use std::path::PathBuf;
use std::sync::Arc;

use polyphony_inference::Runtime;
use polyphony_models::{BoxError, Entry, Installed, Loaded, ModelRef, Residents, Roster, Store};

use super::Diarizers;
use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::ge2e::{self, Ge2eEngine};

/// The voice activity model in the catalogue, and its form that takes many frames at once.
const ACTIVITY: &str = "silero-vad";
const ACTIVITY_FILE: &str = "silero_vad/data/silero_vad_16k_sequence.onnx";
const GE2E_FILE: &str = "resemblyzer/ge2e.onnx";

const NOTHING: &str = "no model for diarization is on this machine; `make up` brings the embedded one";

/// Every model of the catalogue that this crate has an engine for.
///
/// # Errors
/// A catalogue that names a model twice.
pub fn of_store(
    store: &Store,
    residents: Residents,
    config: &Config,
) -> Result<Diarizers, polyphony_models::Error> {
    let runtime = Runtime::new(&config.inference);
    let preferred = match config.model.as_str() {
        "" => None,
        name => Some(name.parse()?),
    };
    let choice = config.engine;
    // The embedded default stands back behind any other.
    let rank = |entry: &Entry| u32::from(entry.engine == ge2e::NAME);
    let (config, shelves) = (config.clone(), store.clone());
    let roster = Roster::builder(
        residents,
        |engine: &Arc<dyn Engine>| engine.info().clone(),
        NOTHING,
    )
    .prefer(preferred)
    .add_task(
        store,
        "diar",
        |engine| is_chosen(choice, engine),
        rank,
        foretell,
        move |installed| {
            let engine = load(installed, &shelves, &config, &runtime)?;
            let device = Some(engine.info().made.device.clone());
            Ok(Loaded {
                value: engine,
                memory_bytes: None,
                device,
            })
        },
    )?;
    Ok(roster.build())
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto | EngineChoice::Ge2e => engine == ge2e::NAME,
    }
}

fn load(
    installed: &Installed,
    store: &Store,
    config: &Config,
    runtime: &Runtime,
) -> Result<Arc<dyn Engine>, BoxError> {
    let file = |name: &str| -> Result<PathBuf, BoxError> {
        installed
            .path(name)
            .ok_or_else(|| format!("the model has no {name}").into())
    };
    let (model, digest) = names(installed);
    match installed.engine.as_str() {
        ge2e::NAME => {
            let activity: ModelRef = ACTIVITY.parse()?;
            let activity = store
                .find(&activity)?
                .path(ACTIVITY_FILE)
                .ok_or("the voice activity model has no form for many frames")?;
            let files = ge2e::Files {
                activity: &activity,
                encoder: &file(GE2E_FILE)?,
            };
            let cache = config.embedding_cache.as_usize();
            let engine = Ge2eEngine::load(files, model, digest, runtime, &config.inference, cache)?;
            Ok(Arc::new(engine))
        }
        other => Err(format!("no engine is called {other}").into()),
    }
}

/// What can be said of a model before it is loaded.
fn foretell(installed: &Installed) -> Result<Option<EngineInfo>, BoxError> {
    let (model, digest) = names(installed);
    Ok(match installed.engine.as_str() {
        ge2e::NAME => Some(ge2e::foretell(model, digest)),
        _ => None,
    })
}

fn names(installed: &Installed) -> (String, String) {
    (
        installed.model.id.to_string(),
        format!("sha256:{}", installed.digest),
    )
}
