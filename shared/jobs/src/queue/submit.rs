//! Taking a job in, once for each `request_id`.

use sha2::{Digest, Sha256};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};
use tokio::task;
use uuid::Uuid;

use super::{Inner, MOST_PROGRESS, Queue, Terms, rows};
use crate::Error;
use crate::job::{ANONYMOUS, Job, NewJob, State};

/// A job that is in the queue.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// It was there already, by its `request_id`.
    pub known: bool,
}

/// How many there are, and how many of them are one owner's.
struct Count {
    all: usize,
    own: usize,
}

/// A job that was submitted before, and the digest of its fingerprint.
struct Known {
    job: Job,
    digest: String,
}

// === impl Known ===

impl Known {
    /// It, unless it was another request.
    fn of(self, fingerprint: &[u8]) -> Result<Job, Error> {
        if self.digest == digest(fingerprint) {
            Ok(self.job)
        } else {
            Err(Error::RequestReused)
        }
    }
}

// === impl Queue ===

impl Queue {
    /// Takes a job in, or finds the one of the same `request_id` and owner. When it returns, the job is on the disk.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::QueueFull`], [`Error::TooMany`], [`Error::OwnerQueueFull`], [`Error::OwnerTooMany`],
    /// [`Error::TooLarge`], [`Error::RequestReused`].
    pub async fn submit(&self, new: NewJob) -> Result<Submitted, Error> {
        let inner = &self.inner;
        fits("the request", new.payload.len(), inner.terms.max_payload)?;
        fits("the progress", new.progress.len(), MOST_PROGRESS)?;
        self.check_room().await?;
        // On a task of its own: a caller that goes away must not leave a transaction behind that holds up the others.
        let (inner, submitting) = (std::sync::Arc::clone(inner), new);
        let submitted = task::spawn(async move {
            match inner.submit(&submitting).await {
                // Another process took the same request in a moment before, and is found now.
                Err(error) if error.is_twice() => inner.submit(&submitting).await,
                submitted => submitted,
            }
        });
        submitted.await.map_err(Error::broken("taking a job in"))?
    }

    /// The job that this owner submitted before with this `request_id`, as long as it is kept: for who would have to do or to
    /// have something before it submits one, and need not for what is there.
    ///
    /// # Errors
    /// [`Error::RequestReused`].
    pub async fn known(
        &self,
        owner: &str,
        request_id: &str,
        fingerprint: &[u8],
    ) -> Result<Option<Job>, Error> {
        let mut reading = self.inner.reading().await?;
        let known = self.inner.known(&mut reading, owner, request_id).await?;
        known.map(|known| known.of(fingerprint)).transpose()
    }

    /// Whether a job of this owner and `request_id` would be taken in now: for who has something to do before it submits
    /// one, and better does not if this is refused. What is asked for later may still be.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::QueueFull`], [`Error::TooMany`], [`Error::OwnerQueueFull`], [`Error::OwnerTooMany`].
    pub async fn admits(&self, owner: &str, request_id: &str) -> Result<(), Error> {
        let inner = &self.inner;
        let mut reading = inner.reading().await?;
        if inner.known(&mut reading, owner, request_id).await?.is_some() {
            return Ok(());
        }
        inner.check_limits(&mut reading, owner).await?;
        drop(reading);
        self.check_room().await
    }

    /// Whether there is room on the disk for what a holder writes.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub async fn check_room(&self) -> Result<(), Error> {
        let artifacts = self.inner.artifacts.clone();
        let room = task::spawn_blocking(move || artifacts.check_room());
        room.await.map_err(Error::broken("looking for room"))?
    }
}

// === impl Inner ===

impl Inner {
    async fn submit(&self, new: &NewJob) -> Result<Submitted, Error> {
        let submitting = || Error::database("taking a job in");
        let mut writing = self.database.begin().await?;
        if let Some(known) = self.known(&mut writing, &new.owner, &new.request_id).await? {
            return Ok(Submitted {
                job: known.of(&new.fingerprint)?,
                known: true,
            });
        }
        self.check_limits(&mut writing, &new.owner).await?;
        let row = sqlx::query("UPDATE job_counters SET next = next + 1 WHERE name = 'job' RETURNING next")
            .fetch_one(&mut *writing)
            .await
            .map_err(submitting())?;
        let number: i64 = row.try_get(0).map_err(submitting())?;
        // In the order of submission; and nobody guesses another's.
        let id = format!("{number:012x}{}", &Uuid::new_v4().simple().to_string()[..16]);
        let priority = new.priority.number();
        let turn = self.next_turn(&mut writing, &new.owner, priority, number).await?;
        let now = self.now();
        let after = |span: std::time::Duration| now.saturating_add(micros_of(span));
        sqlx::query(
            "INSERT INTO jobs (id, queue, number, owner, request, fingerprint, label, state, priority, attempts, \
             strikes, cancelling, cost, created, updated, deadline, progress, turn) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, $10, $11, $12, $13, $14, $15)",
        )
        .bind(id.clone())
        .bind(self.terms.service)
        .bind(number)
        .bind(new.owner.clone())
        .bind((!new.request_id.is_empty()).then(|| new.request_id.clone()))
        .bind(digest(&new.fingerprint))
        .bind(new.label.clone())
        .bind(State::Queued.number())
        .bind(priority)
        .bind(micros_of(new.cost))
        .bind(now)
        .bind(now)
        .bind(new.deadline.map(after))
        .bind(new.progress.clone())
        .bind(turn)
        .execute(&mut *writing)
        .await
        .map_err(submitting())?;
        rows::write_content(&mut writing, "job_payloads", &id, &new.payload).await?;
        let job = self.row_of(&mut writing, &id).await?;
        writing.commit().await.map_err(submitting())?;
        self.told();
        Ok(Submitted { job, known: false })
    }

    pub(super) async fn reading(&self) -> Result<PoolConnection<Any>, Error> {
        let reading = self.database.readers().acquire().await;
        reading.map_err(Error::database("beginning to read"))
    }

    /// The job that an owner submitted with a `request_id`.
    async fn known(
        &self,
        reading: &mut AnyConnection,
        owner: &str,
        request_id: &str,
    ) -> Result<Option<Known>, Error> {
        if request_id.is_empty() {
            return Ok(None);
        }
        let statement = format!(
            "SELECT {}, fingerprint FROM jobs WHERE queue = $1 AND owner = $2 AND request = $3",
            rows::COLUMNS
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(self.terms.service)
            .bind(owner.to_owned())
            .bind(request_id.to_owned())
            .fetch_optional(reading)
            .await
            .map_err(Error::database("finding a request"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Known {
            job: rows::job(&row)?,
            digest: rows::get(&row, "fingerprint")?,
        }))
    }

    /// Whether one more may wait and be kept, of this owner and in all.
    async fn check_limits(&self, reading: &mut AnyConnection, owner: &str) -> Result<(), Error> {
        let Terms {
            service,
            max_queue,
            max_kept,
            ..
        } = self.terms;
        let key = |name: &str| format!("{service}.{name}");
        let waiting = self.count(&mut *reading, " AND state = 1", owner).await?;
        let most = self.share(max_queue, owner);
        if waiting.own >= most && most < max_queue {
            let key = key("max_queue");
            return Err(Error::OwnerQueueFull { most, key });
        }
        if waiting.all >= max_queue {
            let (most, key) = (max_queue, key("max_queue"));
            return Err(Error::QueueFull { most, key });
        }
        let kept = self.count(&mut *reading, "", owner).await?;
        let most = self.share(max_kept, owner);
        if kept.own >= most && most < max_kept {
            let key = key("max_operations");
            return Err(Error::OwnerTooMany { most, key });
        }
        if kept.all >= max_kept {
            let (most, key) = (max_kept, key("max_operations"));
            return Err(Error::TooMany { most, key });
        }
        Ok(())
    }

    /// What one owner may take of a limit.
    fn share(&self, most: usize, owner: &str) -> usize {
        // They stand for all who have no name, and where one has none, nobody has.
        if owner == ANONYMOUS {
            return most;
        }
        ((most as f64 * self.owner_share).ceil() as usize).max(1)
    }

    async fn count(
        &self,
        reading: &mut AnyConnection,
        which: &'static str,
        owner: &str,
    ) -> Result<Count, Error> {
        let counting = || Error::database("counting jobs");
        let statement = format!(
            "SELECT COUNT(*) AS many, COUNT(CASE WHEN owner = $2 THEN 1 END) AS own FROM jobs WHERE queue = $1{which}"
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(self.terms.service)
            .bind(owner.to_owned())
            .fetch_one(reading)
            .await
            .map_err(counting())?;
        let count = |name| -> Result<usize, Error> {
            let count: i64 = row.try_get(name).map_err(counting())?;
            Ok(usize::try_from(count).unwrap_or_default())
        };
        Ok(Count {
            all: count("many")?,
            own: count("own")?,
        })
    }

    async fn row_of(&self, reading: &mut AnyConnection, id: &str) -> Result<Job, Error> {
        let statement = format!("SELECT {} FROM jobs WHERE id = $1", rows::COLUMNS);
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(id.to_owned())
            .fetch_one(reading)
            .await
            .map_err(Error::database("reading a job"))?;
        rows::job(&row)
    }
}

pub(crate) fn fits(what: &'static str, size: usize, most: usize) -> Result<(), Error> {
    if size > most {
        return Err(Error::TooLarge { what, size, most });
    }
    Ok(())
}

fn micros_of(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Of a fingerprint, as it is kept: in hexadecimal.
fn digest(fingerprint: &[u8]) -> String {
    let digest = Sha256::digest(fingerprint);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
