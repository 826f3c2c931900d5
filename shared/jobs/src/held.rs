//! A job in somebody's hands.

use std::sync::Arc;
use std::time::Duration;

use polyphony_error::Fault;
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::job::{Failure, Job, State};
use crate::queue::{Inner, MOST_PROGRESS};
use crate::rules::{Ending, Record, late_fault};

/// A job that was claimed. Dropped without an ending, it waits again when its lease lapses.
#[derive(Debug)]
pub struct Held {
    claim: Claim,
    job: Job,
    payload: Vec<u8>,
}

/// The right to change a job, until another has it.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    queue: Arc<Inner>,
    id: String,
    token: String,
}

/// What this process knows of a job that is held here.
#[derive(Debug)]
pub(crate) struct Holding {
    /// Of the claim: who lost a job takes nothing from whoever has it now.
    token: String,
    /// What its holder said last, which the database hears of with the next heartbeat.
    pub(crate) said: Option<Vec<u8>>,
    /// How far it has come, as a number.
    reached: u64,
    /// Somebody wants it to stop.
    pub(crate) stop: bool,
    /// Nothing else is claimed here beside it.
    pub(crate) alone: bool,
}

/// What a holder learns with each heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// Somebody wants the job to stop: stop, then say so with [`Held::stopped`].
    pub cancelled: bool,
    /// The job should be done by now: stop, then say so with [`Held::late`].
    pub late: bool,
}

/// After a failure that may pass, before an ending is written once more.
const AGAIN: Duration = Duration::from_millis(500);

// === impl Held ===

impl Held {
    pub(crate) fn new(queue: Arc<Inner>, job: Job, token: String, payload: Vec<u8>, alone: bool) -> Self {
        let holding = Holding {
            token: token.clone(),
            said: None,
            reached: 0,
            stop: job.cancelling,
            alone,
        };
        queue.holding().insert(job.id.clone(), holding);
        let claim = Claim {
            queue,
            id: job.id.clone(),
            token,
        };
        Self { claim, job, payload }
    }

    pub(crate) const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The job as it was when it was claimed.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// What to do.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// How long its holder may be silent.
    pub fn lease(&self) -> Duration {
        self.claim.queue.limits().lease
    }

    /// Says how far it is, to whoever asks in this process; the others hear of it with the next heartbeat.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn say(&self, progress: Vec<u8>) -> Result<(), Error> {
        let (what, size) = ("the progress", progress.len());
        if size > MOST_PROGRESS {
            return Err(Error::TooLarge {
                what,
                size,
                most: MOST_PROGRESS,
            });
        }
        self.claim.with_holding(|holding| holding.said = Some(progress));
        self.claim.queue.said();
        Ok(())
    }

    /// Says how far it has come, as a number that grows while it is worked on: steps, say. An attempt that comes farther than
    /// all before it was not in vain, however it ends ([`Terms::max_interruptions`](crate::Terms)). It is written down with the
    /// next heartbeat.
    pub fn reached(&self, reached: u64) {
        self.claim.with_holding(|holding| holding.reached = reached);
    }

    /// Renews the lease, and writes down what was said.
    ///
    /// # Errors
    /// [`Error::Lost`] when the job was taken over or deleted: stop at once.
    pub async fn beat(&self) -> Result<Pulse, Error> {
        self.claim.clone().beat().await
    }

    /// Whether somebody wants it to stop, as far as this process has heard.
    pub fn is_cancelled(&self) -> bool {
        self.claim.with_holding(|holding| holding.stop).unwrap_or(false)
    }

    /// Completes when somebody wants it to stop: stop, then say so with [`stopped`](Self::stopped).
    pub async fn cancelled(&self) {
        let mut changes = self.claim.queue.subscribe();
        loop {
            changes.borrow_and_update();
            if self.is_cancelled() {
                return;
            }
            // The queue is ours, and lives.
            drop(changes.changed().await);
        }
    }

    /// Prepares ([`State::Loading`]) or works ([`State::Running`]) now; any other state changes nothing.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn advance(&self, state: State) -> Result<(), Error> {
        let rule = |record: &mut Record| record.advance(&self.claim.token, state);
        self.claim.change(None, rule).await.map(drop)
    }

    /// It is done, and this came of it.
    ///
    /// # Errors
    /// [`Error::Lost`] when somebody else has it; [`Error::TooLarge`], for which the job has failed.
    pub async fn succeed(self, result: &[u8]) -> Result<Job, Error> {
        let (what, size, most) = ("the result", result.len(), self.claim.queue.terms.max_result);
        let too_large = || Error::TooLarge { what, size, most };
        if size > most {
            // It would be as large the next time.
            self.fail(Fault::from(too_large())).await?;
            return Err(too_large());
        }
        self.end(Ending::Succeeded, Some(result)).await
    }

    /// It cannot be done. Log the cause of the fault first: it is not kept.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn fail(self, fault: Fault) -> Result<Job, Error> {
        self.end(Ending::Failed(Failure::from(fault)), None).await
    }

    /// It was not done in time.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn late(self) -> Result<Job, Error> {
        self.fail(late_fault()).await
    }

    /// Its worker died: it is tried again, or dead.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn broke(self, cause: &str) -> Result<Job, Error> {
        self.end(Ending::Broke(cause.to_owned()), None).await
    }

    /// It was stopped, because somebody wanted it to; what it used is free.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn stopped(self) -> Result<Job, Error> {
        self.end(Ending::Stopped, None).await
    }

    /// It waits again, for another holder.
    ///
    /// # Errors
    /// [`Error::Lost`].
    pub async fn give_back(self) -> Result<Job, Error> {
        self.end(Ending::GivenBack, None).await
    }

    /// The work is over, and all of it would be lost with this one line: so it is written again while the lease may last.
    async fn end(self, ending: Ending, result: Option<&[u8]>) -> Result<Job, Error> {
        let until = Instant::now() + self.lease();
        loop {
            let Claim { queue, token, .. } = &self.claim;
            let (now, limits) = (queue.now(), *queue.limits());
            let rule = |record: &mut Record| record.end(token, ending.clone(), now, &limits);
            match self.claim.change(result, rule).await {
                Err(error) if error.may_pass() && Instant::now() < until => {
                    tracing::warn!(
                        job = self.job.id,
                        error = %polyphony_error::chain(&error),
                        "the end of a job is not written yet"
                    );
                    sleep(AGAIN).await;
                }
                ended => return ended,
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Claim { queue, id, token } = &self.claim;
        let mut all = queue.holding();
        if all.get(id).is_some_and(|holding| holding.token == *token) {
            all.remove(id);
            drop(all);
            // Somebody may wait for a job to be worked on alone.
            queue.told();
        }
    }
}

// === impl Claim ===

impl Claim {
    /// As [`Held::beat`], and borrows nothing: so it can go on while nobody waits for it.
    pub(crate) async fn beat(self) -> Result<Pulse, Error> {
        let (now, limits) = (self.queue.now(), *self.queue.limits());
        let rule = |record: &mut Record| record.beat(&self.token, now, &limits);
        let job = self.change(None, rule).await?;
        Ok(Pulse {
            cancelled: job.cancelling,
            late: job
                .deadline
                .is_some_and(|deadline| crate::clock::micros(deadline) <= now),
        })
    }

    /// Applies a rule, and writes down what was said.
    async fn change(
        &self,
        result: Option<&[u8]>,
        rule: impl FnOnce(&mut Record) -> Result<(), crate::rules::Refusal> + Send,
    ) -> Result<Job, Error> {
        let (said, reached) = self
            .with_holding(|holding| (holding.said.clone(), holding.reached))
            .unwrap_or_default();
        let farther = |record: &mut Record| {
            rule(record)?;
            record.reach(reached);
            Ok(())
        };
        let changed = self
            .queue
            .change_with(&self.id, said.as_deref(), result, farther)
            .await;
        match changed {
            // It was deleted from under us.
            Err(Error::Unknown(_)) => Err(Error::Lost),
            changed => changed,
        }
    }

    /// What is known here of this very claim. None: another has the job by now.
    fn with_holding<T>(&self, look: impl FnOnce(&mut Holding) -> T) -> Option<T> {
        let mut all = self.queue.holding();
        let own = all
            .get_mut(&self.id)
            .filter(|holding| holding.token == self.token);
        own.map(look)
    }
}
