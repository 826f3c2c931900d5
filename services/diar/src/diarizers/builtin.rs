//! The engines of this crate with the models of the store.

use std::path::PathBuf;
use std::sync::Arc;

use polyphony_inference::Runtime;
use polyphony_models::{
    BoxError, Installed, Loaded, ModelRef, Residents, Roster, RosterBuilder, Spec, Store,
};

use super::Diarizers;
use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::ge2e::{self, Ge2eEngine};
use crate::engine::pyannote::{self, PyannoteEngine};

/// The voice activity model in the catalogue, and its form that takes many frames at once.
const ACTIVITY: &str = "silero-vad";
const ACTIVITY_FILE: &str = "silero_vad/data/silero_vad_16k_sequence.onnx";
const GE2E_FILE: &str = "resemblyzer/ge2e.onnx";
/// The task of segmentation networks in the catalogue. A model of [`pyannote`] is a speaker network; it works with the
/// first of these that is on disk.
const SEGMENTATION: &str = "segmentation";

type Builder = RosterBuilder<Arc<dyn Engine>, EngineInfo>;

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
    let choice = config.engine;
    let mut roster = Roster::builder(
        residents,
        |engine: &Arc<dyn Engine>| engine.info().clone(),
        NOTHING,
    )
    .prefer_named(&config.model)?;
    // The embedded default stands back behind any other.
    if is_chosen(choice, pyannote::NAME) {
        roster = add_pyannote(roster, store, config, &runtime)?;
    }
    let (config, shelves) = (config.clone(), store.clone());
    let roster = roster.add_task(
        store,
        "diar",
        |engine| engine == ge2e::NAME && is_chosen(choice, engine),
        |_| 0,
        |installed| Ok(foretell(installed)),
        move |installed| loaded(load(installed, &shelves, &config, &runtime)?),
    )?;
    Ok(roster.build())
}

/// Adds the speaker networks of the catalogue, the largest first. One is there to be used when a segmentation network is
/// there too.
fn add_pyannote(
    mut roster: Builder,
    store: &Store,
    config: &Config,
    runtime: &Runtime,
) -> Result<Builder, polyphony_models::Error> {
    let of = |task: &str| -> Vec<(ModelRef, u64)> {
        let entries = store.catalogue().entries();
        let entries = entries.filter(|entry| entry.task == task && entry.engine == pyannote::NAME);
        let models = entries.flat_map(|entry| {
            let variants = entry.variants().iter();
            variants.map(|variant| {
                let model = ModelRef::exact(entry.id.clone(), variant.name.clone());
                (model, variant.memory_bytes)
            })
        });
        models.collect()
    };
    let segmentations: Arc<[ModelRef]> = of(SEGMENTATION).into_iter().map(|(model, _)| model).collect();
    let mut encoders = of("diar");
    encoders.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    for (model, memory_bytes) in encoders {
        let spec = Spec {
            model: model.clone(),
            task: "diar".to_owned(),
            engine: pyannote::NAME.to_owned(),
            memory_bytes,
        };
        let (known, there, shelves) = (store.clone(), store.clone(), store.clone());
        let (first, second, third) = (model.clone(), model.clone(), model);
        let (looked, needed) = (Arc::clone(&segmentations), Arc::clone(&segmentations));
        let (config, runtime) = (config.clone(), runtime.clone());
        roster = roster.add(
            spec,
            move || foretell(&known.find(&first).ok()?),
            move || there.is_on_disk(&second) && looked.iter().any(|model| there.is_on_disk(model)),
            move || {
                let segmentation = needed.iter().find(|model| shelves.is_on_disk(model));
                let segmentation = segmentation.ok_or("no segmentation network is on this machine")?;
                let (encoder, segmentation) = (shelves.find(&third)?, shelves.find(segmentation)?);
                loaded(load_pyannote(&encoder, &segmentation, &config, &runtime)?)
            },
        )?;
    }
    Ok(roster)
}

fn loaded(engine: Arc<dyn Engine>) -> Result<Loaded<Arc<dyn Engine>>, BoxError> {
    Ok(Loaded::on(engine.info().made.device.clone(), engine))
}

fn load_pyannote(
    encoder: &Installed,
    segmentation: &Installed,
    config: &Config,
    runtime: &Runtime,
) -> Result<Arc<dyn Engine>, BoxError> {
    let graph = |installed: &Installed| -> Result<PathBuf, BoxError> {
        let mut files = installed.files.iter().map(|file| file.path.as_str());
        let name = files.find(|name| name.ends_with(".onnx"));
        name.and_then(|name| installed.path(name))
            .ok_or_else(|| format!("{} has no ONNX graph", installed.model).into())
    };
    let files = pyannote::Files {
        segmentation: &graph(segmentation)?,
        encoder: &graph(encoder)?,
    };
    let (model, digest) = encoder.names();
    let cache = config.embedding_cache.as_usize();
    let engine = PyannoteEngine::load(files, model, digest, runtime, &config.inference, cache)?;
    Ok(Arc::new(engine))
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto => [pyannote::NAME, ge2e::NAME].contains(&engine),
        EngineChoice::Pyannote => engine == pyannote::NAME,
        EngineChoice::Ge2e => engine == ge2e::NAME,
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
    let (model, digest) = installed.names();
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
fn foretell(installed: &Installed) -> Option<EngineInfo> {
    let (model, digest) = installed.names();
    match installed.engine.as_str() {
        ge2e::NAME => Some(ge2e::foretell(model, digest)),
        pyannote::NAME => Some(pyannote::foretell(model, digest)),
        _ => None,
    }
}
