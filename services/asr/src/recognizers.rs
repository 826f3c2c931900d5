//! Which engine serves a request: the models that can be had, the best of them, and each in memory when it is needed.
//!
//! All known models are registered, whether they are on disk or not, so that one that is pulled while the process runs
//! can be used at once. Nothing is loaded before somebody asks.

mod builtin;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_error::{Fault, Kind};
use polyphony_models::{Lease, Loaded, ModelRef, Residency, Residents, Spec};
use tokio::task;

use crate::domain::EngineInfo;
use crate::engine::Engine;
use crate::vad::VoiceActivity;

/// The models that can be asked for. Cheap to clone.
#[derive(Clone)]
pub struct Recognizers {
    inner: Arc<Inner>,
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
    _lease: Arc<Lease<Shelf>>,
}

/// One model that may be there.
#[derive(Clone)]
struct Candidate {
    model: ModelRef,
    engine: String,
    known: Arc<Known>,
    on_disk: Arc<dyn Fn() -> bool + Send + Sync>,
    residency: Residency<Shelf>,
}

/// A model on disk, and what it is.
#[derive(Debug, Clone)]
pub struct Present {
    /// Which.
    pub model: ModelRef,
    /// The engine that runs it.
    pub engine: String,
    /// What can be said of it: all if it is in memory, else what its small files say. None: its files are broken or say
    /// nothing.
    pub info: Option<EngineInfo>,
}

/// What can be said of a model before it is loaded. Looks at files.
type Known = dyn Fn() -> Option<EngineInfo> + Send + Sync;

/// Makes the voice activity model, once.
pub type VadLoader = Arc<dyn Fn() -> Result<Arc<dyn VoiceActivity>, BoxError> + Send + Sync>;

/// Any error.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a load gives.
struct Shelf {
    engine: Arc<dyn Engine>,
    vad: Arc<dyn VoiceActivity>,
}

struct Inner {
    residents: Residents,
    /// The best first.
    candidates: Vec<Candidate>,
    /// The model for requests that name none; none: the best on disk.
    preferred: Option<ModelRef>,
    vad_ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// Puts recognisers together.
pub struct Builder {
    residents: Residents,
    vad: VadLoader,
    vad_ready: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    candidates: Vec<Candidate>,
    preferred: Option<ModelRef>,
}

// === impl Builder ===

impl Builder {
    /// Nothing yet. `vad_ready` says, cheaply, whether `vad` has what it needs, and if not what to do.
    pub fn new(
        residents: Residents,
        vad: VadLoader,
        vad_ready: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            residents,
            vad,
            vad_ready: Box::new(vad_ready),
            candidates: Vec::new(),
            preferred: None,
        }
    }

    /// The model for requests that name none.
    pub fn prefer(mut self, model: Option<ModelRef>) -> Self {
        self.preferred = model;
        self
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
        let on_disk: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new(on_disk);
        let (model, engine) = (spec.model.clone(), spec.engine.clone());
        let (asked, vad) = (Arc::clone(&on_disk), Arc::clone(&self.vad));
        let residency = self.residents.add(
            spec,
            move || asked(),
            move || {
                let vad = vad()?;
                let engine = load(&vad)?;
                let device = Some(engine.info().device.clone());
                Ok(Loaded {
                    value: Shelf { engine, vad },
                    memory_bytes: None,
                    device,
                })
            },
        )?;
        self.candidates.push(Candidate {
            model,
            engine,
            known: Arc::new(known),
            on_disk,
            residency,
        });
        Ok(self)
    }

    /// Done.
    pub fn build(self) -> Recognizers {
        let Self {
            residents,
            vad: _,
            vad_ready,
            candidates,
            preferred,
        } = self;
        Recognizers {
            inner: Arc::new(Inner {
                residents,
                candidates,
                preferred,
                vad_ready,
            }),
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

// === impl Recognizers ===

impl Recognizers {
    /// The models in memory, for whoever shows and manages them.
    pub fn residents(&self) -> &Residents {
        &self.inner.residents
    }

    /// The models on disk, the default first.
    ///
    /// # Errors
    /// INTERNAL when looking panics.
    pub async fn present(&self) -> Result<Vec<Present>, Fault> {
        let recognizers = self.clone();
        let look = move || recognizers.look().iter().map(Candidate::look).collect();
        task::spawn_blocking(look).await.map_err(Fault::internal)
    }

    /// Whether a request that names no model could be served; if not, what to do.
    pub async fn ready(&self) -> Result<(), String> {
        let inner = Arc::clone(&self.inner);
        let recognizers = self.clone();
        let looked = task::spawn_blocking(move || {
            (inner.vad_ready)()?;
            recognizers
                .choose("")
                .map(drop)
                .map_err(|fault| fault.to_string())
        });
        looked.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The model that `name` means, loaded. Empty: the default.
    ///
    /// # Errors
    /// NOT_FOUND for a name that is not known, FAILED_PRECONDITION for a model that is not on disk, UNAVAILABLE when it
    /// cannot be loaded.
    pub async fn acquire(&self, name: &str) -> Result<Recognizer, Fault> {
        let (recognizers, name) = (self.clone(), name.to_owned());
        let chosen = task::spawn_blocking(move || recognizers.choose(&name));
        let candidate = chosen.await.map_err(Fault::internal)??;
        let began = Instant::now();
        let (lease, load) = match candidate.residency.lease_if_ready() {
            Some(lease) => (lease, None),
            None => (candidate.residency.lease().await?, Some(began.elapsed())),
        };
        Ok(Recognizer {
            engine: Arc::clone(&lease.engine),
            vad: Arc::clone(&lease.vad),
            load,
            _lease: Arc::new(lease),
        })
    }

    fn look(&self) -> Vec<Candidate> {
        let mut present: Vec<_> = self
            .inner
            .candidates
            .iter()
            .filter(|candidate| candidate.is_on_disk())
            .cloned()
            .collect();
        if let Some(preferred) = &self.inner.preferred {
            present.sort_by_key(|candidate| !candidate.is(preferred));
        }
        present
    }

    /// Looks at files.
    fn choose(&self, name: &str) -> Result<Candidate, Fault> {
        const REMEDY: &str = "`polyphony models list` shows what there is";
        let wanted = match name {
            "" => self.inner.preferred.clone(),
            name => Some(
                name.parse::<ModelRef>()
                    .map_err(|_| Fault::not_found("model", cut(name), REMEDY))?,
            ),
        };
        let Some(wanted) = wanted else {
            let best = self
                .inner
                .candidates
                .iter()
                .find(|candidate| candidate.is_on_disk());
            return best.cloned().ok_or_else(|| {
                let message = "no model for speech recognition is on this machine; \
                               `apt-get install libpocketsphinx3 pocketsphinx-en-us` or \
                               `polyphony models pull onnx-community/whisper-base.en` brings one";
                Fault::unavailable("NO_MODEL", message)
            });
        };
        let mut known = self
            .inner
            .candidates
            .iter()
            .filter(|candidate| candidate.is(&wanted))
            .peekable();
        if known.peek().is_none() {
            return Err(Fault::not_found("model", cut(name), REMEDY));
        }
        known
            .find(|candidate| candidate.is_on_disk())
            .cloned()
            .ok_or_else(|| {
                let message = format!(
                    "model \"{wanted}\" is not on this machine; `polyphony models pull {wanted}` brings it"
                );
                Fault::new(Kind::FailedPrecondition, "MODEL_NOT_INSTALLED", message)
            })
    }
}

impl fmt::Debug for Recognizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recognizers")
            .field("candidates", &self.inner.candidates)
            .finish_non_exhaustive()
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

// === impl Candidate ===

impl Candidate {
    /// Looks at files, unless it is in memory.
    fn look(&self) -> Present {
        let loaded = self.residency.lease_if_ready();
        let info = loaded.map_or_else(|| (self.known)(), |lease| Some(lease.engine.info().clone()));
        Present {
            model: self.model.clone(),
            engine: self.engine.clone(),
            info,
        }
    }

    fn is_on_disk(&self) -> bool {
        (self.on_disk)()
    }

    /// A name without a form means any.
    fn is(&self, wanted: &ModelRef) -> bool {
        self.model.id == wanted.id && (wanted.variant.is_none() || wanted.variant == self.model.variant)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Candidate").field(&self.model).finish()
    }
}

/// What is said back of a caller's text.
fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}
