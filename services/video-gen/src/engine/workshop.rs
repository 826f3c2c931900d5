//! The worker of this process: started when it is needed, anew when it has died, stopped when nothing needs it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::models::Models;
use super::program;
use super::worker::Worker;
use crate::config::Config;
use crate::domain::Device;
use crate::error::Error;

/// Where the worker is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Workshop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    configured: String,
    device: String,
    patience: Duration,
    idle: Duration,
    /// Held while one is started, so that there are never two.
    worker: tokio::sync::Mutex<Option<Worker>>,
    known: Mutex<Known>,
    /// What lies in its memory, which goes with it.
    models: RwLock<Option<Models>>,
}

#[derive(Debug, Default)]
struct Known {
    device: Option<Device>,
    /// What did not start the last time, and why, until one does.
    trouble: Option<(PathBuf, String)>,
    /// Since when nothing needed it.
    idle_since: Option<Instant>,
    /// How many were started.
    started: u64,
    /// How many did not start.
    failed: u64,
}

// === impl Workshop ===

impl Workshop {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            inner: Arc::new(Inner {
                configured: config.worker.clone(),
                device: config.device.clone(),
                patience: config.worker_start.get(),
                idle: config.worker_idle.get(),
                worker: tokio::sync::Mutex::default(),
                known: Mutex::default(),
                models: RwLock::default(),
            }),
        }
    }

    /// These models are in its memory, and no more when it is.
    pub(super) fn forget_with_the_worker(&self, models: &Models) {
        let mut own = self.inner.models.write().unwrap_or_else(PoisonError::into_inner);
        *own = Some(models.clone());
    }

    /// Whether there is a worker to be had, as far as is known. Starts nothing.
    ///
    /// # Errors
    /// [`Error::NoWorker`]; [`Error::Start`] from when one did not start until one does.
    pub(super) fn check(&self) -> Result<(), Error> {
        program::find(&self.inner.configured)?;
        self.known().check()
    }

    /// Sees to it that a worker can be had. One that did not start is tried again: what was wrong may have been put right.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) async fn open(&self) -> Result<(), Error> {
        program::find(&self.inner.configured)?;
        if self.known().trouble.is_none() {
            return Ok(());
        }
        self.worker().await.map(drop)
    }

    /// What the device is, of whichever worker told it last; starts one when none did. One that did not start is not tried
    /// again here: whoever makes what waits does so, and callers together would do nothing else.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) async fn device(&self) -> Result<Device, Error> {
        if let Some(device) = self.known_device() {
            return Ok(device);
        }
        self.check()?;
        Ok(self.worker().await?.device().clone())
    }

    pub(super) fn known_device(&self) -> Option<Device> {
        self.known().device.clone()
    }

    /// Whether there is no worker that is alive.
    pub(super) fn is_dead(&self) -> bool {
        match self.inner.worker.try_lock() {
            Ok(slot) => !slot.as_ref().is_some_and(Worker::is_alive),
            // One is being started.
            Err(_) => false,
        }
    }

    /// How many workers were started.
    pub(super) fn started(&self) -> u64 {
        self.known().started
    }

    /// A worker that is alive. Who waited while one was started for another, in vain, hears of that and starts none.
    pub(super) async fn worker(&self) -> Result<Worker, Error> {
        let failed = self.known().failed;
        let mut slot = self.inner.worker.lock().await;
        {
            let mut known = self.known();
            known.idle_since = None;
            if known.failed > failed {
                known.check()?;
            }
        }
        if let Some(worker) = slot.as_ref().filter(|worker| worker.is_alive()) {
            return Ok(worker.clone());
        }
        *slot = None;
        let program = program::find(&self.inner.configured)?;
        let started = Worker::start(&program, &self.inner.device, self.inner.patience).await;
        let mut known = self.known();
        let worker = match started {
            Ok(worker) => worker,
            Err(error) => {
                known.failed += 1;
                if let Error::Start { program, reason } = &error {
                    known.trouble = Some((program.clone(), reason.clone()));
                }
                return Err(error);
            }
        };
        known.trouble = None;
        known.started += 1;
        known.device = Some(worker.device().clone());
        drop(known);
        *slot = Some(worker.clone());
        self.watch(&worker);
        Ok(worker)
    }

    /// When the worker dies, so does what it had in memory.
    fn watch(&self, worker: &Worker) {
        let models = self
            .inner
            .models
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(models) = models {
            let death = worker.death();
            tokio::spawn(async move {
                death.await;
                models.forget().await;
            });
        }
    }

    /// Nothing waits: stops a worker that nothing needed for a while.
    pub(super) async fn rest(&self, models: &Models) {
        let mut slot = self.inner.worker.lock().await;
        if slot.is_none() {
            return;
        }
        if models.any_in_memory() {
            self.known().idle_since = None;
            return;
        }
        let idle_since = *self.known().idle_since.get_or_insert_with(Instant::now);
        if idle_since.elapsed() >= self.inner.idle {
            *slot = None;
        }
    }

    /// Lets the worker go in this way, whatever it does. One that is being started is let go as soon as it is there.
    pub(super) fn part(&self, way: fn(&Worker)) {
        let shop = self.clone();
        tokio::spawn(async move {
            if let Some(worker) = shop.inner.worker.lock().await.take() {
                way(&worker);
            }
        });
    }

    /// Lets the worker go.
    pub(super) async fn stop(&self) {
        let worker = self.inner.worker.lock().await.take();
        if let Some(worker) = worker {
            worker.stop();
            worker.died().await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    fn check(&self) -> Result<(), Error> {
        match self.trouble.clone() {
            Some((program, reason)) => Err(Error::Start { program, reason }),
            None => Ok(()),
        }
    }
}
