//! Asking about jobs: one, a page of them, and who waits before whom.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::{Inner, Queue, rows};
use crate::clock::micros;
use crate::job::{Job, Place, State};
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

    /// How many wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn depth(&self) -> Result<u32, Error> {
        self.inner.waiting("", &[]).await.map(|(count, _, _)| count)
    }

    /// The place that a job of this priority would get now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn place_of_next(&self, priority: crate::Priority) -> Result<Place, Error> {
        self.inner.place(priority.number(), i64::MAX).await
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
            "SELECT {}, number FROM jobs WHERE queue = $1 AND id = $2",
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
            let number: i64 = rows::get(&row, "number")?;
            job.place = Some(self.place(job.priority.number(), number).await?);
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

    /// The place of a job with this priority and number.
    async fn place(&self, priority: i64, number: i64) -> Result<Place, Error> {
        let before = " AND (priority > $2 OR (priority = $2 AND number < $3))";
        let (position, cost, unknown) = self.waiting(before, &[priority, number]).await?;
        let (depth, _, _) = self.waiting("", &[]).await?;
        let (left, unknown_left) = self.left().await?;
        let lanes = u32::try_from(self.terms.lanes.max(1)).unwrap_or(u32::MAX);
        let known = unknown == 0 && !unknown_left;
        Ok(Place {
            position,
            depth,
            ahead: known.then(|| (cost + left) / lanes),
        })
    }

    /// How many wait, what they cost, and how many of them do not say.
    async fn waiting(&self, which: &'static str, numbers: &[i64]) -> Result<(u32, Duration, i64), Error> {
        let counting = || Error::database("counting who waits");
        // A sum of whole numbers is NUMERIC to PostgreSQL, which is another type.
        let statement = format!(
            "SELECT COUNT(*) AS many, CAST(COALESCE(SUM(cost), 0) AS BIGINT) AS cost, \
             CAST(COALESCE(SUM(CASE WHEN cost = 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS unknown \
             FROM jobs WHERE queue = $1 AND state = 1{which}"
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(self.terms.service);
        for number in numbers {
            query = query.bind(*number);
        }
        let row = query
            .fetch_one(self.database.readers())
            .await
            .map_err(counting())?;
        let many: i64 = row.try_get("many").map_err(counting())?;
        let cost: i64 = row.try_get("cost").map_err(counting())?;
        let unknown: i64 = row.try_get("unknown").map_err(counting())?;
        let cost = Duration::from_micros(u64::try_from(cost).unwrap_or_default());
        Ok((u32::try_from(many).unwrap_or(u32::MAX), cost, unknown))
    }

    /// What those at work are still expected to take, and whether one of them does not say.
    async fn left(&self) -> Result<(Duration, bool), Error> {
        let held = sqlx::query("SELECT cost, started FROM jobs WHERE queue = $1 AND state IN (2, 3)")
            .bind(self.terms.service)
            .fetch_all(self.database.readers())
            .await
            .map_err(Error::database("counting who works"))?;
        let (now, mut left, mut unknown) = (micros(self.clock.now()), Duration::ZERO, false);
        for row in &held {
            let cost: i64 = rows::get(row, "cost")?;
            let started: Option<i64> = rows::get(row, "started")?;
            unknown |= cost == 0;
            let spent = started.map_or(0, |started| now.saturating_sub(started));
            let rest = u64::try_from(cost.saturating_sub(spent)).unwrap_or_default();
            left += Duration::from_micros(rest);
        }
        Ok((left, unknown))
    }
}
