//! Which models serve: a roster for pitch and one for separation. Features need none.

use std::fmt;
use std::sync::Arc;

use polyphony_error::Fault;
use polyphony_inference::Runtime;
use polyphony_models::{BoxError, Chosen, Installed, Loaded, Present, Provenance, Residents, Roster, Store};
use tokio::task;

use crate::config::Config;
use crate::engine::{PitchEngine, SeparationEngine, crepe, htdemucs};

/// The models for pitch.
pub type Pitches = Roster<Arc<dyn PitchEngine>, Provenance>;
/// The models for separation.
pub type Separations = Roster<Arc<dyn SeparationEngine>, Provenance>;
/// A model for pitch in use.
pub type PitchModel = Chosen<Arc<dyn PitchEngine>>;
/// A model for separation in use.
pub type SeparationModel = Chosen<Arc<dyn SeparationEngine>>;

/// The models that can be asked for. Cheap to clone.
#[derive(Clone)]
pub struct Analyzers {
    pitch: Pitches,
    separation: Separations,
    /// Whether there is ONNX Runtime, without which no model here runs.
    runtime: Runtime,
}

const NO_PITCH: &str =
    "no model for pitch is on this machine; `make up` brings CREPE. Features are measured without one";
const NO_SEPARATION: &str =
    "no model for separation is on this machine; `polyphony models list` shows which can be pulled";

// === impl Analyzers ===

impl Analyzers {
    /// Every model of the catalogue that this crate has an engine for.
    ///
    /// # Errors
    /// A catalogue that names a model twice.
    pub fn of_store(
        store: &Store,
        residents: &Residents,
        config: &Config,
    ) -> Result<Self, polyphony_models::Error> {
        let runtime = Runtime::new(&config.inference);
        let nothing_known = |_: &Installed| -> Result<Option<Provenance>, BoxError> { Ok(None) };
        let pitch = {
            let (runtime, inference) = (runtime.clone(), config.inference.clone());
            Roster::builder(
                residents.clone(),
                |engine: &Arc<dyn PitchEngine>| engine.provenance().clone(),
                NO_PITCH,
            )
            .prefer_named(&config.pitch_model)?
            .add_task(
                store,
                "pitch",
                |engine| engine == crepe::NAME,
                |_| 0,
                nothing_known,
                move |installed| {
                    let engine = crepe::load(installed, &runtime, &inference)?;
                    Ok(Loaded::on(engine.provenance().device.clone(), engine))
                },
            )?
            .build()
        };
        let separation = {
            let (runtime, inference) = (runtime.clone(), config.inference.clone());
            Roster::builder(
                residents.clone(),
                |engine: &Arc<dyn SeparationEngine>| engine.provenance().clone(),
                NO_SEPARATION,
            )
            .prefer_named(&config.separation_model)?
            .add_task(
                store,
                "separation",
                |engine| engine == htdemucs::NAME,
                |_| 0,
                nothing_known,
                move |installed| {
                    let engine = htdemucs::load(installed, &runtime, &inference)?;
                    Ok(Loaded::on(engine.provenance().device.clone(), engine))
                },
            )?
            .build()
        };
        Ok(Self {
            pitch,
            separation,
            runtime,
        })
    }

    /// The model for pitch that `name` means, loaded. Empty: the default.
    ///
    /// # Errors
    /// As [`Roster::acquire`], and UNAVAILABLE without ONNX Runtime.
    pub async fn pitch(&self, name: &str) -> Result<PitchModel, Fault> {
        self.check_runtime().await?;
        self.pitch.acquire(name).await
    }

    /// The model for separation that `name` means, loaded. Empty: the default.
    ///
    /// # Errors
    /// As [`Roster::acquire`], and UNAVAILABLE without ONNX Runtime.
    pub async fn separation(&self, name: &str) -> Result<SeparationModel, Fault> {
        self.check_runtime().await?;
        self.separation.acquire(name).await
    }

    /// The models that can be asked for now, those for pitch first, the defaults first among their own. Without ONNX
    /// Runtime there is none.
    ///
    /// # Errors
    /// INTERNAL when looking panics.
    pub async fn present(&self) -> Result<(Vec<Present<Provenance>>, Vec<Present<Provenance>>), Fault> {
        if self.check_runtime().await.is_err() {
            return Ok(Default::default());
        }
        Ok((self.pitch.present().await?, self.separation.present().await?))
    }

    /// Whether pitch could be found by a model that nobody named, and with `load` whether that is in memory, which loads
    /// it; if not, what to do.
    ///
    /// # Errors
    /// The remedy.
    pub fn pitch_ready(&self, load: bool) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let analyzers = self.clone();
        async move {
            let runtime = analyzers.check_runtime().await;
            runtime.map_err(|fault| fault.to_string())?;
            analyzers.pitch.ready(load).await
        }
    }

    /// A model that cannot run is not loaded first.
    async fn check_runtime(&self) -> Result<(), Fault> {
        let runtime = self.runtime.clone();
        let located = task::spawn_blocking(move || runtime.locate()).await;
        located.map_err(Fault::internal)?.map(drop).map_err(Fault::from)
    }
}

impl fmt::Debug for Analyzers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyzers")
            .field("pitch", &self.pitch)
            .field("separation", &self.separation)
            .finish_non_exhaustive()
    }
}
