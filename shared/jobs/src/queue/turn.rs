//! Whose turn it is: which job is claimed next, and who waits before whom.
//!
//! Priority comes first; among equals owners take turns, each with the oldest of theirs. So five hundred jobs of one owner hold
//! up another's single one by the time of one. It is start-time fair queueing with jobs of one size: a job gets its turn, a
//! number, when it is submitted, one after the last of its owner's that waits or is worked on, and none before the first of
//! all that wait. What is served is then the order of a column, which an index has: to claim costs the same however many wait,
//! and a place is a count.

use std::sync::Arc;
use std::time::Duration;

use polyphony_error::Fault;
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::{Inner, Queue, rows};
use crate::clock::micros;
use crate::job::{Failure, Place, Priority};
use crate::rules::Ending;
use crate::{Error, Held};

// === impl Queue ===

impl Queue {
    /// How many wait.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn depth(&self) -> Result<u32, Error> {
        self.inner.waiting("", &[]).await.map(|(count, _, _)| count)
    }

    /// The place that a job of this owner and priority would get now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn place_of_next(&self, owner: &str, priority: Priority) -> Result<Place, Error> {
        let (inner, priority, last) = (&self.inner, priority.number(), i64::MAX);
        let mut reading = inner.reading().await?;
        let turn = inner.next_turn(&mut reading, owner, priority, last).await?;
        drop(reading);
        inner.place(priority, turn, last).await
    }
}

// === impl Inner ===

impl Inner {
    pub(super) async fn claim(self: &Arc<Self>, least: Priority) -> Result<Option<Held>, Error> {
        let claiming = || Error::database("claiming a job");
        let (token, now) = (uuid::Uuid::new_v4().simple().to_string(), self.now());
        let mut writing = self.database.begin().await?;
        // From here on nobody else of this process claims one.
        if self.holding().values().any(|holding| holding.alone) {
            return Ok(None);
        }
        let row = sqlx::query(AssertSqlSafe(self.next_in_turn()))
            .bind(self.terms.service)
            .bind(now)
            .bind(least.number())
            .fetch_optional(&mut *writing)
            .await
            .map_err(claiming())?;
        let Some(row) = row else { return Ok(None) };
        let (mut job, mut record) = (rows::job(&row)?, rows::record(&row)?);
        // Either it took the process with it, or another job did that was worked on beside it. Nobody knows which until each
        // of them was worked on alone; so those at work are waited for.
        let alone = self.limits.blame_losses && record.strikes > 0;
        if alone && !self.holding().is_empty() {
            return Ok(None);
        }
        record.claim(&token, now, &self.limits).map_err(Error::from)?;
        let payload = rows::content(&mut *writing, "job_payloads", &job.id).await?;
        if payload.is_none() {
            // Without this it would be the first in turn for ever.
            let error = Error::Damaged(format!("job {} has no payload", job.id));
            tracing::error!(%error, "a job that waits cannot be done");
            let ending = Ending::Failed(Failure::from(Fault::internal(error)));
            record.end(&token, ending, now, &self.limits)?;
        }
        rows::write(&mut writing, &mut job, &record, now).await?;
        // Known here before it is told: who cancels it from now on finds it.
        let held = payload.map(|payload| Held::new(Arc::clone(self), job, token, payload, alone));
        writing.commit().await.map_err(claiming())?;
        self.told();
        Ok(held)
    }

    /// The statement that finds the next job: of a queue, not late by now, of a priority and above.
    pub(super) fn next_in_turn(&self) -> String {
        format!(
            "SELECT {} FROM jobs WHERE queue = $1 AND state = 1 AND (deadline IS NULL OR deadline > $2) \
             AND priority >= $3 ORDER BY priority DESC, turn, number LIMIT 1{}",
            rows::COLUMNS,
            self.database.for_update_unless_kept()
        )
    }

    /// The statement that finds the first turn of all that wait, and the last of an owner's that wait or are worked on: of a
    /// queue, an owner, a priority.
    pub(super) fn turn_of_next() -> String {
        let last = |state: u8| {
            format!(
                "SELECT MAX(turn) AS turn FROM jobs WHERE queue = $1 AND state = {state} AND owner = $2 AND priority = $3"
            )
        };
        format!(
            "SELECT (SELECT MIN(turn) FROM jobs WHERE queue = $1 AND state = 1 AND priority = $3) AS first, \
             (SELECT MAX(turn) FROM ({} UNION ALL {} UNION ALL {}) AS own) AS last",
            last(1),
            last(2),
            last(3)
        )
    }

    /// The turn of a job of this owner and priority that has this number, as the last of all. Numbers only grow, and no turn
    /// is beyond them: so where none waits, the number is a turn that comes after all there were.
    pub(super) async fn next_turn(
        &self,
        reading: &mut AnyConnection,
        owner: &str,
        priority: i64,
        number: i64,
    ) -> Result<i64, Error> {
        let asking = || Error::database("asking for a turn");
        let row = sqlx::query(AssertSqlSafe(Self::turn_of_next()))
            .bind(self.terms.service)
            .bind(owner.to_owned())
            .bind(priority)
            .fetch_one(reading)
            .await
            .map_err(asking())?;
        let first: Option<i64> = row.try_get("first").map_err(asking())?;
        let last: Option<i64> = row.try_get("last").map_err(asking())?;
        Ok(first.map_or(number, |first| last.map_or(first, |last| first.max(last + 1))))
    }

    /// The place of a job with this priority, turn and number.
    pub(super) async fn place(&self, priority: i64, turn: i64, number: i64) -> Result<Place, Error> {
        let before = " AND (priority > $2 OR (priority = $2 AND (turn < $3 OR (turn = $3 AND number < $4))))";
        let (position, cost, unknown) = self.waiting(before, &[priority, turn, number]).await?;
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
