//! Rows to jobs and back.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Executor, Row};

use crate::Error;
use crate::clock::of_micros;
use crate::job::{Failure, Job, Priority, State};
use crate::rules::{Hold, Record};

/// The columns that [`job`] and [`record`] read.
pub(super) const COLUMNS: &str = "id, owner, label, state, priority, attempts, strikes, interruptions, reached, token, lease, \
                                  cancelling, cost, created, started, ended, updated, deadline, expires, progress, failure";

pub(super) fn get<'r, T>(row: &'r AnyRow, name: &'static str) -> Result<T, Error>
where
    T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    row.try_get(name).map_err(Error::database("reading a row"))
}

fn small(row: &AnyRow, name: &'static str) -> Result<u32, Error> {
    let number: i64 = get(row, name)?;
    u32::try_from(number).map_err(|_| Error::Damaged(format!("{name} is {number}")))
}

pub(super) fn state(row: &AnyRow) -> Result<State, Error> {
    let number: i64 = get(row, "state")?;
    State::of_number(number).ok_or_else(|| Error::Damaged(format!("a job is in state {number}")))
}

fn priority(row: &AnyRow) -> Result<Priority, Error> {
    let number: i64 = get(row, "priority")?;
    Priority::of_number(number).ok_or_else(|| Error::Damaged(format!("a job has priority {number}")))
}

fn failure(row: &AnyRow) -> Result<Option<Failure>, Error> {
    let status: Option<Vec<u8>> = get(row, "failure")?;
    Ok(status.map(|status| Failure { status }))
}

pub(super) fn job(row: &AnyRow) -> Result<Job, Error> {
    let moment = |name| -> Result<_, Error> { Ok(get::<Option<i64>>(row, name)?.map(of_micros)) };
    let cost: i64 = get(row, "cost")?;
    Ok(Job {
        id: get(row, "id")?,
        owner: get(row, "owner")?,
        label: get(row, "label")?,
        state: state(row)?,
        priority: priority(row)?,
        attempts: small(row, "attempts")?,
        strikes: small(row, "strikes")?,
        interruptions: small(row, "interruptions")?,
        cancelling: get::<i64>(row, "cancelling")? != 0,
        created: of_micros(get(row, "created")?),
        started: moment("started")?,
        ended: moment("ended")?,
        updated: of_micros(get(row, "updated")?),
        deadline: moment("deadline")?,
        expires: moment("expires")?,
        cost: Duration::from_micros(u64::try_from(cost).unwrap_or_default()),
        progress: get(row, "progress")?,
        failure: failure(row)?,
        place: None,
    })
}

pub(super) fn record(row: &AnyRow) -> Result<Record, Error> {
    let token: Option<String> = get(row, "token")?;
    let until: Option<i64> = get(row, "lease")?;
    Ok(Record {
        state: state(row)?,
        priority: priority(row)?,
        attempts: small(row, "attempts")?,
        strikes: small(row, "strikes")?,
        interruptions: small(row, "interruptions")?,
        reached: u64::try_from(get::<i64>(row, "reached")?).unwrap_or_default(),
        hold: token.zip(until).map(|(token, until)| Hold { token, until }),
        cancelling: get::<i64>(row, "cancelling")? != 0,
        started: get(row, "started")?,
        ended: get(row, "ended")?,
        deadline: get(row, "deadline")?,
        expires: get(row, "expires")?,
        failure: failure(row)?,
    })
}

/// Writes what a rule has made of a job.
pub(super) async fn write(
    writing: &mut AnyConnection,
    job: &mut Job,
    record: &Record,
    now: i64,
) -> Result<(), Error> {
    let Record {
        state,
        priority,
        attempts,
        strikes,
        interruptions,
        reached,
        hold,
        cancelling,
        started,
        ended,
        deadline,
        expires,
        failure,
    } = record;
    sqlx::query(
        "UPDATE jobs SET state = $1, attempts = $2, strikes = $3, token = $4, lease = $5, cancelling = $6, \
         started = $7, ended = $8, deadline = $9, expires = $10, failure = $11, progress = $12, updated = $13, \
         priority = $14, interruptions = $15, reached = $16 WHERE id = $17",
    )
    .bind(state.number())
    .bind(i64::from(*attempts))
    .bind(i64::from(*strikes))
    .bind(hold.as_ref().map(|hold| hold.token.clone()))
    .bind(hold.as_ref().map(|hold| hold.until))
    .bind(i64::from(*cancelling))
    .bind(*started)
    .bind(*ended)
    .bind(*deadline)
    .bind(*expires)
    .bind(failure.as_ref().map(|failure| failure.status.clone()))
    .bind(job.progress.clone())
    .bind(now)
    .bind(priority.number())
    .bind(i64::from(*interruptions))
    .bind(i64::try_from(*reached).unwrap_or(i64::MAX))
    .bind(job.id.clone())
    .execute(writing)
    .await
    .map_err(Error::database("writing a job"))?;
    (job.state, job.priority) = (*state, *priority);
    (job.attempts, job.strikes, job.interruptions) = (*attempts, *strikes, *interruptions);
    job.cancelling = *cancelling;
    job.started = started.map(of_micros);
    job.ended = ended.map(of_micros);
    job.expires = expires.map(of_micros);
    job.updated = of_micros(now);
    job.failure.clone_from(failure);
    Ok(())
}

/// A large part of a job.
pub(super) async fn content<'c>(
    reading: impl Executor<'c, Database = Any>,
    table: &'static str,
    id: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let failed = || Error::database("reading what a job is about");
    let statement = format!("SELECT content FROM {table} WHERE job = $1");
    let row = sqlx::query(AssertSqlSafe(statement))
        .bind(id.to_owned())
        .fetch_optional(reading)
        .await
        .map_err(failed())?;
    row.map(|row| row.try_get("content"))
        .transpose()
        .map_err(failed())
}

/// Writes a large part of a job.
pub(super) async fn write_content(
    writing: &mut AnyConnection,
    table: &'static str,
    id: &str,
    content: &[u8],
) -> Result<(), Error> {
    let statement = format!("INSERT INTO {table} (job, content) VALUES ($1, $2)");
    sqlx::query(AssertSqlSafe(statement))
        .bind(id.to_owned())
        .bind(content.to_vec())
        .execute(writing)
        .await
        .map_err(Error::database("writing what a job is about"))?;
    Ok(())
}
