//! Which engine serves a request: the roster of models for text recognition.

use std::sync::Arc;

use polyphony_inference::Runtime;
use polyphony_models::{BoxError, Chosen, Entry, Installed, Loaded, Present, Residents, Roster, Store};

use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::ppocr::{self, Files, PpOcr, TensorRtChoice};

/// The models that can be asked for. Cheap to clone.
pub type Engines = Roster<Arc<dyn Engine>, EngineInfo>;

/// A model in use.
pub type InUse = Chosen<Arc<dyn Engine>>;

/// A model on disk, and what it is.
pub type PresentEngine = Present<EngineInfo>;

/// What callers are told where there is no model.
pub const NOTHING: &str =
    "no model for text recognition is on this machine; `make setup` brings the embedded one";

/// Every model of the catalogue that this crate has an engine for.
///
/// # Errors
/// A catalogue that names a model twice, or a preferred model whose name is none.
pub fn of_store(
    store: &Store,
    residents: Residents,
    config: &Config,
) -> Result<Engines, polyphony_models::Error> {
    let choice = config.engine;
    // All are of one kind: a larger model is better than a smaller one.
    let rank = |_: &Entry| 0;
    let (runtime, config) = (Runtime::new(&config.inference), config.clone());
    let tensor_rt = config.tensorrt.then(|| TensorRtChoice {
        cache: config
            .tensorrt_cache
            .clone()
            .unwrap_or_else(|| store.dir().join("tensorrt")),
        fp16: config.tensorrt_fp16,
    });
    let roster = Roster::builder(
        residents,
        |engine: &Arc<dyn Engine>| engine.info().clone(),
        NOTHING,
    )
    .prefer_named(&config.model)?
    .add_task(
        store,
        "ocr",
        move |engine| is_chosen(choice, engine),
        rank,
        foretell,
        move |installed| {
            let engine = load(installed, &config, &runtime, tensor_rt.as_ref())?;
            Ok(Loaded::on(engine.info().provenance.device.clone(), engine))
        },
    )?;
    Ok(roster.build())
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto | EngineChoice::PpOcr => engine == ppocr::NAME,
    }
}

fn load(
    installed: &Installed,
    config: &Config,
    runtime: &Runtime,
    tensor_rt: Option<&TensorRtChoice>,
) -> Result<Arc<dyn Engine>, BoxError> {
    let (model, digest) = installed.names();
    match installed.engine.as_str() {
        ppocr::NAME => {
            let files = Files::find(
                &installed.dir,
                installed.files.iter().map(|file| file.path.as_str()),
            )?;
            let engine = PpOcr::load(&files, model, digest, runtime, &config.inference, tensor_rt)?;
            Ok(Arc::new(engine))
        }
        other => Err(format!("no engine is called {other}").into()),
    }
}

/// What can be said of a model before it is loaded.
fn foretell(installed: &Installed) -> Result<Option<EngineInfo>, BoxError> {
    let (model, digest) = installed.names();
    Ok(match installed.engine.as_str() {
        ppocr::NAME => Some(ppocr::foretell(model, digest)),
        _ => None,
    })
}
