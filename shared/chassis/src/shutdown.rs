//! The wish that a process stop: asked once it drains, asked twice it stops at once.
//!
//! It carries the wish only; how a server drains is in [`accept`](crate::accept). Every loop that outlives a call
//! takes a [`Shutdown`], so that a test can stop it as a signal would.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Hears the wish. Clones hear the same.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: CancellationToken,
    now: CancellationToken,
}

/// Utters the wish. Dropping it utters nothing.
#[derive(Debug, Clone)]
pub struct Trigger {
    asked: CancellationToken,
    now: CancellationToken,
}

// === impl Shutdown ===

impl Shutdown {
    /// A wish that only its trigger utters, for tests and for servers within a server.
    pub fn manual() -> (Trigger, Self) {
        let (asked, now) = (CancellationToken::new(), CancellationToken::new());
        let trigger = Trigger {
            asked: asked.clone(),
            now: now.clone(),
        };
        (trigger, Self { asked, now })
    }

    /// Listens to SIGTERM and SIGINT: the first asks, the second means at once.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (trigger, shutdown) = Self::manual();
        tokio::spawn(async move {
            for last in [false, true] {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if last {
                    tracing::warn!(signal = name, "second signal, stopping at once");
                    trigger.now();
                } else {
                    tracing::info!(signal = name, "draining");
                    trigger.drain();
                }
            }
        });
        Ok(shutdown)
    }

    /// Completes when the process is asked to stop.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Completes when it is asked to stop without waiting for anything.
    pub async fn at_once(&self) {
        self.now.cancelled().await;
    }

    /// Whether it has been asked.
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }
}

// === impl Trigger ===

impl Trigger {
    /// Asks for a drain.
    pub fn drain(&self) {
        self.asked.cancel();
    }

    /// Asks to stop without waiting for anything.
    pub fn now(&self) {
        self.asked.cancel();
        self.now.cancel();
    }
}
