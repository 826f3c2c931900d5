//! What time does to jobs: leases lapse, deadlines pass, what is old is forgotten.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::{Inner, Queue, rows};
use crate::Error;
use crate::rules::Record;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Jobs whose holder was silent for too long, or that were not begun in time.
    pub lapsed: usize,
    /// Jobs that were forgotten.
    pub forgotten: usize,
}

// === impl Queue ===

impl Queue {
    /// Does what is due. A queue that was [`open`](Queue::open)ed does it by itself.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        self.inner.sweep().await
    }
}

// === impl Inner ===

impl Inner {
    /// Before anything is claimed: whoever held a job of a database that is ours alone is no more.
    pub(super) async fn recover(&self) -> Result<(), Error> {
        if self.database.is_ours_alone() {
            let held = "SELECT id FROM jobs WHERE queue = $1 AND state IN (2, 3) AND $2 = $2";
            let lapsed = self.lapse(held, true).await?;
            if lapsed > 0 {
                tracing::warn!(
                    service = self.terms.service,
                    lapsed,
                    "jobs wait again: their process went away"
                );
            }
        }
        self.delete_orphans().await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let due = "SELECT id FROM jobs WHERE queue = $1 AND \
                   ((state IN (2, 3) AND lease < $2) OR (state = 1 AND deadline <= $2))";
        let lapsed = self.lapse(due, false).await?;
        let old = "SELECT id FROM jobs WHERE queue = $1 AND state > 3 AND expires <= $2";
        let old = self.ids(old).await?;
        if !old.is_empty() {
            self.forget(&old).await?;
        }
        Ok(Swept {
            lapsed,
            forgotten: old.len(),
        })
    }

    async fn lapse(&self, which: &'static str, gone: bool) -> Result<usize, Error> {
        let (due, limits, now) = (self.ids(which).await?, *self.limits(), self.now());
        for id in &due {
            let rule = |record: &mut Record| {
                record.lapse(now, gone, &limits);
                Ok(())
            };
            match self.change(id, None, rule).await {
                Ok(_) | Err(Error::Unknown(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(due.len())
    }

    async fn ids(&self, statement: &'static str) -> Result<Vec<String>, Error> {
        let found = sqlx::query(statement)
            .bind(self.terms.service)
            .bind(self.now())
            .fetch_all(self.database.readers())
            .await
            .map_err(Error::database("looking what is due"))?;
        found.iter().map(|row| rows::get(row, "id")).collect()
    }

    /// Forgets jobs, then deletes their artifacts: those of a job that is not known are deleted with the next start.
    pub(super) async fn forget(&self, ids: &[String]) -> Result<(), Error> {
        let forgetting = || Error::database("forgetting a job");
        let mut writing = self.database.begin().await?;
        for id in ids {
            for statement in [
                "DELETE FROM jobs WHERE id = $1",
                "DELETE FROM job_payloads WHERE job = $1",
                "DELETE FROM job_results WHERE job = $1",
            ] {
                sqlx::query(statement)
                    .bind(id.clone())
                    .execute(&mut *writing)
                    .await
                    .map_err(forgetting())?;
            }
        }
        writing.commit().await.map_err(forgetting())?;
        self.told();
        for id in ids {
            self.artifacts.delete(id)?;
        }
        Ok(())
    }

    async fn delete_orphans(&self) -> Result<(), Error> {
        for id in self.artifacts.owners()? {
            let statement = AssertSqlSafe("SELECT COUNT(*) FROM jobs WHERE id = $1");
            let looking = || Error::database("looking for the job of an artifact");
            let row = sqlx::query(statement)
                .bind(id.clone())
                .fetch_one(self.database.readers())
                .await
                .map_err(looking())?;
            let known: i64 = row.try_get(0).map_err(looking())?;
            if known == 0 {
                self.artifacts.delete(&id)?;
            }
        }
        Ok(())
    }
}

/// Sweeps until the queue is gone.
pub(super) async fn keep(queue: Weak<Inner>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(inner) = queue.upgrade() else { return };
        if let Err(error) = sweep(&inner).await {
            tracing::error!(error = %polyphony_error::chain(&error), service = inner.terms.service, "jobs could not be swept");
        }
    }
}

async fn sweep(inner: &Arc<Inner>) -> Result<Swept, Error> {
    inner.sweep().await
}
