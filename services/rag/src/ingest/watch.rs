//! An ingestion as the one who asked for it sees it.

use std::sync::Arc;

use polyphony_error::{Fault, Kind};
use tokio::sync::watch;

use super::board::Ticket;
use crate::domain::{Document, Failure};
use crate::engine::Step;
use crate::ledger::{Admission, Submitted};
use crate::{Error, Scope, Store};

/// Documents that were taken in together. Dropping it stops nothing: what was acknowledged is done.
#[derive(Debug)]
pub struct Ingestion {
    store: Store,
    scope: Scope,
    items: Vec<Item>,
    /// Counts changes of what is on its way.
    changes: watch::Receiver<u64>,
}

#[derive(Debug)]
struct Item {
    document: String,
    admission: Admission,
    ticket: Option<Arc<Ticket>>,
}

/// How far an ingestion is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Documents in all.
    pub total: usize,
    /// Those that searches find, with those that were there already.
    pub ready: usize,
    /// Those that failed.
    pub failed: usize,
    /// The id of one that is worked on now.
    pub current: Option<String>,
    /// What is done to it now.
    pub step: Option<Step>,
}

/// What became of an ingestion.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One for each document, in the order they came.
    pub results: Vec<DocumentResult>,
    /// The space's epoch from which on searches see them.
    pub epoch: u64,
}

/// What became of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentResult {
    /// The last part of its name.
    pub id: String,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The document as it is now; none when there is none.
    pub document: Option<Document>,
    /// It was there already with the same content, or another was and stays.
    pub unchanged: bool,
}

// === impl Ingestion ===

impl Ingestion {
    pub(crate) async fn watch(store: Store, scope: Scope, submitted: Vec<Submitted>) -> Result<Self, Error> {
        let (sender, changes) = watch::channel(0);
        let mut items = Vec::with_capacity(submitted.len());
        for Submitted { id, admission } in submitted {
            let ticket = match &admission {
                Admission::Taken(version) | Admission::Joined(version) => {
                    let ticket = store.board().ticket(*version);
                    ticket.listen(sender.clone());
                    // It may have been done before there was a ticket, as before a restart.
                    if let Some(outcome) = outcome(&store, *version).await? {
                        store.board().settle(*version, outcome);
                    }
                    Some(ticket)
                }
                Admission::Unchanged | Admission::Skipped | Admission::Refused(_) => None,
            };
            items.push(Item {
                document: id,
                admission,
                ticket,
            });
        }
        Ok(Self {
            store,
            scope,
            items,
            changes,
        })
    }

    /// The ids of its documents, in the order they came.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.document.as_str())
    }

    /// How far it is now.
    pub fn progress(&self) -> Progress {
        let mut progress = Progress {
            total: self.items.len(),
            ..Progress::default()
        };
        for item in &self.items {
            match item.outcome() {
                Some(Ok(())) => progress.ready += 1,
                Some(Err(_)) => progress.failed += 1,
                None => {
                    let step = item.ticket.as_ref().and_then(|ticket| ticket.step());
                    if progress.step.is_none() && step.is_some() {
                        progress.step = step;
                        progress.current = Some(item.document.clone());
                    }
                }
            }
        }
        progress
    }

    /// Whether nothing of it is on its way any more.
    pub fn is_done(&self) -> bool {
        self.items.iter().all(|item| item.outcome().is_some())
    }

    /// Waits until something has changed since the last call.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // Nobody is left who could change anything.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until it is done, and tells what became of each document.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn finish(&mut self) -> Result<Outcome, Error> {
        while !self.is_done() {
            self.changed().await;
        }
        let mut results = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let document = self.store.document(&self.scope, &item.document).await;
            results.push(DocumentResult {
                id: item.document.clone(),
                failure: item.outcome().and_then(Result::err),
                document: document.ok(),
                unchanged: matches!(item.admission, Admission::Unchanged | Admission::Skipped),
            });
        }
        let epoch = self.store.epoch(&self.scope).await?;
        Ok(Outcome { results, epoch })
    }

    /// Stops what is on its way. Documents that searches find already stay.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn cancel(&self) -> Result<(), Error> {
        let fault = Fault::new(Kind::Cancelled, "CANCELLED", "the ingestion was cancelled");
        for item in &self.items {
            if item.outcome().is_some() {
                continue;
            }
            // What somebody else asked for too is not stopped.
            if let (Admission::Taken(version), Some(ticket)) = (&item.admission, &item.ticket) {
                self.store
                    .give_up(&self.scope, *version, Failure::from(&fault))
                    .await?;
                ticket.stop.cancel();
            }
        }
        Ok(())
    }
}

/// What became of a version; none while it is on its way.
async fn outcome(store: &Store, version: i64) -> Result<Option<Result<(), Failure>>, Error> {
    use crate::domain::DocumentState::{Failed, Indexing, Ready, Stored};

    Ok(match store.ledger().version(version).await? {
        None => Some(Err(superseded())),
        Some(document) => match document.state {
            Stored | Indexing => None,
            Ready => Some(Ok(())),
            Failed => Some(Err(document.failure.unwrap_or_else(superseded))),
        },
    })
}

/// A version that is gone was deleted, or another came after it.
pub(crate) fn superseded() -> Failure {
    let text = "it was deleted, or replaced by a later one, before it was ready";
    Failure::from(&Fault::new(Kind::Aborted, "DOCUMENT_SUPERSEDED", text))
}

// === impl Item ===

impl Item {
    fn outcome(&self) -> Option<Result<(), Failure>> {
        match &self.admission {
            Admission::Unchanged | Admission::Skipped => Some(Ok(())),
            Admission::Refused(failure) => Some(Err(failure.clone())),
            Admission::Taken(_) | Admission::Joined(_) => {
                self.ticket.as_ref().and_then(|ticket| ticket.outcome())
            }
        }
    }
}
