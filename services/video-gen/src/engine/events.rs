//! Who waits for what the worker tells: each event goes to the order or the model that it is about.

use std::collections::HashMap;
use std::sync::mpsc as blocking;
use std::sync::{Mutex, MutexGuard, PoisonError};

use polyphony_video_worker::protocol::{Event, Weights};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

/// A model with its weights.
pub(super) type Which = (String, Weights);

/// A model that was loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct InMemory {
    /// What it takes of the device at most at once.
    pub(super) bytes: u64,
}

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    orders: HashMap<String, mpsc::UnboundedSender<Event>>,
    loads: Vec<(Which, oneshot::Sender<Result<InMemory, Error>>)>,
    unloads: Vec<(Which, blocking::Sender<()>)>,
}

// === impl Waiting ===

impl Waiting {
    /// The events of an order. They are few, for each stands for much work.
    pub(super) fn order(&self, id: &str) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.all().orders.insert(id.to_owned(), sender);
        receiver
    }

    /// Nobody waits for this order any more.
    pub(super) fn forget(&self, id: &str) {
        self.all().orders.remove(id);
    }

    pub(super) fn load(&self, which: Which) -> oneshot::Receiver<Result<InMemory, Error>> {
        let (sender, receiver) = oneshot::channel();
        self.all().loads.push((which, sender));
        receiver
    }

    pub(super) fn unload(&self, which: Which) -> blocking::Receiver<()> {
        let (sender, receiver) = blocking::channel();
        self.all().unloads.push((which, sender));
        receiver
    }

    /// The worker is no more: all senders are dropped, and whoever waits hears it.
    pub(super) fn end(&self) {
        *self.all() = All::default();
    }

    /// Hands an event to whom it is about. What nobody waits for is of no use.
    pub(super) fn tell(&self, event: Event) {
        let mut all = self.all();
        match event {
            Event::Loaded {
                model,
                weights,
                bytes,
                ..
            } => all.loaded(&(model, weights), || Ok(InMemory { bytes })),
            Event::Unloaded { model, weights, .. } => {
                let which = (model, weights);
                // Whoever no longer waits need not hear it.
                for (_, sender) in all.unloads.extract_if(.., |(waiting, _)| *waiting == which) {
                    sender.send(()).unwrap_or_default();
                }
            }
            Event::Failed {
                id: None,
                model,
                kind,
                message,
            } => {
                let Some(model) = model else {
                    tracing::warn!(?kind, message, "the video worker refused something");
                    return;
                };
                for (_, sender) in all.loads.extract_if(.., |((waiting, _), _)| *waiting == model) {
                    let message = message.clone();
                    drop(sender.send(Err(Error::Refused { kind, message })));
                }
            }
            Event::Stage { ref id, .. }
            | Event::PartLoaded { ref id, .. }
            | Event::Step { ref id, .. }
            | Event::Decoded { ref id, .. }
            | Event::Preview { ref id, .. }
            | Event::Done { ref id, .. }
            | Event::Cancelled { ref id }
            | Event::Failed { id: Some(ref id), .. } => {
                if let Some(sender) = all.orders.get(id) {
                    drop(sender.send(event));
                }
            }
            Event::Ready { .. } | Event::Loading { .. } => {}
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl All ===

impl All {
    fn loaded(&mut self, which: &Which, result: impl Fn() -> Result<InMemory, Error>) {
        for (_, sender) in self.loads.extract_if(.., |(waiting, _)| waiting == which) {
            drop(sender.send(result()));
        }
    }
}
