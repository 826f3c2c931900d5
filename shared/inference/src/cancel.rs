//! The flag by which a caller who goes away stops an engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by whoever no longer wants the result; engines look at it at least once a run of a model. Cheap to clone; once
/// set it stays set.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

/// Cancels its flag when dropped.
#[derive(Debug)]
pub struct CancelOnDrop(Cancel);

// === impl Cancel ===

impl Cancel {
    /// Asks the engine to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Cancels when dropped, so that a caller that goes away stops the engine.
    pub fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
