//! How far a stopping server has come, as the accept loop drives it and the layers see it.

use tokio_util::sync::CancellationToken;

/// The two moments of a drain that calls must know of. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    closing: CancellationToken,
    overdue: CancellationToken,
}

// === impl Drain ===

impl Drain {
    /// A server that is not stopping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes when no more calls are taken: what only watches the process should end.
    pub async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Completes when running calls have had their time.
    pub async fn overdue(&self) {
        self.overdue.cancelled().await;
    }

    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    pub(crate) fn expire(&self) {
        self.overdue.cancel();
    }
}
