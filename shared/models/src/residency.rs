//! Models in memory: loaded on first use, unloaded when idle or when another needs the room, never while in use.
//!
//! [`Residents`] is one for a process. A service adds each model that it can run, with a closure that loads it and warms
//! it up, and gets a [`Residency`]; a request takes a [`Lease`] from it, which is the model as long as it lives. Everyone
//! else (the `ModelService`, readiness, metrics) sees the same models by name, whatever their type.
//!
//! - However many ask, a model is loaded once, on a blocking thread; whoever goes away does not stop the load.
//! - A load makes room first: the least recently used model that is neither in use nor pinned leaves, until the estimate
//!   of the new one fits `models.memory_budget`. Memory counts as free when the old model is really gone.
//! - A failed load says why, to all who waited and in the state; requests do not try again before a pause, an operator
//!   may. A failed reload leaves the old model in service.
//!
//! It knows no inference library. What it counts is what loaders tell; it measures nothing itself.

mod book;
mod lease;
mod refusal;
mod status;
mod work;

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

pub use lease::Lease;
pub use status::{Loaded, ResidencyPolicy, Spec, State, Status};

use crate::{Error, ModelRef};
use book::{Book, Phase, Slot};
use lease::Grant;

/// The models of a process. Cheap to clone.
#[derive(Clone)]
pub struct Residents {
    shared: Arc<Shared>,
}

/// One model, of the type that its loader makes. Cheap to clone.
pub struct Residency<T> {
    residents: Residents,
    model: ModelRef,
    loads: PhantomData<fn() -> T>,
}

/// A model of any type.
type AnyModel = Arc<dyn Any + Send + Sync>;
/// What loads a model of any type.
type Loader = dyn Fn() -> Result<Loaded<AnyModel>, Box<dyn StdError + Send + Sync>> + Send + Sync;

struct Shared {
    policy: ResidencyPolicy,
    book: Mutex<Book>,
    /// Counts changes of state.
    changes: watch::Sender<u64>,
    /// Some memory became free.
    freed: Notify,
    /// Whoever makes room holds this, so that two loads do not take the same room.
    room: tokio::sync::Mutex<()>,
    /// Something may have become idle.
    idle: Arc<Notify>,
    runtime: Handle,
}

// === impl Residents ===

impl Residents {
    /// No models yet.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: loads and unloads run on it.
    pub fn new(policy: ResidencyPolicy) -> Self {
        let idle = Arc::new(Notify::new());
        let shared = Arc::new(Shared {
            policy,
            book: Mutex::default(),
            changes: watch::Sender::new(0),
            freed: Notify::new(),
            room: tokio::sync::Mutex::default(),
            idle: Arc::clone(&idle),
            runtime: Handle::current(),
        });
        if let Some(after) = shared.policy.idle_unload {
            let weak = Arc::downgrade(&shared);
            shared.runtime.spawn(work::unload_the_idle(weak, idle, after));
        }
        Self { shared }
    }

    /// Adds a model. `on_disk` is asked, cheaply and often, whether there is something to load; `load` loads it and warms
    /// it up, on a blocking thread, and what it says when it fails is shown to operators.
    ///
    /// # Errors
    ///
    /// [`Error::Twice`] if this model was added before.
    pub fn add<T: Send + Sync + 'static>(
        &self,
        spec: Spec,
        on_disk: impl Fn() -> bool + Send + Sync + 'static,
        load: impl Fn() -> Result<Loaded<T>, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    ) -> Result<Residency<T>, Error> {
        let loader = move || {
            let Loaded {
                value,
                memory_bytes,
                device,
            } = load()?;
            Ok(Loaded {
                value: Arc::new(value) as AnyModel,
                memory_bytes,
                device,
            })
        };
        let model = spec.model.clone();
        let slot = Slot::new(spec, Arc::new(on_disk), Arc::new(loader));
        self.shared.book().add(slot)?;
        self.shared.changed();
        Ok(Residency {
            residents: self.clone(),
            model,
            loads: PhantomData,
        })
    }

    /// As [`add`](Self::add); but a model that another service of this process added the same way is used together with
    /// it, so that it is in memory once. The first one's loader loads it.
    ///
    /// # Errors
    ///
    /// [`Error::Twice`] if what was added before is for another task or engine.
    pub fn add_shared<T: Send + Sync + 'static>(
        &self,
        spec: Spec,
        on_disk: impl Fn() -> bool + Send + Sync + 'static,
        load: impl Fn() -> Result<Loaded<T>, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    ) -> Result<Residency<T>, Error> {
        let wanted = spec.clone();
        match self.add(spec, on_disk, load) {
            Err(Error::Twice(model)) => {
                let there = self.shared.book().slot(&model)?.spec.clone();
                // What it takes in memory is another number once it is loaded.
                if (there.task, there.engine) != (wanted.task, wanted.engine) {
                    return Err(Error::Twice(model));
                }
                Ok(Residency {
                    residents: self.clone(),
                    model,
                    loads: PhantomData,
                })
            }
            added => added,
        }
    }

    /// All models, by name. Asks `on_disk` of those that are not in memory.
    pub fn list(&self) -> Vec<Status> {
        // The question of what is on disk may take its time; it is asked after the book is closed.
        let seen: Vec<_> = self.shared.book().slots().map(Slot::status).collect();
        seen.into_iter().map(|seen| seen.ask_the_disk()).collect()
    }

    /// One model.
    ///
    /// # Errors
    ///
    /// [`Error::NotResident`].
    pub fn status(&self, model: &ModelRef) -> Result<Status, Error> {
        let seen = self.shared.book().slot(model)?.status();
        Ok(seen.ask_the_disk())
    }

    /// Counts changes of state (not of use). After each change of the count, [`list`](Self::list) has something new.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Loads a model, also one whose load just failed. It may be unloaded again for idleness or room; pin it first to
    /// keep it.
    ///
    /// # Errors
    ///
    /// [`Error::NotResident`], [`Error::LoadFailed`], [`Error::NoMemory`], [`Error::TooLarge`].
    pub async fn load(&self, model: &ModelRef) -> Result<(), Error> {
        Shared::grant(&self.shared, model, true).await.map(drop)
    }

    /// Loads a model anew, and puts the new one in the place of the old one when it is warm. If that fails the old one
    /// stays in service. Needs room for both.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub async fn reload(&self, model: &ModelRef) -> Result<(), Error> {
        let work = work::reload(Arc::clone(&self.shared), model.clone());
        // On a task of its own: a caller that goes away must not leave room taken.
        match self.shared.runtime.spawn(work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Stopping(model.clone())),
        }
    }

    /// Takes a model out of memory, when its last user has gone; requests that come meanwhile wait, and load it again.
    ///
    /// # Errors
    ///
    /// [`Error::NotResident`], [`Error::Pinned`].
    pub async fn unload(&self, model: &ModelRef) -> Result<(), Error> {
        let mut changes = self.watch();
        let mut leaving = None;
        loop {
            changes.borrow_and_update();
            let begun = {
                let mut book = self.shared.book();
                let slot = book.slot_mut(model)?;
                match (&slot.phase, leaving) {
                    (Phase::Unloading { instance }, None) => {
                        leaving = Some(*instance);
                        false
                    }
                    (Phase::Unloading { instance }, Some(number)) if *instance == number => false,
                    (Phase::Loading { .. }, None) => false,
                    (Phase::Ready { .. }, None) if slot.pinned => return Err(Error::Pinned(model.clone())),
                    (Phase::Ready { instance, .. }, None) => {
                        leaving = Some(instance.number);
                        let out = slot.begin_unload();
                        Shared::retire(&self.shared, &mut book, out);
                        true
                    }
                    (Phase::Failed { .. }, None) => {
                        slot.phase = Phase::Idle;
                        true
                    }
                    // Gone, or already back for others who asked.
                    (Phase::Idle, None) | (_, Some(_)) => return Ok(()),
                }
            };
            if begun {
                self.shared.changed();
            }
            if changes.changed().await.is_err() {
                return Err(Error::Stopping(model.clone()));
            }
        }
    }

    /// Whether a model stays whatever happens. Does not load it.
    ///
    /// # Errors
    ///
    /// [`Error::NotResident`].
    pub fn pin(&self, model: &ModelRef, pinned: bool) -> Result<(), Error> {
        self.shared.book().slot_mut(model)?.pinned = pinned;
        self.shared.idle.notify_one();
        self.shared.changed();
        Ok(())
    }

    /// What all models take in memory now, in bytes: loaded, on their way in, and on their way out.
    pub fn memory_bytes(&self) -> u64 {
        self.shared.book().used
    }
}

impl fmt::Debug for Residents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

// === impl Residency ===

impl<T: Send + Sync + 'static> Residency<T> {
    /// The model, loaded if it is not; it stays as long as the lease lives.
    ///
    /// Dropping the future stops nothing but the wait.
    ///
    /// # Errors
    ///
    /// [`Error::LoadFailed`], [`Error::NoMemory`], [`Error::TooLarge`].
    pub async fn lease(&self) -> Result<Lease<T>, Error> {
        let grant = Shared::grant(&self.residents.shared, &self.model, false).await?;
        // The slot was made for a `T` by `Residents::add`.
        Lease::new(grant).ok_or_else(|| Error::NotResident(self.model.clone()))
    }

    /// The model if it is in memory now; never loads and never waits.
    pub fn lease_if_ready(&self) -> Option<Lease<T>> {
        let grant = Shared::grant_if_ready(&self.residents.shared, &self.model)?;
        Lease::new(grant)
    }

    /// Which model.
    pub fn model(&self) -> &ModelRef {
        &self.model
    }
}

impl<T> Clone for Residency<T> {
    fn clone(&self) -> Self {
        Self {
            residents: self.residents.clone(),
            model: self.model.clone(),
            loads: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Residency<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Residency").field(&self.model).finish()
    }
}

// === impl Shared ===

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing is called with the book open that could panic halfway through a change.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// A grant of a model that is in memory, or one that the load brings.
    async fn grant(shared: &Arc<Self>, model: &ModelRef, by_hand: bool) -> Result<Grant, Error> {
        let (receiver, begun) = {
            let mut book = shared.book();
            let retry_after = shared.policy.retry_after;
            let slot = book.slot_mut(model)?;
            if let Some(grant) = slot.grant(shared) {
                return Ok(grant);
            }
            if let Some(refusal) = slot.recent_failure(retry_after).filter(|_| !by_hand) {
                return Err(refusal);
            }
            (slot.wait(), slot.begin_load())
        };
        if begun {
            // On a task of its own: it goes on for the others when this caller goes away.
            shared
                .runtime
                .spawn(work::load(Arc::clone(shared), model.clone()));
            shared.changed();
        }
        match receiver.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Stopping(model.clone())),
        }
    }

    fn grant_if_ready(shared: &Arc<Self>, model: &ModelRef) -> Option<Grant> {
        shared.book().slot_mut(model).ok()?.grant(shared)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task that unloads the idle looks up, sees that we are gone, and ends.
        self.idle.notify_one();
    }
}

#[cfg(test)]
mod tests;
