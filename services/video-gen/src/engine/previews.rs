//! How videos look that are being made: the last preview of each, in memory alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Preview;

/// The last previews, by job. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Previews {
    last: Arc<Mutex<HashMap<String, Arc<Preview>>>>,
}

/// A preview of one frame is far smaller; more is not kept.
pub(super) const MOST_BYTES: u64 = 2 << 20;

// === impl Previews ===

impl Previews {
    /// The last preview of a job.
    pub fn of(&self, job: &str) -> Option<Arc<Preview>> {
        self.all().get(job).cloned()
    }

    pub(super) fn put(&self, job: &str, preview: Preview) {
        self.all().insert(job.to_owned(), Arc::new(preview));
    }

    pub(super) fn forget(&self, job: &str) {
        self.all().remove(job);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Preview>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
