//! Which engine serves a request: the roster of recognisers, and the voice activity model that each works with.

mod builtin;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_models::{Chosen, Loaded, Residents, Roster, RosterBuilder, Spec};
use tokio::task;

use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::vad::VoiceActivity;

pub use polyphony_models::BoxError;

/// The models that can be asked for. Cheap to clone.
#[derive(Clone)]
pub struct Recognizers {
    roster: Roster<Shelf, EngineInfo>,
    vad_ready: Arc<VadReady>,
}

/// A model in use.
#[derive(Clone)]
pub struct Recognizer {
    /// The engine with the model in it.
    pub engine: Arc<dyn Engine>,
    /// Where speech is.
    pub vad: Arc<dyn VoiceActivity>,
    /// How long loading took, if this request caused it.
    pub load: Option<Duration>,
    _lease: Chosen<Shelf>,
}

/// A model on disk, and what it is.
pub type Present = polyphony_models::Present<EngineInfo>;

/// Makes the voice activity model, once.
pub type VadLoader = Arc<dyn Fn() -> Result<Arc<dyn VoiceActivity>, BoxError> + Send + Sync>;
/// Says, cheaply, whether the voice activity model has what it needs, and if not what to do.
type VadReady = dyn Fn() -> Result<(), String> + Send + Sync;

/// What a load gives.
struct Shelf {
    engine: Arc<dyn Engine>,
    vad: Arc<dyn VoiceActivity>,
}

/// Puts recognisers together.
pub struct Builder {
    roster: RosterBuilder<Shelf, EngineInfo>,
    vad: VadLoader,
    vad_ready: Arc<VadReady>,
}

const NOTHING: &str = "no model for speech recognition is on this machine; \
                       `apt-get install libpocketsphinx3 pocketsphinx-en-us` or \
                       `polyphony models pull onnx-community/whisper-base.en` brings one";

// === impl Builder ===

impl Builder {
    /// Nothing yet. `vad_ready` says, cheaply, whether `vad` has what it needs, and if not what to do.
    pub fn new(
        residents: Residents,
        vad: VadLoader,
        vad_ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            roster: Roster::builder(residents, |shelf: &Shelf| shelf.engine.info().clone(), NOTHING),
            vad,
            vad_ready: Arc::new(vad_ready),
        }
    }

    /// Adds a model, better than all that are added later. `known` is asked what can be said of it while it is not in
    /// memory.
    ///
    /// # Errors
    /// A model that was added before.
    pub fn add(
        mut self,
        spec: Spec,
        known: impl Fn() -> Option<EngineInfo> + Send + Sync + 'static,
        on_disk: impl Fn() -> bool + Send + Sync + 'static,
        load: impl Fn(&Arc<dyn VoiceActivity>) -> Result<Arc<dyn Engine>, BoxError> + Send + Sync + 'static,
    ) -> Result<Self, polyphony_models::Error> {
        let vad = Arc::clone(&self.vad);
        self.roster = self
            .roster
            .add(spec, known, on_disk, move || shelf(&vad, &load))?;
        Ok(self)
    }

    /// Done.
    pub fn build(self) -> Recognizers {
        Recognizers {
            roster: self.roster.build(),
            vad_ready: self.vad_ready,
        }
    }
}

fn shelf(
    vad: &VadLoader,
    load: impl Fn(&Arc<dyn VoiceActivity>) -> Result<Arc<dyn Engine>, BoxError>,
) -> Result<Loaded<Shelf>, BoxError> {
    let vad = vad()?;
    let engine = load(&vad)?;
    let device = engine.info().made.device.clone();
    Ok(Loaded::on(device, Shelf { engine, vad }))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("roster", &self.roster)
            .finish_non_exhaustive()
    }
}

// === impl Recognizers ===

impl Recognizers {
    /// The models in memory, for whoever shows and manages them.
    pub fn residents(&self) -> &Residents {
        self.roster.residents()
    }

    /// The models on disk, the default first.
    ///
    /// # Errors
    /// INTERNAL when looking panics.
    pub async fn present(&self) -> Result<Vec<Present>, Fault> {
        self.roster.present().await
    }

    /// Whether a request that names no model could be served, and with `load` whether its model is in memory, which loads
    /// it; if not, what to do.
    ///
    /// # Errors
    /// The remedy.
    pub fn ready(&self, load: bool) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let Self { roster, vad_ready } = self.clone();
        async move {
            let looked = task::spawn_blocking(move || vad_ready()).await;
            looked.unwrap_or_else(|error| Err(error.to_string()))?;
            roster.ready(load).await
        }
    }

    /// The model that `name` means, loaded. Empty: the default.
    ///
    /// # Errors
    /// NOT_FOUND for a name that is not known, FAILED_PRECONDITION for a model that is not on disk, UNAVAILABLE when it
    /// cannot be loaded.
    pub async fn acquire(&self, name: &str) -> Result<Recognizer, Fault> {
        let shelf = self.roster.acquire(name).await?;
        Ok(Recognizer {
            engine: Arc::clone(&shelf.engine),
            vad: Arc::clone(&shelf.vad),
            load: shelf.load,
            _lease: shelf,
        })
    }
}

impl fmt::Debug for Recognizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recognizers").field(&self.roster).finish()
    }
}

// === impl Recognizer ===

impl fmt::Debug for Recognizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recognizer")
            .field("info", self.engine.info())
            .finish_non_exhaustive()
    }
}
