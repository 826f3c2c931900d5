//! What time does to jobs: leases lapse, deadlines pass, what is old is forgotten.

use std::fs;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task;

use super::{Inner, Queue, rows};
use crate::Error;
use crate::job::State;
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
        // What is not over has none.
        let old = "SELECT id FROM jobs WHERE queue = $1 AND expires <= $2";
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
                // The others are not to wait for it.
                Err(error @ Error::Damaged(_)) => tracing::error!(job = id, %error, "a job cannot be read"),
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
        let (artifacts, ids, service) = (self.artifacts.clone(), ids.to_vec(), self.terms.service);
        let deleting = move || {
            for id in &ids {
                if let Err(error) = artifacts.delete(id) {
                    tracing::error!(service, error = %polyphony_error::chain(&error), "the files of a job outlive it");
                }
            }
        };
        // The job is forgotten, whatever becomes of its files: the next start tries again.
        task::spawn_blocking(deleting).await.unwrap_or_default();
        Ok(())
    }

    /// Deletes the files of jobs that are no more, and what was left half written for those that are over.
    pub(super) async fn delete_orphans(&self) -> Result<(), Error> {
        for id in self.artifacts.owners()? {
            if self.state_of(&id).await?.is_none() {
                self.artifacts.delete(&id)?;
            }
        }
        for (id, path) in self.artifacts.half_written()? {
            if self.state_of(&id).await?.is_none_or(State::is_over)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(%error, path = %path.display(), "a file that is half written cannot be deleted");
            }
        }
        Ok(())
    }

    /// Where the job of a file is; none: it is not known.
    async fn state_of(&self, id: &str) -> Result<Option<State>, Error> {
        let row = sqlx::query("SELECT state FROM jobs WHERE id = $1")
            .bind(id.to_owned())
            .fetch_optional(self.database.readers())
            .await
            .map_err(Error::database("looking for the job of an artifact"))?;
        row.as_ref().map(rows::state).transpose()
    }
}

/// Sweeps until the queue is gone.
pub(super) async fn keep(queue: Weak<Inner>, pause: Duration) {
    loop {
        let Some(before) = queue.upgrade().map(|inner| inner.now()) else {
            return;
        };
        tokio::time::sleep(pause).await;
        let Some(inner) = queue.upgrade() else { return };
        if overslept(before, inner.now(), pause) {
            continue;
        }
        if let Err(error) = sweep(&inner).await {
            tracing::error!(error = %polyphony_error::chain(&error), service = inner.terms.service, "jobs could not be swept");
        }
    }
}

async fn sweep(inner: &Arc<Inner>) -> Result<Swept, Error> {
    inner.sweep().await
}

/// Whether far more time has passed than was waited for, as in a machine that slept or a process that was stopped: then every
/// lease has lapsed, and holders are heard before they are judged.
fn overslept(before: i64, now: i64, pause: Duration) -> bool {
    let passed = u128::try_from(now.saturating_sub(before)).unwrap_or_default();
    passed > 2 * pause.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_judges_nobody_at_once() {
        let pause = Duration::from_secs(5);
        let after = |seconds: i64| overslept(7_000_000, 7_000_000 + seconds * 1_000_000, pause);
        assert!(!after(5) && !after(9), "a busy machine is late a little");
        assert!(after(16) && after(8 * 3_600));
        assert!(!after(-60), "a clock that is set back is none");
    }
}
