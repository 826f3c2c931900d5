//! The queue of a service: what is submitted, claimed, asked about, cancelled and forgotten.

mod read;
mod rows;
mod submit;
mod sweep;
mod turn;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::micros;
use crate::database::{self, Database};
use crate::held::Holding;
use crate::job::{Job, Priority};
use crate::rules::{Limits, Record, Refusal};
use crate::{Artifacts, Clock, Error, Held, JobsConfig, SystemClock};

pub use read::{Filter, Order};
pub use submit::Submitted;
pub use sweep::Swept;

/// The jobs of a service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    inner: Arc<Inner>,
    /// Ends with the last clone.
    _keeper: Option<Arc<AbortOnDropHandle<()>>>,
}

/// On what terms jobs are taken in and kept.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The service, as "video-gen": the name of its folder and of the section of its keys.
    pub service: &'static str,
    /// A job whose worker was seen to die so often is dead.
    pub max_attempts: u32,
    /// The work is done in this process, so its vanishing counts as the death of a worker: of each job that was held. A job
    /// that has been counted against is worked on alone from then on, so that no more than that once is another's doing.
    pub blame_losses: bool,
    /// A job whose holder vanished so often in a row, without having come farther than one before ([`Held::reached`]), is
    /// dead. Not counted where losses are blamed. None: it is tried for ever.
    pub max_interruptions: Option<u32>,
    /// What a job stands for goes on elsewhere and has to be stopped there: so one that waits and is to be cancelled goes to
    /// the front ([`Priority::High`]) and is over when its next holder says so, whatever happens to processes meanwhile.
    pub holder_stops: bool,
    /// Jobs that wait (`max_queue`); one more is refused. One owner may have a part of it ([`JobsConfig::owner_share`]).
    pub max_queue: usize,
    /// Jobs that are kept, whatever their state (`max_operations`); one more is refused. Likewise.
    pub max_kept: usize,
    /// How long a job is kept when it is over. None: until it is deleted.
    pub retention: Option<Duration>,
    /// How many are worked on at once, for the time that one will wait.
    pub lanes: usize,
    /// The largest payload, in bytes.
    pub max_payload: usize,
    /// The largest result, in bytes.
    pub max_result: usize,
    /// The payload is of no use when a job is over.
    pub drop_payload: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    database: Database,
    pub(crate) terms: Terms,
    limits: Limits,
    owner_share: f64,
    clock: Arc<dyn Clock>,
    artifacts: Artifacts,
    /// The jobs that are held in this process.
    holding: Mutex<HashMap<String, Holding>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// Counts what holders say, which is far more often and of interest to few.
    said: watch::Sender<u64>,
}

/// The most that a job may say of its progress.
pub(crate) const MOST_PROGRESS: usize = 256 << 10;

// === impl Queue ===

impl Queue {
    /// Opens the queue of a service, and takes back what was held by a process that is no more.
    ///
    /// # Errors
    /// When the database does not answer, the folder is another process's, or there is none.
    pub async fn open(config: &JobsConfig, terms: Terms) -> Result<Self, Error> {
        let mut queue = Self::open_at(config, terms, Arc::new(SystemClock)).await?;
        let (weak, pause) = (Arc::downgrade(&queue.inner), queue.inner.limits.lease / 3);
        let keeper = tokio::spawn(sweep::keep(weak, pause));
        queue._keeper = Some(Arc::new(AbortOnDropHandle::new(keeper)));
        Ok(queue)
    }

    /// As [`open`](Self::open), by another clock, and nothing is due until [`sweep`](Self::sweep) is called.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_at(config: &JobsConfig, terms: Terms, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let folder = config.folder(terms.service)?;
        database::make_folder(&folder)?;
        let url = config.url.as_ref().map(|url| url.expose().as_str());
        let database = Database::open(url, &folder).await?;
        let limits = Limits {
            lease: config.lease.get(),
            max_attempts: terms.max_attempts,
            blame_losses: terms.blame_losses,
            max_interruptions: terms.max_interruptions,
            holder_stops: terms.holder_stops,
            retention: terms.retention,
        };
        let artifacts = Artifacts::open(&folder, config.min_free.bytes(), database.is_ours_alone())?;
        let queue = Self {
            inner: Arc::new(Inner {
                database,
                terms,
                limits,
                owner_share: config.owner_share,
                clock,
                artifacts,
                holding: Mutex::default(),
                changes: watch::Sender::new(0),
                said: watch::Sender::new(0),
            }),
            _keeper: None,
        };
        queue.inner.recover().await?;
        Ok(queue)
    }

    /// The files of jobs.
    pub fn artifacts(&self) -> &Artifacts {
        &self.inner.artifacts
    }

    /// On what terms it works.
    pub fn terms(&self) -> &Terms {
        &self.inner.terms
    }

    /// How long a holder may be silent; it should be heard three times in that.
    pub fn lease(&self) -> Duration {
        self.inner.limits.lease
    }

    /// Takes the job whose turn it is, if one waits: of the highest priority; among equals owners take turns. None as well
    /// while one is to be worked on alone and others are at work here ([`Terms::blame_losses`]).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(&self) -> Result<Option<Held>, Error> {
        self.claim_of(Priority::Low).await
    }

    /// As [`claim`](Self::claim), of jobs of this priority and above.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_of(&self, least: Priority) -> Result<Option<Held>, Error> {
        self.inner.claim(least).await
    }

    /// Whether this very process works on a job: where a queue is shared, another may.
    pub fn holds(&self, id: &str) -> bool {
        self.inner.holding().contains_key(id)
    }

    /// Completes when something changed here since `changes` was looked at, or after a while: then [`claim`](Self::claim)
    /// may find a job. Whoever has `changes` from before it claimed misses none.
    pub async fn changed(&self, changes: &mut watch::Receiver<u64>) {
        // Where the queue is shared, another process may have submitted it.
        let alone = self.inner.database.is_ours_alone();
        let look = Duration::from_secs(if alone { 5 } else { 1 });
        drop(tokio::time::timeout(look, changes.changed()).await);
    }

    /// Counts changes, what holders say besides; whoever has it can wait for the next without missing one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Asks a job of one of these owners to stop. One that waits is cancelled at once, unless [`Terms::holder_stops`]; one
    /// that is held hears of it ([`Held::cancelled`]), in another process with its next heartbeat, and is over when its
    /// holder says so. To ask twice changes nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Over`].
    pub async fn cancel(&self, id: &str, owners: &[&str]) -> Result<Job, Error> {
        self.get(id, owners).await?;
        let (now, limits) = (self.inner.now(), self.inner.limits);
        let change = |record: &mut Record| record.cancel(now, &limits);
        self.inner.change(id, None, change).await
    }

    /// Forgets a job of one of these owners, with its artifacts.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::UnderWay`].
    pub async fn delete(&self, id: &str, owners: &[&str]) -> Result<(), Error> {
        let job = self.get(id, owners).await?;
        if !job.state.is_over() {
            return Err(Error::UnderWay);
        }
        self.inner.forget(&[job.id]).await
    }

    /// Waits for what runs and closes the files.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) fn now(&self) -> i64 {
        micros(self.clock.now())
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn told(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn said(&self) {
        self.said.send_modify(|count| *count += 1);
    }

    pub(crate) fn hear(&self) -> watch::Receiver<u64> {
        self.said.subscribe()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn holding(&self) -> MutexGuard<'_, HashMap<String, Holding>> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a rule to a job, with what it says of its progress.
    ///
    /// # Errors
    /// [`Error::Unknown`]; what the rule refuses.
    pub(crate) async fn change(
        &self,
        id: &str,
        progress: Option<&[u8]>,
        rule: impl FnOnce(&mut Record) -> Result<(), Refusal> + Send,
    ) -> Result<Job, Error> {
        self.change_with(id, progress, None, rule).await
    }

    /// As [`change`](Self::change), and keeps a result.
    pub(crate) async fn change_with(
        &self,
        id: &str,
        progress: Option<&[u8]>,
        result: Option<&[u8]>,
        rule: impl FnOnce(&mut Record) -> Result<(), Refusal> + Send,
    ) -> Result<Job, Error> {
        let changing = || Error::database("changing a job");
        let mut writing = self.database.begin().await?;
        let statement = format!(
            "SELECT {} FROM jobs WHERE queue = $1 AND id = $2{}",
            rows::COLUMNS,
            self.database.for_update()
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(self.terms.service)
            .bind(id.to_owned())
            .fetch_optional(&mut *writing)
            .await
            .map_err(changing())?
            .ok_or_else(|| Error::Unknown(id.to_owned()))?;
        let mut record = rows::record(&row)?;
        rule(&mut record).map_err(Error::from)?;
        let mut job = rows::job(&row)?;
        if let Some(progress) = progress {
            job.progress = progress.to_vec();
        }
        rows::write(&mut writing, &mut job, &record, self.now()).await?;
        if let Some(result) = result {
            rows::write_content(&mut writing, "job_results", id, result).await?;
        }
        if job.state.is_over() && self.terms.drop_payload {
            sqlx::query("DELETE FROM job_payloads WHERE job = $1")
                .bind(id.to_owned())
                .execute(&mut *writing)
                .await
                .map_err(changing())?;
        }
        writing.commit().await.map_err(changing())?;
        if job.cancelling
            && let Some(holding) = self.holding().get_mut(id)
        {
            holding.stop = true;
        }
        self.told();
        Ok(job)
    }

    async fn payload(&self, id: &str) -> Result<Vec<u8>, Error> {
        self.content("job_payloads", id)
            .await?
            .ok_or_else(|| Error::Damaged(format!("job {id} has no payload")))
    }

    /// A large part of a job.
    async fn content(&self, table: &'static str, id: &str) -> Result<Option<Vec<u8>>, Error> {
        rows::content(self.database.readers(), table, id).await
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Lost | Refusal::Taken => Self::Lost,
            Refusal::Over => Self::Over,
        }
    }
}

#[cfg(test)]
mod tests;
