//! Requests that were answered, so that the same one asked again gets the same answer and nothing is done twice.

use std::time::{Duration, SystemTime};

use polyphony_error::Fault;
use sqlx::AnyConnection;

use super::Ledger;
use super::rows::get;
use crate::Error;
use crate::domain::time::micros;

/// What a client calls its request, and what the request is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// A UUID. Empty: the request is not to be remembered.
    pub(crate) id: String,
    /// Which call it is, as "create_space".
    pub(crate) kind: &'static str,
    /// Tells requests of one id apart that are not the same.
    pub(crate) digest: String,
}

/// Requests are remembered for so long.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

// === impl Request ===

impl Request {
    /// What it was answered with, if it was.
    pub(super) async fn answered(
        &self,
        reading: &mut AnyConnection,
        owner: &str,
    ) -> Result<Option<String>, Error> {
        if self.id.is_empty() {
            return Ok(None);
        }
        let row = sqlx::query("SELECT kind, digest, answer FROM requests WHERE owner = $1 AND id = $2")
            .bind(owner.to_owned())
            .bind(self.id.clone())
            .fetch_optional(reading)
            .await
            .map_err(Error::ledger("finding a request"))?;
        let Some(row) = row else { return Ok(None) };
        let (kind, digest): (String, String) = (get(&row, "kind")?, get(&row, "digest")?);
        if kind != self.kind || digest != self.digest {
            let text = "was used for another request; take a new one for each";
            return Err(Fault::invalid("request_id", text).into());
        }
        Ok(Some(get(&row, "answer")?))
    }

    /// Remembers the answer, in the same transaction as what was done.
    pub(super) async fn answer(
        &self,
        writing: &mut AnyConnection,
        owner: &str,
        answer: &str,
    ) -> Result<(), Error> {
        if self.id.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO requests (owner, id, kind, digest, answer, created) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(owner.to_owned())
        .bind(self.id.clone())
        .bind(self.kind.to_owned())
        .bind(self.digest.clone())
        .bind(answer.to_owned())
        .bind(micros(SystemTime::now()))
        .execute(writing)
        .await
        .map_err(Error::ledger("remembering a request"))?;
        Ok(())
    }
}

// === impl Ledger ===

impl Ledger {
    /// Forgets requests that are a week old.
    pub(crate) async fn forget_requests(&self) -> Result<(), Error> {
        let before = SystemTime::now().checked_sub(KEPT).map_or(0, micros);
        sqlx::query("DELETE FROM requests WHERE created < $1")
            .bind(before)
            .execute(self.database.writer())
            .await
            .map_err(Error::ledger("forgetting requests"))?;
        Ok(())
    }
}
