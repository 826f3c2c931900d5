//! The encoders of this crate with the models of the store. Services of one process that ask for the same model have it
//! in memory once, loaded as the first of them says.

use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_models::{BoxError, Chosen, Installed, Loaded, ModelRef, Present, Residents, Roster, Store};

use crate::{CrossEncoder, ENGINE, Embedder, EmbedderInfo, Folder, PairInfo, ZeroShot};

/// The embedding models that can be asked for. Cheap to clone.
pub type Embedders = Roster<Embedder, EmbedderInfo>;
/// An embedding model in use.
pub type ChosenEmbedder = Chosen<Embedder>;
/// An embedding model on disk, and what it is.
pub type PresentEmbedder = Present<EmbedderInfo>;
/// The cross-encoders that can be asked for. Cheap to clone.
pub type Rerankers = Roster<CrossEncoder, PairInfo>;
/// A cross-encoder in use.
pub type ChosenReranker = Chosen<CrossEncoder>;
/// A cross-encoder on disk, and what it is.
pub type PresentReranker = Present<PairInfo>;
/// The models for inference between sentences that can be asked for. Cheap to clone.
pub type ZeroShots = Roster<ZeroShot, PairInfo>;
/// A model for inference between sentences in use.
pub type ChosenZeroShot = Chosen<ZeroShot>;

/// What callers are told where there is no embedding model.
pub const NO_EMBEDDER: &str = "no embedding model is on this machine; `make setup` brings all-MiniLM-L6-v2, \
                               `polyphony models list --task embed` shows what can be pulled";
/// What callers are told where there is no cross-encoder.
pub const NO_RERANKER: &str =
    "no reranker is on this machine; `polyphony models list --task rerank` shows what can be pulled";
/// What callers are told where there is no model for inference between sentences.
pub const NO_ZERO_SHOT: &str = "no model for zero-shot classification is on this machine; \
                                `polyphony models list --task nli` shows what can be pulled";

/// Every embedding model of the catalogue. Without a name `preferred` is meant, or the largest on disk.
///
/// # Errors
/// A model that another service added for another task.
pub fn embedders(
    store: &Store,
    residents: Residents,
    inference: &InferenceConfig,
    preferred: Option<ModelRef>,
) -> Result<Embedders, polyphony_models::Error> {
    let (runtime, config) = (Runtime::new(inference), inference.clone());
    let builder = Roster::builder(residents, |model: &Embedder| model.info().clone(), NO_EMBEDDER)
        .shared()
        .prefer(preferred)
        .add_task(
            store,
            "embed",
            |engine| engine == ENGINE,
            |_| 0,
            |installed| {
                let (model, digest) = installed.names();
                Ok(Some(Embedder::foretell(&folder(installed)?, model, digest)?))
            },
            move |installed| {
                let (model, digest) = installed.names();
                let model = Embedder::load(&folder(installed)?, model, digest, &runtime, &config)?;
                Ok(Loaded::on(model.info().made.device.clone(), model))
            },
        )?;
    Ok(builder.build())
}

/// Every cross-encoder of the catalogue. Without a name `preferred` is meant, or the largest on disk.
///
/// # Errors
/// A model that another service added for another task.
pub fn rerankers(
    store: &Store,
    residents: Residents,
    inference: &InferenceConfig,
    preferred: Option<ModelRef>,
) -> Result<Rerankers, polyphony_models::Error> {
    let (runtime, config) = (Runtime::new(inference), inference.clone());
    let builder = Roster::builder(
        residents,
        |model: &CrossEncoder| model.info().clone(),
        NO_RERANKER,
    )
    .shared()
    .prefer(preferred)
    .add_task(
        store,
        "rerank",
        |engine| engine == ENGINE,
        |_| 0,
        |installed| {
            let (model, digest) = installed.names();
            Ok(Some(PairInfo::foretell(&folder(installed)?, model, digest)?))
        },
        move |installed| {
            let (model, digest) = installed.names();
            let model = CrossEncoder::load(&folder(installed)?, model, digest, &runtime, &config)?;
            Ok(Loaded::on(model.info().made.device.clone(), model))
        },
    )?;
    Ok(builder.build())
}

/// Every model for inference between sentences of the catalogue. Without a name `preferred` is meant, or the largest on
/// disk.
///
/// # Errors
/// A model that another service added for another task.
pub fn zero_shots(
    store: &Store,
    residents: Residents,
    inference: &InferenceConfig,
    preferred: Option<ModelRef>,
) -> Result<ZeroShots, polyphony_models::Error> {
    let (runtime, config) = (Runtime::new(inference), inference.clone());
    let builder = Roster::builder(residents, |model: &ZeroShot| model.info().clone(), NO_ZERO_SHOT)
        .shared()
        .prefer(preferred)
        .add_task(
            store,
            "nli",
            |engine| engine == ENGINE,
            |_| 0,
            |installed| {
                let (model, digest) = installed.names();
                Ok(Some(PairInfo::foretell(&folder(installed)?, model, digest)?))
            },
            move |installed| {
                let (model, digest) = installed.names();
                let model = ZeroShot::load(&folder(installed)?, model, digest, &runtime, &config)?;
                Ok(Loaded::on(model.info().made.device.clone(), model))
            },
        )?;
    Ok(builder.build())
}

fn folder(installed: &Installed) -> Result<Folder, BoxError> {
    let files = installed.files.iter().map(|file| file.path.as_str());
    Ok(Folder::new(&installed.dir, files)?)
}
