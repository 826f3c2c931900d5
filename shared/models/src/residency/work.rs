//! The work behind the book: loading, making room, dropping what left, and unloading the idle.

use std::sync::{Arc, Weak};
use std::time::Duration;

use polyphony_error::chain;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::book::{Answers, Book, Instance, Phase};
use super::refusal::Refusal;
use super::{AnyModel, Loaded, Loader, Shared, Slot};
use crate::{Error, ModelRef};

/// What a load made, its size, and how long it took.
struct Outcome {
    loaded: Loaded<AnyModel>,
    took: Duration,
}

/// Loads a model whose slot says `Loading`, and answers all who wait.
pub(super) async fn load(shared: Arc<Shared>, model: ModelRef) {
    let result = make(&shared, &model).await;
    let answers = {
        let mut book = shared.book();
        match result {
            Ok((outcome, reserved)) => {
                let (instance, took) = enter(&mut book, &model, outcome, reserved);
                let Ok(slot) = book.slot_mut(&model) else { return };
                slot.put(instance, took);
                slot.answer_all(&shared, None)
            }
            Err(refusal) => {
                let Ok(slot) = book.slot_mut(&model) else { return };
                slot.refuse(&refusal);
                slot.answer_all(&shared, Some(&refusal))
            }
        }
    };
    tell(answers);
    shared.changed();
    shared.idle.notify_one();
    trim(&shared, &model).await;
}

/// Loads a model anew; the old one serves until the new one is warm.
pub(super) async fn reload(shared: Arc<Shared>, model: ModelRef) -> Result<(), Error> {
    let in_service = matches!(shared.book().slot(&model)?.phase, Phase::Ready { .. });
    if !in_service {
        return Shared::grant(&shared, &model, true).await.map(drop);
    }
    let result = make(&shared, &model).await;
    let outcome = {
        let mut book = shared.book();
        match result {
            Ok((outcome, reserved)) => {
                let (instance, took) = enter(&mut book, &model, outcome, reserved);
                let slot = book.slot_mut(&model)?;
                let out = match slot.phase {
                    Phase::Ready { .. } => slot.put(instance, took),
                    // It was unloaded meanwhile: the new one is not wanted either.
                    _ => Some(instance),
                };
                Shared::retire(&shared, &mut book, out.filter(|out| !out.is_in_use()));
                Ok(())
            }
            Err(refusal) => {
                book.slot_mut(&model)?.refuse(&refusal);
                Err(refusal.error(&model, shared.policy.retry_after))
            }
        }
    };
    shared.changed();
    trim(&shared, &model).await;
    outcome
}

/// Unloads what nobody used for `after`, until the residents are gone.
pub(super) async fn unload_the_idle(shared: Weak<Shared>, wake: Arc<Notify>, after: Duration) {
    loop {
        let next = match shared.upgrade() {
            Some(shared) => Shared::unload_idle(&shared, after),
            None => return,
        };
        match next {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = wake.notified() => {}
                }
            }
            None => wake.notified().await,
        }
    }
}

/// Makes room, then runs the loader. On success the bytes that were reserved are still counted.
async fn make(shared: &Arc<Shared>, model: &ModelRef) -> Result<(Outcome, u64), Refusal> {
    let failed = |reason: String| Refusal::Failed {
        reason: reason.into(),
    };
    let slot = shared
        .book()
        .slot(model)
        .map(|slot| (slot.spec.memory_bytes, Arc::clone(&slot.loader)));
    let (need, loader) = slot.map_err(|error| failed(error.to_string()))?;
    make_room(shared, model, need).await?;
    let result = run(shared, loader).await;
    if result.is_err() {
        shared.book().release(need);
        shared.freed.notify_waiters();
    }
    result.map(|outcome| (outcome, need)).map_err(failed)
}

async fn run(shared: &Shared, loader: Arc<Loader>) -> Result<Outcome, String> {
    let begun = Instant::now();
    // What the loader drops when it fails is dropped there too, where it holds up nobody.
    let work = move || loader().map_err(|error| chain(error.as_ref()).to_string());
    match shared.runtime.spawn_blocking(work).await {
        Ok(Ok(loaded)) => Ok(Outcome {
            loaded,
            took: begun.elapsed(),
        }),
        Ok(Err(reason)) => Err(reason),
        Err(error) if error.is_panic() => Err("the loader panicked; the log has the place".to_owned()),
        Err(_) => Err("the process is stopping".to_owned()),
    }
}

/// Reserves `need` bytes, for which others may have to leave.
async fn make_room(shared: &Arc<Shared>, model: &ModelRef, need: u64) -> Result<(), Refusal> {
    let Some(budget) = shared.policy.memory_budget else {
        shared.book().reserve(need);
        return Ok(());
    };
    if need > budget {
        return Err(Refusal::TooLarge { need, budget });
    }
    let _turn = shared.room.lock().await;
    loop {
        // Made before the book is read, so that what is freed from then on wakes us.
        let freed = shared.freed.notified();
        {
            let mut book = shared.book();
            if book.used.saturating_add(need) <= budget {
                book.reserve(need);
                return Ok(());
            }
            let out = book.least_recently_used(model).and_then(|slot| {
                tracing::info!(model = %slot.spec.model, wanted_for = %model, "unloading the least recently used model");
                slot.begin_unload()
            });
            if out.is_none() && book.freeing == 0 {
                let used = book.used;
                return Err(Refusal::NoMemory { need, used, budget });
            }
            Shared::retire(shared, &mut book, out);
        }
        shared.changed();
        freed.await;
    }
}

/// Where a loader says that the model takes more than was reserved, others leave now.
async fn trim(shared: &Arc<Shared>, model: &ModelRef) {
    let Some(budget) = shared.policy.memory_budget else {
        return;
    };
    let _turn = shared.room.lock().await;
    loop {
        let freed = shared.freed.notified();
        {
            let mut book = shared.book();
            if book.used <= budget {
                return;
            }
            let Some(out) = book.least_recently_used(model).and_then(Slot::begin_unload) else {
                let used = book.used;
                tracing::warn!(%model, used, budget, "models take more than models.memory_budget; raise the estimate of this one");
                return;
            };
            Shared::retire(shared, &mut book, out);
        }
        shared.changed();
        freed.await;
    }
}

/// Counts what a load really takes, and makes it an instance.
fn enter(book: &mut Book, model: &ModelRef, outcome: Outcome, reserved: u64) -> (Arc<Instance>, Duration) {
    let Outcome { loaded, took } = outcome;
    let bytes = loaded.memory_bytes.unwrap_or(reserved);
    book.release(reserved);
    book.reserve(bytes);
    tracing::info!(%model, bytes, device = loaded.device, took = ?took, "model loaded");
    (book.instance(model, loaded.value, bytes, loaded.device), took)
}

/// With the book closed: a grant whose waiter has gone is given back, and that opens the book.
fn tell(answers: Answers) {
    for (waiter, answer) in answers {
        drop(waiter.send(answer));
    }
}

// === impl Shared ===

impl Shared {
    /// Drops an instance that nobody uses any more, where it holds up nobody, and then counts its memory as free. One
    /// that is in use is left to its last user.
    pub(super) fn retire(shared: &Arc<Self>, book: &mut Book, out: impl Into<Option<Arc<Instance>>>) {
        let Some(instance) = out.into().filter(|instance| !instance.is_in_use()) else {
            return;
        };
        book.freeing += 1;
        let after = Arc::clone(shared);
        shared.runtime.spawn_blocking(move || {
            let (number, bytes, model) = (instance.number, instance.bytes, instance.model.clone());
            drop(instance);
            let load_again = {
                let mut book = after.book();
                book.release(bytes);
                book.freeing -= 1;
                book.slot_mut(&model).is_ok_and(|slot| slot.gone(number))
            };
            if load_again {
                after.runtime.spawn(load(Arc::clone(&after), model));
            }
            after.freed.notify_waiters();
            after.changed();
        });
    }

    /// Unloads what is idle for so long; when to look again.
    fn unload_idle(shared: &Arc<Self>, after: Duration) -> Option<Instant> {
        let mut out = false;
        let next = loop {
            let mut book = shared.book();
            let Some(deadline) = Instant::now().checked_sub(after) else {
                break None;
            };
            let (over, next) = book.idle_since(deadline);
            let Some(slot) = over else { break next };
            tracing::info!(model = %slot.spec.model, "unloading an idle model");
            let instance = slot.begin_unload();
            Self::retire(shared, &mut book, instance);
            out = true;
        };
        if out {
            shared.changed();
        }
        next.map(|used| used + after)
    }
}
