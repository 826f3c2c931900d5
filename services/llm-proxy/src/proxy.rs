//! What all calls share, through whichever door they come.

use std::sync::Arc;
use std::time::Duration;

use polyphony_error::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::cache::Cache;
use crate::config::Config;
use crate::exchange::Exchange;
use crate::fleet::Fleet;
use crate::keys::Keys;
use crate::local::Local;
use crate::retry::Budget;

/// The shared state of the process.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) config: Config,
    pub(crate) fleet: Fleet,
    pub(crate) budget: Budget,
    pub(crate) cache: Cache,
    pub(crate) keys: Keys,
    pub(crate) local: Local,
    answers: Arc<Semaphore>,
}

/// When to try again where every place is taken.
const RETRY: Duration = Duration::from_secs(1);

// === impl Proxy ===

impl Proxy {
    pub(crate) fn new(config: Config, fleet: Fleet, keys: Keys, local: Local) -> Self {
        Self {
            cache: Cache::new(&config.cache),
            answers: Arc::new(Semaphore::new(config.max_streams)),
            budget: Budget::new(),
            fleet,
            keys,
            local,
            config,
        }
    }

    /// What sends requests.
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        Exchange {
            fleet: &self.fleet,
            budget: &self.budget,
            retry: &self.config.retry,
        }
    }

    /// The right to one answer, now or not at all.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED `STREAMS_FULL`.
    pub(crate) fn answer(&self) -> Result<OwnedSemaphorePermit, Fault> {
        Arc::clone(&self.answers).try_acquire_owned().map_err(|_| {
            let most = self.config.max_streams;
            let text =
                format!("all {most} answers are taken (llm-proxy.max_streams); try again, or another server");
            Fault::exhausted("STREAMS_FULL", "llm-proxy.max_streams", text, Some(RETRY))
        })
    }

    /// When a call that came now must be answered: at its own deadline, or ours if that is sooner.
    pub(crate) fn deadline(&self, own: Option<Instant>) -> Instant {
        let ours = Instant::now() + self.config.timeout.get();
        own.map_or(ours, |own| own.min(ours))
    }
}
