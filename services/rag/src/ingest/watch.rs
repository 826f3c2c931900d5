//! An ingestion as the one who asked for it sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use polyphony_error::{Fault, Kind};
use tokio::sync::watch;
use tokio::time::sleep;

use super::board::Ticket;
use crate::domain::{Document, DocumentState, Failure};
use crate::engine::Step;
use crate::ledger::{Admission, Submitted};
use crate::{Error, Scope, Store};

/// Documents that were taken in together. Dropping it stops nothing: what was acknowledged is done.
#[derive(Debug)]
pub struct Ingestion {
    store: Store,
    /// None: its space is gone.
    scope: Option<Scope>,
    items: Vec<Item>,
    /// This process does the work, and tells of each step.
    is_here: bool,
    /// Counts changes of what is on its way.
    changes: watch::Receiver<u64>,
}

#[derive(Debug)]
struct Item {
    document: String,
    admission: Admission,
    ticket: Option<Arc<Ticket>>,
}

/// So often it is looked how far another process is.
const LOOK: Duration = Duration::from_secs(1);

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
    /// Watches what was decided of documents of a space; of one that is gone there is no scope.
    pub(crate) async fn watch(
        store: Store,
        scope: Option<Scope>,
        submitted: Vec<Submitted>,
    ) -> Result<Self, Error> {
        let (sender, changes) = watch::channel(0);
        let is_here = scope
            .as_ref()
            .is_some_and(|scope| store.is_mine(scope.key().number()));
        let mut items = Vec::with_capacity(submitted.len());
        for Submitted { id, admission } in submitted {
            let ticket = admission.version().map(|version| {
                // Where somebody else does the work, nobody writes on the board here.
                let ticket = if is_here {
                    store.board().ticket(version)
                } else {
                    Arc::default()
                };
                ticket.listen(sender.clone());
                ticket
            });
            items.push(Item {
                document: id,
                admission,
                ticket,
            });
        }
        let ingestion = Self {
            store,
            scope,
            items,
            is_here,
            changes,
        };
        // Some may have been done before there was a ticket, as before a restart.
        ingestion.look().await?;
        Ok(ingestion)
    }

    /// Looks into the ledger how far it is.
    async fn look(&self) -> Result<(), Error> {
        let waiting = |item: &&Item| item.outcome().is_none();
        let versions: Vec<i64> = self
            .items
            .iter()
            .filter(waiting)
            .filter_map(|item| item.admission.version())
            .collect();
        let fates = match &self.scope {
            Some(_) => self.store.ledger().fates(&versions).await?,
            None => HashMap::new(),
        };
        for item in &self.items {
            let (Some(ticket), Some(version)) = (&item.ticket, item.admission.version()) else {
                continue;
            };
            let outcome = match fates.get(&version) {
                _ if ticket.outcome().is_some() => continue,
                None => Err(superseded()),
                Some(fate) => match fate.state {
                    DocumentState::Ready => Ok(()),
                    DocumentState::Failed => Err(fate.failure.clone().unwrap_or_else(superseded)),
                    DocumentState::Stored => continue,
                    DocumentState::Indexing => {
                        ticket.reach(Step::Indexing);
                        continue;
                    }
                },
            };
            ticket.settle(outcome.clone());
            if self.is_here {
                self.store.board().settle(version, outcome);
            }
        }
        Ok(())
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
        self.progress().is_done()
    }

    /// Waits until something may have changed since the last call. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn changed(&mut self) -> Result<(), Error> {
        if !self.is_here {
            sleep(LOOK).await;
            return self.look().await;
        }
        if self.changes.changed().await.is_err() {
            // Nobody is left who could change anything.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Waits until it is done, and tells what became of each document.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn finish(&mut self) -> Result<Outcome, Error> {
        while !self.is_done() {
            self.changed().await?;
        }
        let mut results = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let document = match &self.scope {
                Some(scope) => self.store.document(scope, &item.document).await.ok(),
                None => None,
            };
            results.push(DocumentResult {
                id: item.document.clone(),
                failure: item.outcome().and_then(Result::err),
                document,
                unchanged: matches!(item.admission, Admission::Unchanged | Admission::Skipped),
            });
        }
        let epoch = match &self.scope {
            Some(scope) => self.store.epoch(scope).await?,
            None => 0,
        };
        Ok(Outcome { results, epoch })
    }

    /// Stops what is on its way. Documents that searches find already stay.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn cancel(&self) -> Result<(), Error> {
        let fault = Fault::new(Kind::Cancelled, "CANCELLED", "the ingestion was cancelled");
        let failure = Failure::from(&fault);
        let Some(scope) = &self.scope else { return Ok(()) };
        // What somebody else asked for too is not stopped.
        let own = |item: &Item| match (&item.admission, &item.ticket) {
            (Admission::Taken(version), Some(ticket)) if ticket.outcome().is_none() => {
                Some((*version, Arc::clone(ticket)))
            }
            _ => None,
        };
        let (versions, tickets): (Vec<i64>, Vec<_>) = self.items.iter().filter_map(own).unzip();
        self.store.give_up(scope, &versions, &failure).await?;
        for ticket in tickets {
            ticket.settle(Err(failure.clone()));
            ticket.stop.cancel();
        }
        Ok(())
    }
}

// === impl Progress ===

impl Progress {
    /// Whether nothing is on its way any more.
    pub const fn is_done(&self) -> bool {
        self.ready + self.failed == self.total
    }
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
