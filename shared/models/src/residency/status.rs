//! What is said about models in memory: by the service before a load, by the loader after it, and to everyone else.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Installed, Listing, ModelRef};

/// How long models stay and how much they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidencyPolicy {
    /// A model that nobody used for so long leaves. `None`: never.
    pub idle_unload: Option<Duration>,
    /// What all models may take together, in bytes. `None`: no limit.
    pub memory_budget: Option<u64>,
    /// After a failed load, requests are refused for so long before one tries again.
    pub retry_after: Duration,
}

/// What a service says about a model that it can load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Which model.
    pub model: ModelRef,
    /// What it is for, as `asr`.
    pub task: String,
    /// The engine that runs it, as `whisper`.
    pub engine: String,
    /// What it takes in memory, as far as is known before it is loaded.
    pub memory_bytes: u64,
}

/// What a loader made.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The model.
    pub value: T,
    /// What it takes in memory, if the loader knows better than the [`Spec`].
    pub memory_bytes: Option<u64>,
    /// Where it is, as `cpu` or `cuda:0`.
    pub device: Option<String>,
}

/// A model as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What its service says about it; `memory_bytes` is what it takes, where it is loaded.
    pub spec: Spec,
    /// Where it is.
    pub state: State,
    /// Whether it is never unloaded to make room or for idleness.
    pub pinned: bool,
    /// Requests that use it now.
    pub in_use: u32,
    /// When it was last used, if ever.
    pub last_used: Option<SystemTime>,
    /// Where it is loaded, as `cpu` or `cuda:0`.
    pub device: Option<String>,
    /// Loads that succeeded so far.
    pub loads: u64,
    /// Loads that failed so far.
    pub failures: u64,
    /// How long the last successful load took, warm-up included.
    pub load_time: Option<Duration>,
    /// Why the last load failed, if it did; also where an older model is still in service.
    pub last_failure: Option<Arc<str>>,
}

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not on disk.
    Absent,
    /// On disk, not in memory.
    Available,
    /// On its way into memory.
    Loading {
        /// Since when.
        since: SystemTime,
    },
    /// In memory and warm.
    Ready {
        /// Since when.
        since: SystemTime,
    },
    /// On its way out of memory; it goes when its last user has.
    Unloading,
    /// The last load failed.
    Failed {
        /// What the loader said, with causes.
        reason: Arc<str>,
        /// When it did.
        since: SystemTime,
    },
}

// === impl ResidencyPolicy ===

impl Default for ResidencyPolicy {
    fn default() -> Self {
        Self {
            idle_unload: Some(Duration::from_secs(600)),
            memory_budget: None,
            retry_after: Duration::from_secs(10),
        }
    }
}

// === impl Spec ===

impl From<&Installed> for Spec {
    fn from(installed: &Installed) -> Self {
        Self {
            model: installed.model.clone(),
            task: installed.task.clone(),
            engine: installed.engine.clone(),
            memory_bytes: installed.memory_bytes,
        }
    }
}

impl From<&Listing> for Spec {
    fn from(listing: &Listing) -> Self {
        Self {
            model: listing.model.clone(),
            task: listing.task.clone(),
            engine: listing.engine.clone(),
            memory_bytes: listing.memory_bytes,
        }
    }
}

// === impl Loaded ===

impl<T> Loaded<T> {
    /// A model on this device that takes about what its [`Spec`] says.
    pub const fn on(device: String, value: T) -> Self {
        Self {
            value,
            memory_bytes: None,
            device: Some(device),
        }
    }
}

impl<T> From<T> for Loaded<T> {
    fn from(value: T) -> Self {
        Self {
            value,
            memory_bytes: None,
            device: None,
        }
    }
}
