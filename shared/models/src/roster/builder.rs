//! Puts a roster together: from single models, or from all that the catalogue has for a task.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use super::{BoxError, Candidate, Inner, Roster};
use crate::{Entry, Error, Installed, Loaded, ModelRef, Residents, Spec, Store};

/// Puts a roster together.
pub struct RosterBuilder<T, K> {
    inner: Inner<T, K>,
    shared: bool,
}

// === impl RosterBuilder ===

impl<T: Send + Sync + 'static, K: Send + 'static> RosterBuilder<T, K> {
    pub(super) fn new(residents: Residents, describe: fn(&T) -> K, nothing: String) -> Self {
        let inner = Inner {
            residents,
            candidates: Vec::new(),
            preferred: None,
            describe,
            nothing,
        };
        Self { inner, shared: false }
    }

    /// The models added after this may be those of another service of this process, and are then in memory once.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The model for requests that name none.
    #[must_use]
    pub fn prefer(mut self, model: Option<ModelRef>) -> Self {
        self.inner.preferred = model;
        self
    }

    /// The model for requests that name none, by its name; empty: the best on disk.
    ///
    /// # Errors
    /// A name that is none.
    pub fn prefer_named(self, name: &str) -> Result<Self, Error> {
        let preferred = (!name.is_empty()).then(|| name.parse()).transpose()?;
        Ok(self.prefer(preferred))
    }

    /// Adds a model, better than all that are added later. `known` is asked what can be said of it while it is not in
    /// memory, `on_disk`, cheaply and often, whether there is something to load.
    ///
    /// # Errors
    /// A model that was added before.
    pub fn add(
        mut self,
        spec: Spec,
        known: impl Fn() -> Option<K> + Send + Sync + 'static,
        on_disk: impl Fn() -> bool + Send + Sync + 'static,
        load: impl Fn() -> Result<Loaded<T>, BoxError> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let on_disk: Arc<dyn Fn() -> bool + Send + Sync> = Arc::new(on_disk);
        let (model, engine) = (spec.model.clone(), spec.engine.clone());
        let asked = Arc::clone(&on_disk);
        let residents = &self.inner.residents;
        let residency = if self.shared {
            residents.add_shared(spec, move || asked(), load)?
        } else {
            residents.add(spec, move || asked(), load)?
        };
        self.inner.candidates.push(Candidate {
            model,
            engine,
            known: Arc::new(known),
            on_disk,
            residency,
        });
        Ok(self)
    }

    /// Adds every form of every model that the catalogue has for `task` and whose engine `accepts`: in the order of
    /// `rank`, the lower the better, and larger models before smaller ones of the same rank. `known` and `load` get the
    /// verified files.
    ///
    /// # Errors
    /// A model that was added before.
    pub fn add_task(
        mut self,
        store: &Store,
        task: &str,
        accepts: impl Fn(&str) -> bool,
        rank: impl Fn(&Entry) -> u32,
        known: impl Fn(&Installed) -> Result<Option<K>, BoxError> + Send + Sync + 'static,
        load: impl Fn(&Installed) -> Result<Loaded<T>, BoxError> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (known, load) = (Arc::new(known), Arc::new(load));
        let mut entries: Vec<&Entry> = store
            .catalogue()
            .entries()
            .filter(|entry| entry.task == task && accepts(&entry.engine))
            .collect();
        entries.sort_by_key(|entry| {
            let size = entry.variants().first().map_or(0, |variant| variant.memory_bytes);
            (rank(entry), Reverse(size))
        });
        for entry in entries {
            for variant in entry.variants() {
                let model = ModelRef::exact(entry.id.clone(), variant.name.clone());
                let spec = Spec {
                    model: model.clone(),
                    task: entry.task.clone(),
                    engine: entry.engine.clone(),
                    memory_bytes: variant.memory_bytes,
                };
                let stores = (store.clone(), store.clone(), store.clone());
                let models = (model.clone(), model.clone(), model);
                let (known, load) = (Arc::clone(&known), Arc::clone(&load));
                self = self.add(
                    spec,
                    move || foretell(&stores.0, &models.0, &*known),
                    move || stores.1.is_on_disk(&models.1),
                    move || load(&stores.2.find(&models.2)?),
                )?;
            }
        }
        Ok(self)
    }

    /// Done.
    pub fn build(self) -> Roster<T, K> {
        Roster {
            inner: Arc::new(self.inner),
        }
    }
}

/// What a model's own files say about it. They are verified first, as before a load: that reads all files once.
fn foretell<K>(
    store: &Store,
    model: &ModelRef,
    known: &dyn Fn(&Installed) -> Result<Option<K>, BoxError>,
) -> Option<K> {
    let said = || -> Result<Option<K>, BoxError> { known(&store.find(model)?) };
    // Whoever asks for the model is told; here it is listed by its name alone.
    said().unwrap_or_else(|error| {
        tracing::debug!(%model, error = %polyphony_error::chain(&*error), "a model says nothing about itself");
        None
    })
}

impl<T, K> fmt::Debug for RosterBuilder<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = self.inner.candidates.iter().map(|candidate| &candidate.model);
        f.debug_list().entries(models).finish()
    }
}
