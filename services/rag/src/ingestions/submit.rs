//! An ingestion becomes a job: the space, and what was decided of each document.

use polyphony_error::Fault;
use polyphony_jobs::{Job, NewJob, Priority};
use serde::{Deserialize, Serialize};

use super::{Ingestions, told};
use crate::Scope;
use crate::ingest::Progress;
use crate::ledger::{Admission, Submitted};

/// What was taken in, as its job keeps it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Admitted {
    /// The number of the space.
    pub(super) space: i64,
    /// The last part of its name.
    pub(super) space_id: String,
    /// In the order they came.
    pub(super) documents: Vec<Submitted>,
}

/// What is kept of one document: two ids, and what is said of one that was refused.
const MOST_OF_ONE: usize = 2 << 10;
/// What is kept besides.
const ENVELOPE: usize = 1 << 10;

/// The largest payload of an ingestion of so many documents.
pub(crate) const fn most_payload(documents: usize) -> usize {
    documents.saturating_mul(MOST_OF_ONE).saturating_add(ENVELOPE)
}

/// Begins to watch documents that the ledger has, or finds the ingestion of the same `request_id` and owner. When it returns,
/// the job is on the disk.
pub(crate) async fn submit(
    ingestions: &Ingestions,
    scope: &Scope,
    request_id: String,
    documents: Vec<Submitted>,
) -> Result<Job, Fault> {
    let decided = |admission: &Admission| admission.version().is_none();
    let is_decided = documents.iter().all(|document| decided(&document.admission));
    let progress = decided_of(&documents);
    let admitted = Admitted {
        space: scope.key().number(),
        space_id: scope.space().to_owned(),
        documents,
    };
    let payload = serde_json::to_vec(&admitted).map_err(Fault::internal)?;
    let new = NewJob {
        request_id,
        // As in the ledger, which knows the request first and answers it with the same documents.
        fingerprint: admitted.space.to_le_bytes().to_vec(),
        progress: told(&admitted.space_id, &progress),
        // Where nothing is on its way, nothing is waited for.
        priority: if is_decided {
            Priority::High
        } else {
            Priority::Normal
        },
        ..NewJob::new(scope.owner(), payload)
    };
    Ok(ingestions.queue().submit(new).await?.job)
}

/// How far an ingestion is before anything is done about it.
fn decided_of(documents: &[Submitted]) -> Progress {
    let many = |wanted: fn(&Admission) -> bool| {
        documents
            .iter()
            .filter(|document| wanted(&document.admission))
            .count()
    };
    Progress {
        total: documents.len(),
        ready: many(|admission| matches!(admission, Admission::Unchanged | Admission::Skipped)),
        failed: many(|admission| matches!(admission, Admission::Refused(_))),
        ..Progress::default()
    }
}

/// What a job is about.
pub(super) fn read(payload: &[u8]) -> Result<Admitted, Fault> {
    serde_json::from_slice(payload).map_err(Fault::internal)
}

#[cfg(test)]
mod tests {
    use polyphony_error::Kind;

    use super::*;
    use crate::domain::Failure;

    #[test]
    fn what_is_kept_is_read_again_and_fits() {
        // The longest id, and the longest refusal there is, of characters that are written longest.
        let id = "\u{1}".repeat(128);
        let fault = Fault::new(Kind::AlreadyExists, "DOCUMENT_EXISTS", "x".repeat(400) + &id);
        let refused = Submitted {
            id: id.clone(),
            admission: Admission::Refused(Failure::from(&fault)),
        };
        let taken = Submitted {
            id,
            admission: Admission::Taken(i64::MAX),
        };
        let admitted = Admitted {
            space: i64::MAX,
            space_id: "s".repeat(128),
            documents: vec![refused, taken],
        };
        let payload = serde_json::to_vec(&admitted).expect("written");
        assert!(payload.len() <= most_payload(2), "{}", payload.len());
        assert_eq!(read(&payload).expect("read"), admitted);
    }

    #[test]
    fn what_cannot_be_read_is_our_fault_and_no_panic() {
        for payload in [&b""[..], b"{}", b"\xff", b"{\"space\":1,\"space_id\":\"a\"}"] {
            assert_eq!(read(payload).expect_err("no ingestion").kind, Kind::Internal);
        }
    }
}
