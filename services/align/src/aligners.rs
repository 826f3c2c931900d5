//! Which engine serves a request: the models of the store that this crate has an engine for.

use std::path::PathBuf;
use std::sync::Arc;

use polyphony_inference::Runtime;
use polyphony_models::{BoxError, Entry, Installed, Loaded, Residents, Roster, Store};

use crate::config::{Config, EngineChoice};
use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::engine::ctc::{self, Ctc};
use crate::engine::dtw::{self, Dtw};

/// The models that can be asked for. Cheap to clone.
pub type Aligners = Roster<Arc<dyn Engine>, EngineInfo>;
/// A model on disk, and what it is.
pub type Present = polyphony_models::Present<EngineInfo>;
/// A model in use.
pub type Aligner = polyphony_models::Chosen<Arc<dyn Engine>>;

/// What to say when there is no model at all.
pub const NOTHING: &str = "no model for alignment is on this machine; `make setup` installs espeak-ng, \
                           `polyphony models list --task align` shows what can be pulled";
/// The library of espeak-ng in its wheel.
const LIBRARY: &str = "espeakng_loader/libespeak-ng.so.1";
/// Languages of the models whose own files do not say.
const LANGUAGES: [(&str, &[&str]); 2] = [
    ("wav2vec2-base-960h", &["en"]),
    // It knows many more sounds, but only these languages' letters.
    (
        "mms-300m-1130-forced-aligner",
        &[
            "en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "nb", "no", "fi", "pl", "cs", "sk", "sl",
            "hr", "hu", "ro", "tr", "id", "ms", "vi", "sw", "tl", "ca", "eu", "gl", "et", "lv", "lt", "sq",
            "af", "is",
        ],
    ),
];

/// Every model of the catalogue that this crate has an engine for.
///
/// # Errors
/// A catalogue that names a model twice.
pub fn of_store(
    store: &Store,
    residents: Residents,
    config: &Config,
) -> Result<Aligners, polyphony_models::Error> {
    let choice = config.engine;
    // A neural model is better than none.
    let rank = |entry: &Entry| u32::from(entry.engine == dtw::NAME);
    let (runtime, config) = (Runtime::new(&config.inference), config.clone());
    let describe = |engine: &Arc<dyn Engine>| engine.info().clone();
    let roster = Roster::builder(residents, describe, NOTHING)
        .prefer_named(&config.model)?
        .add_task(
            store,
            "align",
            |engine| is_chosen(choice, engine),
            rank,
            |installed| foretell(installed).map(Some),
            move |installed| {
                let engine = load(installed, &config, &runtime)?;
                Ok(Loaded::on(engine.info().made.device.clone(), engine))
            },
        )?;
    Ok(roster.build())
}

fn is_chosen(choice: EngineChoice, engine: &str) -> bool {
    match choice {
        EngineChoice::Auto => [ctc::NAME, dtw::NAME].contains(&engine),
        EngineChoice::Ctc => engine == ctc::NAME,
        EngineChoice::Dtw => engine == dtw::NAME,
    }
}

fn load(installed: &Installed, config: &Config, runtime: &Runtime) -> Result<Arc<dyn Engine>, BoxError> {
    match installed.engine.as_str() {
        ctc::NAME => {
            let files = installed.files.iter().map(|file| file.path.as_str());
            let folder = ctc::Folder::new(&installed.dir, files);
            let engine = Ctc::load(&folder, foretell(installed)?, runtime, &config.inference)?;
            Ok(Arc::new(engine))
        }
        dtw::NAME => Ok(Arc::new(open_dtw(installed)?)),
        other => Err(format!("no engine is called {other}").into()),
    }
}

fn open_dtw(installed: &Installed) -> Result<Dtw, BoxError> {
    let library = installed
        .path(LIBRARY)
        .ok_or("the model has no library of espeak-ng")?;
    let folder = library.parent().map(PathBuf::from).unwrap_or_default();
    let (model, digest) = installed.names();
    Ok(Dtw::new(polyphony_espeak::Espeak::open(&folder)?, model, digest))
}

/// What a model's own files say about it, and what is known besides.
fn foretell(installed: &Installed) -> Result<EngineInfo, BoxError> {
    let (model, digest) = installed.names();
    match installed.engine.as_str() {
        ctc::NAME => {
            let languages = languages(&model);
            Ok(ctc::info(model, digest, languages))
        }
        // Its languages are files of its own, which only it can read, and it is quick to open.
        dtw::NAME => Ok(open_dtw(installed)?.info().clone()),
        other => Err(format!("no engine is called {other}").into()),
    }
}

fn languages(model: &str) -> Vec<String> {
    let known = LANGUAGES.iter().find(|(name, _)| model.contains(name));
    known.map_or_else(Vec::new, |(_, languages)| {
        languages.iter().map(|language| (*language).to_owned()).collect()
    })
}
