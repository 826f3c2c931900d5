//! What is watched over while a job is worked on: its lease, its deadline, and whoever wants it to stop.
//!
//! A holder waits for its work and for [`Vigil::next`] at once. When the latter gives a reason it tells its work to stop, and
//! when the work has stopped it lets go of the job for that reason ([`Held::let_go`]).

use std::time::{Duration, SystemTime};

use tokio::task::{self, JoinHandle};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{Error, Held, Job, Priority, Pulse, Queue};

/// Why work on a job is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its owner does not want it any more.
    Cancelled,
    /// It should be done by now.
    Late,
    /// Another process has it.
    Lost,
    /// This process ends.
    Parting,
}

/// Watches over a job.
#[derive(Debug)]
pub struct Vigil<'a> {
    held: &'a Held,
    beats: Interval,
    /// The heartbeat under way. It is a task of its own, for while nobody waits for it, it must neither be given up nor keep
    /// the one connection that writes.
    beat: Option<JoinHandle<Result<Pulse, Error>>>,
    deadline: Option<Instant>,
    stop: &'a CancellationToken,
    why: Option<Why>,
}

/// After a failure of the queue, before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

// === impl Vigil ===

impl<'a> Vigil<'a> {
    /// Over this job; `stop` is when this process ends.
    pub fn new(held: &'a Held, stop: &'a CancellationToken) -> Self {
        let mut beats = interval(held.lease() / 3);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let left = |deadline: SystemTime| deadline.duration_since(SystemTime::now()).unwrap_or_default();
        Self {
            held,
            beats,
            beat: None,
            deadline: held
                .job()
                .deadline
                .map(|deadline| Instant::now() + left(deadline)),
            stop,
            why: None,
        }
    }

    /// The job.
    pub const fn held(&self) -> &'a Held {
        self.held
    }

    /// Why it is to stop, if it is.
    pub const fn why(&self) -> Option<Why> {
        self.why
    }

    /// Completes when there is a reason to stop, which [`why`](Self::why) tells from then on; the second time never.
    /// Renews the lease meanwhile. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Why {
        let watching = self.why.is_none();
        let late = self.deadline.filter(|_| watching);
        let (held, beats, beat) = (self.held, &mut self.beats, &mut self.beat);
        let why = loop {
            tokio::select! {
                _ = beats.tick(), if beat.is_none() => {
                    *beat = Some(task::spawn(held.claim().clone().beat()));
                }
                beaten = ended(beat), if beat.is_some() => {
                    *beat = None;
                    match beaten {
                        Ok(pulse) if pulse.cancelled && watching => break Why::Cancelled,
                        // Its clock may have gone on while ours stood, as in a machine that slept.
                        Ok(pulse) if pulse.late && watching => break Why::Late,
                        Ok(_) => {}
                        Err(Error::Lost) if watching => break Why::Lost,
                        // It is tried again before the lease lapses.
                        Err(error) => tracing::warn!(
                            job = held.job().id,
                            error = %polyphony_error::chain(&error),
                            "a lease is not renewed"
                        ),
                    }
                }
                () = held.cancelled(), if watching => break Why::Cancelled,
                () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => break Why::Late,
                () = self.stop.cancelled(), if watching => break Why::Parting,
            }
        };
        self.why = Some(why);
        why
    }
}

/// What came of a heartbeat, if one is under way.
async fn ended(beat: &mut Option<JoinHandle<Result<Pulse, Error>>>) -> Result<Pulse, Error> {
    match beat {
        // It is broken off with this process alone.
        Some(beat) => beat.await.unwrap_or(Err(Error::Lost)),
        None => std::future::pending().await,
    }
}

// === impl Held ===

impl Held {
    /// Its work has stopped, for this reason.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn let_go(self, why: Why) -> Result<Job, Error> {
        match why {
            Why::Cancelled => self.stopped().await,
            Why::Late => self.late().await,
            Why::Parting => self.give_back().await,
            Why::Lost => Err(Error::Lost),
        }
    }
}

// === impl Queue ===

impl Queue {
    /// The next job, when there is one; none when `stop` comes first.
    pub async fn next(&self, stop: &CancellationToken) -> Option<Held> {
        self.next_of(Priority::Low, stop).await
    }

    /// As [`next`](Self::next), of jobs of this priority and above.
    pub async fn next_of(&self, least: Priority, stop: &CancellationToken) -> Option<Held> {
        let mut changes = self.changes();
        while !stop.is_cancelled() {
            let pause = match self.claim_of(least).await {
                Ok(Some(held)) => return Some(held),
                Ok(None) => None,
                Err(error) => {
                    tracing::error!(error = %polyphony_error::chain(&error), "no job can be claimed");
                    Some(PAUSE)
                }
            };
            let again = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.changed(&mut changes).await,
                }
            };
            tokio::select! {
                () = again => {}
                () = stop.cancelled() => {}
            }
        }
        None
    }
}
