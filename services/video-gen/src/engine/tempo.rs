//! How fast this device is: as videos like it have shown, else by rough figures of its kind.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::domain::{Device, Plan};

/// Operations a second, by device, model and kind of weights.
#[derive(Debug, Default)]
pub(super) struct Tempo {
    seen: Mutex<HashMap<Of, f64>>,
}

type Of = (String, String, bool);

/// Useful operations a second of cards whose name holds this, in bfloat16: about half of what their makers state. Memory and
/// small kernels take the rest.
const CARDS: [(&str, f64); 12] = [
    ("H200", 450e12),
    ("H100", 400e12),
    ("B200", 900e12),
    ("A100", 180e12),
    ("L40", 120e12),
    ("5090", 120e12),
    ("4090", 100e12),
    ("GB10", 60e12),
    ("3090", 45e12),
    ("A10", 50e12),
    ("L4", 45e12),
    ("T4", 15e12),
];
const OTHER_CARD: f64 = 40e12;
/// Of a core, in 32-bit floats.
const CORE: f64 = 15e9;
/// Bytes of weights that are read and placed in a second.
const LOADING: f64 = 1e9;
/// Everything takes a moment.
const LEAST: Duration = Duration::from_millis(100);
/// How much a new video weighs against those before.
const NEWEST: f64 = 0.5;

// === impl Tempo ===

impl Tempo {
    /// A video was made in so many seconds.
    pub(super) fn note(&self, plan: &Plan, device: &str, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        let rate = plan.work.total() / seconds;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = seen.entry(of(plan, device)).or_insert(rate);
        *rates += (rate - *rates) * NEWEST;
    }

    /// How long a video will take, and whether videos like it were made.
    pub(super) fn inference(&self, plan: &Plan, device: &Device) -> (Duration, bool) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let measured = seen.get(&of(plan, &device.name)).copied();
        let rate = measured.unwrap_or_else(|| assumed(device));
        let took = Duration::try_from_secs_f64(plan.work.total() / rate.max(1.0));
        (took.unwrap_or(Duration::MAX).max(LEAST), measured.is_some())
    }

    /// How long loading will take.
    pub(super) fn load(weights_bytes: u64) -> Duration {
        Duration::from_secs_f64(weights_bytes as f64 / LOADING).max(LEAST)
    }
}

fn of(plan: &Plan, device: &str) -> Of {
    (device.to_owned(), plan.order.model.clone(), plan.is_dummy())
}

fn assumed(device: &Device) -> f64 {
    if device.name == "cpu" {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        return cores as f64 * CORE;
    }
    let known = CARDS.iter().find(|(name, _)| device.title.contains(name));
    known.map_or(OTHER_CARD, |(_, rate)| *rate)
}
