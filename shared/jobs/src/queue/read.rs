//! Asking about jobs: one, or a page of them.

use std::sync::Arc;

use sqlx::AssertSqlSafe;

use super::{Inner, Queue, rows};
use crate::job::{Job, State};
use crate::{Error, Watch};

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one of these owners. None: of whoever; never for a caller.
    pub owners: Option<Vec<String>>,
    /// In one of these states. Empty: in any.
    pub states: Vec<State>,
    /// With this label. None: with any.
    pub label: Option<String>,
    /// Those that come after this one. Empty: from the first.
    pub after: String,
    /// At most so many.
    pub most: usize,
    /// Which come first.
    pub order: Order,
}

/// Which jobs come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Those submitted first.
    #[default]
    Oldest,
    /// Those submitted last.
    Newest,
}

/// Names in one statement; a certificate has fewer.
const MOST_OWNERS: usize = 64;

// === impl Queue ===

impl Queue {
    /// A job of one of these owners, with its place.
    ///
    /// # Errors
    /// [`Error::Unknown`], also when it is another's.
    pub async fn get(&self, id: &str, owners: &[&str]) -> Result<Job, Error> {
        let job = self.inner.job(id).await?;
        if owners.contains(&job.owner.as_str()) {
            Ok(job)
        } else {
            Err(Error::Unknown(id.to_owned()))
        }
    }

    /// What came of a job that succeeded.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub async fn result(&self, id: &str) -> Result<Vec<u8>, Error> {
        let result = self.inner.content("job_results", id).await?;
        result.ok_or_else(|| Error::Unknown(id.to_owned()))
    }

    /// What a job is about.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it was dropped.
    pub async fn payload(&self, id: &str) -> Result<Vec<u8>, Error> {
        self.inner.payload(id).await
    }

    /// A page of jobs. Places are not told.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, filter: &Filter) -> Result<Vec<Job>, Error> {
        let Filter {
            owners,
            states,
            label,
            after,
            most,
            order,
        } = filter;
        let owners = owners
            .as_deref()
            .map(|owners| &owners[..owners.len().min(MOST_OWNERS)]);
        if owners.is_some_and(<[String]>::is_empty) {
            return Ok(Vec::new());
        }
        // Texts are bound, in this order.
        let mut texts = vec![self.inner.terms.service.to_owned()];
        let mut wanted = String::from("queue = $1");
        let mut bound = |text: &String| {
            texts.push(text.clone());
            format!("${}", texts.len())
        };
        if let Some(owners) = owners {
            let names: Vec<String> = owners.iter().map(&mut bound).collect();
            wanted += &format!(" AND owner IN ({})", names.join(","));
        }
        if let Some(label) = label {
            wanted += &format!(" AND label = {}", bound(label));
        }
        if !after.is_empty() {
            let beyond = if *order == Order::Oldest { ">" } else { "<" };
            wanted += &format!(" AND id {beyond} {}", bound(after));
        }
        if !states.is_empty() {
            let numbers: Vec<String> = states.iter().map(|state| state.number().to_string()).collect();
            wanted += &format!(" AND state IN ({})", numbers.join(","));
        }
        let direction = if *order == Order::Oldest { "ASC" } else { "DESC" };
        let statement = format!(
            "SELECT {} FROM jobs WHERE {wanted} ORDER BY id {direction} LIMIT {most}",
            rows::COLUMNS
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for text in texts {
            query = query.bind(text);
        }
        let read = query.fetch_all(self.inner.database.readers()).await;
        let found = read.map_err(Error::database("listing jobs"))?;
        let mut jobs = found.iter().map(rows::job).collect::<Result<Vec<_>, _>>()?;
        let holding = self.inner.holding();
        for job in jobs.iter_mut().filter(|job| job.state.is_held()) {
            if let Some(said) = holding.get(&job.id).and_then(|holding| holding.said.as_ref()) {
                job.progress.clone_from(said);
            }
        }
        Ok(jobs)
    }

    /// How a job of one of these owners is now, then each change until it is over.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn watch(&self, id: &str, owners: &[&str]) -> Result<Watch, Error> {
        self.get(id, owners).await?;
        Ok(Watch::new(Arc::clone(self.inner()), id.to_owned()))
    }
}

// === impl Inner ===

impl Inner {
    /// A job as it is now, with its place and what its holder said last.
    pub(crate) async fn job(&self, id: &str) -> Result<Job, Error> {
        let reading = || Error::database("reading a job");
        // Of before as well: a holder that lets go while the row is read takes along what it said since its heartbeat.
        let before = self.holding().get(id).and_then(|holding| holding.said.clone());
        let statement = format!(
            "SELECT {}, turn, number FROM jobs WHERE queue = $1 AND id = $2",
            rows::COLUMNS
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(self.terms.service)
            .bind(id.to_owned())
            .fetch_optional(self.database.readers())
            .await
            .map_err(reading())?
            .ok_or_else(|| Error::Unknown(id.to_owned()))?;
        let mut job = rows::job(&row)?;
        if job.state == State::Queued {
            let (turn, number) = (rows::get(&row, "turn")?, rows::get(&row, "number")?);
            job.place = Some(self.place(job.priority.number(), turn, number).await?);
        } else if job.state.is_held()
            && let Some(said) = match self.holding().get(id) {
                Some(holding) => holding.said.clone(),
                None => before,
            }
        {
            job.progress = said;
        }
        Ok(job)
    }
}
