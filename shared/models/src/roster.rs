//! Which model serves a request: the models of one task, which of them can be had, the best of them, and each in memory
//! when it is needed.
//!
//! All known models are registered, whether they are on disk or not, so that one that is pulled while the process runs
//! can be used at once. Nothing is loaded before somebody asks.

mod builder;

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use polyphony_error::{Fault, Kind};
use tokio::task;

use crate::{Lease, ModelRef, Residency, Residents};

pub use builder::RosterBuilder;

/// Any error of a loader.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The models of a task: `T` is a loaded one, `K` what is known of it. Cheap to clone.
pub struct Roster<T, K> {
    inner: Arc<Inner<T, K>>,
}

/// A model in use; it stays in memory as long as this lives. Cheap to clone.
pub struct Chosen<T> {
    lease: Arc<Lease<T>>,
    /// How long loading took, if this request caused it.
    pub load: Option<Duration>,
}

/// A model on disk, and what it is.
#[derive(Debug, Clone)]
pub struct Present<K> {
    /// Which.
    pub model: ModelRef,
    /// The engine that runs it.
    pub engine: String,
    /// What can be said of it: all if it is in memory, else what its small files say. None: they are broken or say
    /// nothing.
    pub known: Option<K>,
}

struct Inner<T, K> {
    residents: Residents,
    /// The best first.
    candidates: Vec<Candidate<T, K>>,
    /// The model for requests that name none; none: the best on disk.
    preferred: Option<ModelRef>,
    describe: fn(&T) -> K,
    /// What to say when there is no model at all.
    nothing: String,
}

/// One model that may be there.
struct Candidate<T, K> {
    model: ModelRef,
    engine: String,
    known: Arc<Known<K>>,
    on_disk: Arc<dyn Fn() -> bool + Send + Sync>,
    residency: Residency<T>,
}

/// What can be said of a model before it is loaded. Looks at files.
type Known<K> = dyn Fn() -> Option<K> + Send + Sync;

// === impl Roster ===

impl<T: Send + Sync + 'static, K: Send + 'static> Roster<T, K> {
    /// Puts a roster together. `describe` tells what is known of a loaded model; `nothing` is what callers are told when
    /// no model is on disk, with the remedy.
    pub fn builder(
        residents: Residents,
        describe: fn(&T) -> K,
        nothing: impl Into<String>,
    ) -> RosterBuilder<T, K> {
        RosterBuilder::new(residents, describe, nothing.into())
    }

    /// The models in memory, for whoever shows and manages them.
    pub fn residents(&self) -> &Residents {
        &self.inner.residents
    }

    /// The models on disk, the default first.
    ///
    /// # Errors
    /// INTERNAL when looking panics.
    pub async fn present(&self) -> Result<Vec<Present<K>>, Fault> {
        let roster = self.clone();
        let look = move || {
            let describe = roster.inner.describe;
            let present = roster.on_disk().into_iter();
            present.map(|candidate| candidate.look(describe)).collect()
        };
        task::spawn_blocking(look).await.map_err(Fault::internal)
    }

    /// Whether a request that names no model could be served, and with `load` whether its model is in memory, which loads
    /// it; if not, what to do. The future owns what it needs, so that a task may wait for it.
    ///
    /// # Errors
    /// The remedy.
    pub fn ready(&self, load: bool) -> impl Future<Output = Result<(), String>> + Send + use<T, K> {
        let roster = self.clone();
        async move {
            let ready = if load {
                roster.acquire("").await.map(drop)
            } else {
                roster.chosen("", |_| true).await.map(drop)
            };
            ready.map_err(|fault| fault.to_string())
        }
    }

    /// The model that `name` means, loaded. Empty: the default.
    ///
    /// # Errors
    /// NOT_FOUND for a name that is not known, FAILED_PRECONDITION for a model that is not on disk, UNAVAILABLE when it
    /// cannot be loaded or there is none.
    pub async fn acquire(&self, name: &str) -> Result<Chosen<T>, Fault> {
        self.acquire_for(name, |_| true).await
    }

    /// As [`acquire`](Self::acquire), but a default must fit, as by its languages. A model that was named need not: its
    /// engine says what it lacks. If none on disk fits, the default is taken, so that it can say so too.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_for(
        &self,
        name: &str,
        fits: impl Fn(&K) -> bool + Send + 'static,
    ) -> Result<Chosen<T>, Fault> {
        if let Some(lease) = self.at_hand(name) {
            return Ok(Chosen {
                lease: Arc::new(lease),
                load: None,
            });
        }
        let candidate = self.chosen(name, fits).await?;
        let began = Instant::now();
        let (lease, load) = match candidate.residency.lease_if_ready() {
            Some(lease) => (lease, None),
            None => (candidate.residency.lease().await?, Some(began.elapsed())),
        };
        Ok(Chosen {
            lease: Arc::new(lease),
            load,
        })
    }

    /// The model that a name means, if it is in memory and [`named`](Self::named) would choose it: then no file is looked at.
    fn at_hand(&self, name: &str) -> Option<Lease<T>> {
        let wanted = if name.is_empty() {
            self.inner.preferred.clone()?
        } else {
            name.parse().ok()?
        };
        let mut known = self.inner.candidates.iter();
        known
            .find(|candidate| candidate.is(&wanted))?
            .residency
            .lease_if_ready()
    }

    fn on_disk(&self) -> Vec<Candidate<T, K>> {
        let inner = &self.inner;
        let mut present: Vec<_> = inner
            .candidates
            .iter()
            .filter(|candidate| candidate.is_on_disk())
            .cloned()
            .collect();
        if let Some(preferred) = &inner.preferred {
            present.sort_by_key(|candidate| !candidate.is(preferred));
        }
        present
    }

    async fn chosen(
        &self,
        name: &str,
        fits: impl Fn(&K) -> bool + Send + 'static,
    ) -> Result<Candidate<T, K>, Fault> {
        let (roster, name) = (self.clone(), name.to_owned());
        let chosen = task::spawn_blocking(move || roster.choose(&name, fits));
        chosen.await.map_err(Fault::internal)?
    }

    /// Looks at files.
    fn choose(&self, name: &str, fits: impl Fn(&K) -> bool) -> Result<Candidate<T, K>, Fault> {
        if !name.is_empty() {
            let wanted = name.parse().map_err(|_| unknown(name))?;
            return self.named(&wanted);
        }
        if let Some(preferred) = &self.inner.preferred {
            return self.named(preferred);
        }
        let describe = self.inner.describe;
        let mut present = self.on_disk().into_iter();
        let first = present
            .next()
            .ok_or_else(|| Fault::unavailable("NO_MODEL", self.inner.nothing.clone()))?;
        let suits =
            |candidate: &Candidate<T, K>| candidate.look(describe).known.is_some_and(|known| fits(&known));
        if suits(&first) {
            return Ok(first);
        }
        Ok(present.find(suits).unwrap_or(first))
    }

    fn named(&self, wanted: &ModelRef) -> Result<Candidate<T, K>, Fault> {
        let mut known = self
            .inner
            .candidates
            .iter()
            .filter(|candidate| candidate.is(wanted))
            .peekable();
        if known.peek().is_none() {
            return Err(unknown(&wanted.to_string()));
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

fn unknown(name: &str) -> Fault {
    // What is said back of a caller's text.
    let name: String = name.chars().take(128).collect();
    Fault::not_found("model", name, "`polyphony models list` shows what there is")
}

impl<T, K> Clone for Roster<T, K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T, K> fmt::Debug for Roster<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = self.inner.candidates.iter().map(|candidate| &candidate.model);
        f.debug_list().entries(models).finish()
    }
}

// === impl Chosen ===

impl<T> Deref for Chosen<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lease
    }
}

impl<T> Clone for Chosen<T> {
    fn clone(&self) -> Self {
        Self {
            lease: Arc::clone(&self.lease),
            load: self.load,
        }
    }
}

impl<T> fmt::Debug for Chosen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chosen")
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}

// === impl Candidate ===

impl<T: Send + Sync + 'static, K> Candidate<T, K> {
    /// Looks at files, unless it is in memory.
    fn look(&self, describe: fn(&T) -> K) -> Present<K> {
        let loaded = self.residency.lease_if_ready();
        Present {
            model: self.model.clone(),
            engine: self.engine.clone(),
            known: loaded.map_or_else(|| (self.known)(), |lease| Some(describe(&lease))),
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

impl<T, K> Clone for Candidate<T, K> {
    fn clone(&self) -> Self {
        Self {
            model: self.model.clone(),
            engine: self.engine.clone(),
            known: Arc::clone(&self.known),
            on_disk: Arc::clone(&self.on_disk),
            residency: self.residency.clone(),
        }
    }
}
