//! The models in the worker's memory, as those of all services are kept: loaded at first use, unloaded when idle, when another
//! needs the room, or by hand.
//!
//! Each model of the worker is there twice: with its own weights, where they are on disk, and as `ID@dummy` with random ones.
//! A model whose text encoder takes turns with the rest counts as much as the larger of the two, for so much of it is in
//! memory at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use polyphony_error::Fault;
use polyphony_models::{
    BoxError, Lease, Loaded, ModelRef, Presence, Residency, Residents, Spec, State, Store,
};
use polyphony_video_worker::catalogue::{self, Model};
use polyphony_video_worker::estimate::WeightBytes;
use polyphony_video_worker::protocol::{DummySize, FailureKind, Order, Precision, Weights};
use tokio::runtime::Handle;
use tokio::task;

use super::worker::Worker;
use super::workshop::Workshop;
use crate::config::OffloadTextEncoder;
use crate::error::Error;

/// The models of this service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Models {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    residents: Residents,
    dummy: DummySize,
    /// By id, and whether the weights are random.
    residencies: BTreeMap<(&'static str, bool), Kept>,
}

/// A model of the worker, as it is kept in memory.
#[derive(Debug)]
struct Kept {
    residency: Residency<InWorker>,
    /// Whether the next load leaves the text encoder to take turns with the rest.
    offload: Arc<AtomicBool>,
}

/// A model that is in a worker's memory; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct InWorker {
    worker: Worker,
    model: &'static str,
    weights: Weights,
    /// Its text encoder takes turns with the rest of it.
    offloads: bool,
}

/// A model in use.
#[derive(Debug)]
pub(super) struct InUse {
    lease: Lease<InWorker>,
    /// How long loading it took, for this use.
    pub(super) load: Duration,
    /// Its text encoder takes turns with the rest of it, in this use.
    pub(super) offloads: bool,
}

/// How models are loaded when no video says how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    pub(super) policy: OffloadTextEncoder,
    /// What models may take in memory together.
    pub(super) budget: Option<u64>,
}

/// What a model is for, in lists of models.
const TASK: &str = "video";
const ENGINE: &str = "wan";
/// What the form of a model's own weights is called in the catalogue.
const OWN: &str = "bf16";
/// How long a worker may take to free a model's memory.
const UNLOADING: Duration = Duration::from_secs(60);

// === impl Models ===

impl Models {
    pub(super) fn new(
        store: Store,
        residents: Residents,
        workshop: &Workshop,
        dummy: DummySize,
        usual: Usual,
    ) -> Result<Self, Error> {
        let mut residencies = BTreeMap::new();
        for model in catalogue::models() {
            let own = reference(&format!("{}@{OWN}", model.id))?;
            let weights = WeightBytes::of(&model.shapes, Precision::Bf16);
            let offload = Arc::new(AtomicBool::new(usual.offloads(&weights)));
            let (there, looked) = (store.clone(), own.clone());
            let (shop, opened, turns) = (workshop.clone(), store.clone(), Arc::clone(&offload));
            let residency = residents.add(
                spec(own.clone(), usual.most(&weights)),
                move || there.is_on_disk(&looked),
                move || {
                    let path = opened.find(&own)?.dir;
                    load(&shop, model.id, Weights::Folder { path }, &turns)
                },
            )?;
            residencies.insert((model.id, false), Kept { residency, offload });
            let weights = Weights::Dummy { size: dummy };
            let bytes = WeightBytes::of(&model.shapes_of(&weights), Precision::Fp32);
            let offload = Arc::new(AtomicBool::new(usual.offloads(&bytes)));
            let (there, shop, turns) = (workshop.clone(), workshop.clone(), Arc::clone(&offload));
            let residency = residents.add(
                spec(reference(&format!("{}@dummy", model.id))?, usual.most(&bytes)),
                move || there.check().is_ok(),
                move || load(&shop, model.id, weights.clone(), &turns),
            )?;
            residencies.insert((model.id, true), Kept { residency, offload });
        }
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                residents,
                dummy,
                residencies,
            }),
        })
    }

    /// The weights of a model that are random.
    pub(crate) fn dummy(&self) -> Weights {
        Weights::Dummy {
            size: self.inner.dummy,
        }
    }

    /// Where a model's own weights are, and their digest, as far as it is known. None: not on disk.
    pub(crate) async fn on_disk(&self, model: &'static Model) -> Result<Option<(Weights, String)>, Error> {
        let (store, name) = (self.inner.store.clone(), reference(model.id)?);
        let look = move || -> Result<_, polyphony_models::Error> {
            let listed = store.list()?;
            let found = listed.into_iter().find(|listing| listing.model.id == name.id);
            let Some(listing) = found else { return Ok(None) };
            let Presence::OnDisk { dir, digest, .. } = listing.presence else {
                return Ok(None);
            };
            let digest = match digest {
                Some(digest) => digest,
                // What nobody pulled is read once.
                None => store.find(&listing.model)?.digest,
            };
            Ok(Some((Weights::Folder { path: dir }, format!("sha256:{digest}"))))
        };
        let looked = task::spawn_blocking(look).await;
        Ok(looked.map_err(Fault::internal)??)
    }

    /// Whether the model of an order is in memory now.
    pub(super) fn is_in_memory(&self, order: &Order) -> bool {
        let residency = self.residency(order);
        residency.is_some_and(|residency| {
            let status = self.inner.residents.status(residency.model());
            status.is_ok_and(|status| matches!(status.state, State::Ready { .. }))
        })
    }

    /// The models in memory, by name.
    pub(crate) fn in_memory(&self) -> Vec<String> {
        let ready = |Kept { residency, .. }: &Kept| {
            let status = self.inner.residents.status(residency.model()).ok()?;
            matches!(status.state, State::Ready { .. }).then(|| status.spec.model.to_string())
        };
        self.inner.residencies.values().filter_map(ready).collect()
    }

    /// What they take of the device.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let taken = |Kept { residency, .. }: &Kept| {
            let status = self.inner.residents.status(residency.model()).ok()?;
            matches!(status.state, State::Ready { .. }).then_some(status.spec.memory_bytes)
        };
        self.inner.residencies.values().filter_map(taken).sum()
    }

    pub(super) fn any_in_memory(&self) -> bool {
        let idle = |state| matches!(state, State::Absent | State::Available | State::Failed { .. });
        let mut all = self.inner.residencies.values();
        all.any(|Kept { residency, .. }| {
            let status = self.inner.residents.status(residency.model());
            status.is_ok_and(|status| !idle(status.state))
        })
    }

    /// The model of an order, in the memory of a worker that is alive; its text encoder takes turns with the rest of it if
    /// the order says so. One that is in memory in the other way is loaded anew, so that room is made for what it takes then;
    /// one that is to stay stays as it is, unless the order does not fit so.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub(super) async fn acquire(&self, order: &Order) -> Result<InUse, Error> {
        let missing = || Error::Refused {
            kind: FailureKind::UnknownModel,
            message: format!(
                "{} is no model of this version, which the queue is older than",
                order.model
            ),
        };
        let Kept { residency, offload } = self.kept(order).ok_or_else(missing)?;
        let wanted = order.offload_text_encoder;
        offload.store(wanted, Ordering::Relaxed);
        let (began, mut stays) = (Instant::now(), false);
        loop {
            if let Some(lease) = residency.lease_if_ready() {
                let is_alive = lease.worker.is_alive();
                if is_alive && (stays || lease.offloads == wanted) {
                    return Ok(InUse {
                        load: began.elapsed(),
                        offloads: wanted || lease.offloads,
                        lease,
                    });
                }
                drop(lease);
                if is_alive {
                    match self.inner.residents.unload(residency.model()).await {
                        Err(polyphony_models::Error::Pinned(_)) => stays = true,
                        unloaded => unloaded?,
                    }
                    continue;
                }
                self.renew(residency.model()).await?;
            }
            // By hand, for a load that failed a moment ago may have been another worker's last.
            self.inner.residents.load(residency.model()).await?;
        }
    }

    /// The worker is no more: what it had in memory is gone.
    pub(super) async fn forget(&self) {
        for Kept { residency, .. } in self.inner.residencies.values() {
            let name = residency.model();
            let dead = |lease: Lease<InWorker>| !lease.worker.is_alive();
            if residency.lease_if_ready().is_some_and(dead)
                && let Err(error) = self.renew(name).await
            {
                tracing::warn!(%error, model = %name, "a model that went with its worker is not there again");
            }
        }
    }

    /// A model whose worker is dead: it is taken from the books, and one that is to stay is loaded again.
    async fn renew(&self, name: &ModelRef) -> Result<(), Error> {
        match self.inner.residents.unload(name).await {
            Err(polyphony_models::Error::Pinned(_)) => Ok(self.inner.residents.reload(name).await?),
            unloaded => Ok(unloaded?),
        }
    }

    fn residency(&self, order: &Order) -> Option<&Residency<InWorker>> {
        self.kept(order).map(|kept| &kept.residency)
    }

    fn kept(&self, order: &Order) -> Option<&Kept> {
        let dummy = matches!(order.weights, Weights::Dummy { .. });
        let all = self.inner.residencies.iter();
        let mut found = all.filter(|((id, random), _)| *id == order.model && *random == dummy);
        found.next().map(|(_, kept)| kept)
    }
}

// === impl Usual ===

impl Usual {
    /// Whether the text encoder of such a model takes turns when nobody says.
    fn offloads(self, weights: &WeightBytes) -> bool {
        match self.policy {
            OffloadTextEncoder::Always => true,
            OffloadTextEncoder::Never => false,
            OffloadTextEncoder::Auto => self.budget.is_some_and(|budget| weights.most(false) > budget),
        }
    }

    /// What such a model takes at most at once.
    fn most(self, weights: &WeightBytes) -> u64 {
        weights.most(self.offloads(weights))
    }
}

fn spec(model: ModelRef, memory_bytes: u64) -> Spec {
    Spec {
        model,
        task: TASK.to_owned(),
        engine: ENGINE.to_owned(),
        memory_bytes,
    }
}

fn reference(name: &str) -> Result<ModelRef, Error> {
    name.parse().map_err(Error::Models)
}

/// Runs on a blocking thread.
fn load(
    workshop: &Workshop,
    model: &'static str,
    weights: Weights,
    offload: &AtomicBool,
) -> Result<Loaded<InWorker>, BoxError> {
    let (handle, offloads) = (Handle::current(), offload.load(Ordering::Relaxed));
    let worker = handle.block_on(workshop.worker())?;
    let loaded = handle.block_on(worker.load((model.to_owned(), weights.clone()), offloads))?;
    let device = worker.device().name.clone();
    Ok(Loaded {
        value: InWorker {
            worker,
            model,
            weights,
            offloads,
        },
        memory_bytes: Some(loaded.bytes),
        device: Some(device),
    })
}

// === impl InUse ===

impl InUse {
    pub(super) fn worker(&self) -> &Worker {
        &self.lease.worker
    }

    /// Where its weights are.
    pub(super) fn weights(&self) -> &Weights {
        &self.lease.weights
    }
}

impl Drop for InWorker {
    fn drop(&mut self) {
        if !self.worker.is_alive() {
            return;
        }
        let gone = self.worker.unload((self.model.to_owned(), self.weights.clone()));
        // Its memory counts as free when this returns. A worker that dies meanwhile has freed it as well.
        gone.recv_timeout(UNLOADING).unwrap_or_default();
    }
}
