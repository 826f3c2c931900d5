//! The book of models in memory: plain state, changed only under its lock, with no waiting and no work in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::lease::Grant;
use super::refusal::Refusal;
use super::{AnyModel, Loader, Shared, Spec, State, Status};
use crate::{Error, ModelRef};

/// All models, and what they take.
#[derive(Default)]
pub(super) struct Book {
    slots: BTreeMap<ModelRef, Slot>,
    /// Bytes of all instances, also those on their way in or out.
    pub(super) used: u64,
    /// Instances that are being dropped right now: room that will be.
    pub(super) freeing: u32,
    /// Counts instances, to tell them apart.
    next_instance: u64,
}

/// One model.
pub(super) struct Slot {
    pub(super) spec: Spec,
    pub(super) loader: Arc<Loader>,
    on_disk: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(super) phase: Phase,
    pub(super) pinned: bool,
    waiters: Vec<oneshot::Sender<Result<Grant, Error>>>,
    last_used: Option<(Instant, SystemTime)>,
    loads: u64,
    failures: u64,
    load_time: Option<Duration>,
    last_failure: Option<Arc<str>>,
}

/// What is happening to a model.
pub(super) enum Phase {
    /// Not in memory.
    Idle,
    Loading {
        since: SystemTime,
    },
    Ready {
        since: SystemTime,
        instance: Arc<Instance>,
    },
    /// The instance of this number is leaving.
    Unloading {
        instance: u64,
    },
    Failed {
        refusal: Refusal,
        at: Instant,
        since: SystemTime,
    },
}

/// A model in memory. A reload makes another, and for a while there are two.
pub(super) struct Instance {
    pub(super) number: u64,
    pub(super) model: ModelRef,
    pub(super) value: AnyModel,
    pub(super) bytes: u64,
    pub(super) device: Option<String>,
    /// Changed with the book open.
    in_use: AtomicU32,
}

/// Who waits, and what each is told once the book is closed.
pub(super) type Answers = Vec<(oneshot::Sender<Result<Grant, Error>>, Result<Grant, Error>)>;

/// A status whose `Available` is not yet known to be true.
pub(super) struct Seen {
    status: Status,
    on_disk: Arc<dyn Fn() -> bool + Send + Sync>,
}

// === impl Book ===

impl Book {
    pub(super) fn add(&mut self, slot: Slot) -> Result<(), Error> {
        let model = slot.spec.model.clone();
        if self.slots.contains_key(&model) {
            return Err(Error::Twice(model));
        }
        self.slots.insert(model, slot);
        Ok(())
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    pub(super) fn slot(&self, model: &ModelRef) -> Result<&Slot, Error> {
        self.slots
            .get(model)
            .ok_or_else(|| Error::NotResident(model.clone()))
    }

    pub(super) fn slot_mut(&mut self, model: &ModelRef) -> Result<&mut Slot, Error> {
        self.slots
            .get_mut(model)
            .ok_or_else(|| Error::NotResident(model.clone()))
    }

    /// Makes an instance of what a loader made. The caller has counted its bytes.
    pub(super) fn instance(
        &mut self,
        model: &ModelRef,
        value: AnyModel,
        bytes: u64,
        device: Option<String>,
    ) -> Arc<Instance> {
        self.next_instance += 1;
        Arc::new(Instance {
            number: self.next_instance,
            model: model.clone(),
            value,
            bytes,
            device,
            in_use: AtomicU32::new(0),
        })
    }

    pub(super) fn reserve(&mut self, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }

    /// The model to unload first: neither in use nor pinned, and unused for longest.
    pub(super) fn least_recently_used(&mut self, except: &ModelRef) -> Option<&mut Slot> {
        let candidates = self
            .slots
            .values_mut()
            .filter(|slot| slot.spec.model != *except && slot.may_leave());
        candidates.min_by_key(|slot| slot.last_used.map(|(at, _)| at))
    }

    /// Of the models that may leave: one whose time has come, and when the time of the next one comes.
    pub(super) fn idle_since(&mut self, deadline: Instant) -> (Option<&mut Slot>, Option<Instant>) {
        let mut over = None;
        let mut next: Option<Instant> = None;
        for slot in self.slots.values_mut().filter(|slot| slot.may_leave()) {
            let Some((at, _)) = slot.last_used else { continue };
            if at <= deadline {
                over = Some(slot);
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        (over, next)
    }
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(spec: Spec, on_disk: Arc<dyn Fn() -> bool + Send + Sync>, loader: Arc<Loader>) -> Self {
        Self {
            spec,
            loader,
            on_disk,
            phase: Phase::Idle,
            pinned: false,
            waiters: Vec::new(),
            last_used: None,
            loads: 0,
            failures: 0,
            load_time: None,
            last_failure: None,
        }
    }

    /// One more use of the model in memory.
    pub(super) fn grant(&mut self, shared: &Arc<Shared>) -> Option<Grant> {
        let Phase::Ready { instance, .. } = &self.phase else {
            return None;
        };
        instance.take();
        self.last_used = Some((Instant::now(), SystemTime::now()));
        Some(Grant::new(shared, &self.spec.model, instance))
    }

    /// Notes the end of a use; whether it was of the instance that is in service.
    pub(super) fn touch(&mut self, instance: &Instance) -> bool {
        self.last_used = Some((Instant::now(), SystemTime::now()));
        matches!(&self.phase, Phase::Ready { instance: current, .. } if current.number == instance.number)
    }

    /// Queues for the outcome of the next load.
    pub(super) fn wait(&mut self) -> oneshot::Receiver<Result<Grant, Error>> {
        let (sender, receiver) = oneshot::channel();
        // Those who went away make place.
        self.waiters.retain(|waiter| !waiter.is_closed());
        self.waiters.push(sender);
        receiver
    }

    /// Whether the caller must now start a load.
    pub(super) fn begin_load(&mut self) -> bool {
        let start = matches!(self.phase, Phase::Idle | Phase::Failed { .. });
        if start {
            self.phase = Phase::Loading {
                since: SystemTime::now(),
            };
        }
        start
    }

    /// Puts an instance in service; the one it replaces is returned. Call [`answer_all`](Self::answer_all) next.
    pub(super) fn put(&mut self, instance: Arc<Instance>, took: Duration) -> Option<Arc<Instance>> {
        self.loads += 1;
        self.load_time = Some(took);
        self.last_failure = None;
        // A model that nobody asked for again is idle from now on.
        self.last_used = Some((Instant::now(), SystemTime::now()));
        let since = SystemTime::now();
        match std::mem::replace(&mut self.phase, Phase::Ready { since, instance }) {
            Phase::Ready { instance: old, .. } => Some(old),
            _ => None,
        }
    }

    /// Notes that a load brought nothing; a model that is in service stays so.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        let phase = match refusal {
            // Nothing is wrong with the model.
            Refusal::NoMemory { .. } => Phase::Idle,
            Refusal::Failed { .. } | Refusal::TooLarge { .. } => {
                let reason = refusal.reason();
                tracing::warn!(model = %self.spec.model, %reason, "model could not be loaded");
                self.failures += 1;
                self.last_failure = Some(reason);
                Phase::Failed {
                    refusal: refusal.clone(),
                    at: Instant::now(),
                    since: SystemTime::now(),
                }
            }
        };
        if matches!(self.phase, Phase::Loading { .. }) {
            self.phase = phase;
        }
    }

    /// What each who waits is told: a grant, or the refusal.
    pub(super) fn answer_all(&mut self, shared: &Arc<Shared>, refusal: Option<&Refusal>) -> Answers {
        let waiters = std::mem::take(&mut self.waiters);
        let mut answers = Vec::with_capacity(waiters.len());
        for waiter in waiters {
            let answer = match refusal {
                Some(refusal) => Err(refusal.error(&self.spec.model, shared.policy.retry_after)),
                None => self
                    .grant(shared)
                    .ok_or_else(|| Error::Stopping(self.spec.model.clone())),
            };
            answers.push((waiter, answer));
        }
        answers
    }

    /// The refusal of a load that failed less than `pause` ago.
    pub(super) fn recent_failure(&self, pause: Duration) -> Option<Error> {
        let Phase::Failed { refusal, at, .. } = &self.phase else {
            return None;
        };
        let rest = pause.checked_sub(at.elapsed()).filter(|rest| !rest.is_zero())?;
        Some(refusal.error(&self.spec.model, rest))
    }

    /// Takes the model out of service. It leaves when its last user has: whoever sees that retires it.
    pub(super) fn begin_unload(&mut self) -> Option<Arc<Instance>> {
        let number = match &self.phase {
            Phase::Ready { instance, .. } => instance.number,
            _ => return None,
        };
        match std::mem::replace(&mut self.phase, Phase::Unloading { instance: number }) {
            Phase::Ready { instance, .. } => Some(instance),
            _ => None,
        }
    }

    /// An instance is gone; whether the caller must now start a load for those who came meanwhile.
    pub(super) fn gone(&mut self, number: u64) -> bool {
        if !matches!(self.phase, Phase::Unloading { instance } if instance == number) {
            return false;
        }
        self.phase = Phase::Idle;
        self.waiters.retain(|waiter| !waiter.is_closed());
        !self.waiters.is_empty() && self.begin_load()
    }

    fn may_leave(&self) -> bool {
        !self.pinned && matches!(&self.phase, Phase::Ready { instance, .. } if !instance.is_in_use())
    }

    pub(super) fn status(&self) -> Seen {
        let (state, instance) = match &self.phase {
            Phase::Idle => (State::Available, None),
            Phase::Loading { since } => (State::Loading { since: *since }, None),
            Phase::Ready { since, instance } => (State::Ready { since: *since }, Some(instance)),
            Phase::Unloading { .. } => (State::Unloading, None),
            Phase::Failed { refusal, since, .. } => (
                State::Failed {
                    reason: refusal.reason(),
                    since: *since,
                },
                None,
            ),
        };
        let status = Status {
            spec: Spec {
                memory_bytes: instance.map_or(self.spec.memory_bytes, |instance| instance.bytes),
                ..self.spec.clone()
            },
            state,
            pinned: self.pinned,
            in_use: instance.map_or(0, |instance| instance.in_use.load(Ordering::Relaxed)),
            last_used: self.last_used.map(|(_, at)| at),
            device: instance.and_then(|instance| instance.device.clone()),
            loads: self.loads,
            failures: self.failures,
            load_time: self.load_time,
            last_failure: self.last_failure.clone(),
        };
        Seen {
            status,
            on_disk: Arc::clone(&self.on_disk),
        }
    }
}

// === impl Instance ===

impl Instance {
    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed) > 0
    }

    fn take(&self) {
        self.in_use.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this was the last use.
    pub(super) fn give_back(&self) -> bool {
        self.in_use.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

// === impl Seen ===

impl Seen {
    pub(super) fn ask_the_disk(mut self) -> Status {
        if self.status.state == State::Available && !(self.on_disk)() {
            self.status.state = State::Absent;
        }
        self.status
    }
}
