//! What is watched while a job is held: its lease, its deadline, and whoever wants it to stop.

use std::time::{Duration, SystemTime};

use polyphony_jobs::{Error as JobsError, Held};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

/// Why the worker was told to let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its owner does not want it any more.
    Cancelled,
    /// It should be done by now.
    Late,
    /// The job is another's.
    Lost,
    /// This process ends.
    Parting,
}

/// What is watched while a job is held.
pub(super) struct Watched<'a> {
    pub(super) held: &'a Held,
    beats: Interval,
    deadline: Option<Instant>,
    stop: &'a CancellationToken,
    /// Why it is to stop; the first reason stands.
    pub(super) why: Option<Why>,
}

// === impl Watched ===

impl<'a> Watched<'a> {
    pub(super) fn new(held: &'a Held, pause: Duration, stop: &'a CancellationToken) -> Self {
        let mut beats = interval(pause);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let left = |deadline: SystemTime| deadline.duration_since(SystemTime::now()).unwrap_or_default();
        Self {
            held,
            beats,
            deadline: held
                .job()
                .deadline
                .map(|deadline| Instant::now() + left(deadline)),
            stop,
            why: None,
        }
    }

    /// Completes when there is a reason to stop, once; renews the lease meanwhile, for ever when there was one. Dropping
    /// the future loses nothing.
    pub(super) async fn next(&mut self) -> Why {
        let far = Instant::now() + Duration::from_secs(365 * 24 * 3_600);
        let watching = self.why.is_none();
        loop {
            tokio::select! {
                _ = self.beats.tick() => match self.held.beat().await {
                    Ok(pulse) if pulse.cancelled && watching => return Why::Cancelled,
                    Ok(_) => {}
                    Err(JobsError::Lost) if watching => return Why::Lost,
                    // It is tried again before the lease lapses.
                    Err(error) => tracing::warn!(%error, "a lease is not renewed"),
                },
                () = self.held.cancelled(), if watching => return Why::Cancelled,
                () = sleep_until(self.deadline.unwrap_or(far)), if watching && self.deadline.is_some() => {
                    return Why::Late;
                }
                () = self.stop.cancelled(), if watching => return Why::Parting,
            }
        }
    }

    pub(super) fn note(&mut self, why: Why) {
        self.why.get_or_insert(why);
    }
}
