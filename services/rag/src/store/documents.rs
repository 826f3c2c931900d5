//! What callers do with documents.

use std::future;

use polyphony_error::Fault;
use polyphony_wire::Refusals;

use crate::domain::{Document, DocumentState, Failure, rules};
use crate::ingest::{ConflictPolicy, Ingestion, Submission, id_for};
use crate::ledger::{Admission, Listing, Request, Submitted, Wanted};
use crate::staging::{Kept, Upload};
use crate::{Error, Scope, Store};

/// Which documents are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentListing {
    /// Only those in this state.
    pub state: Option<DocumentState>,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
    /// Only those after this id.
    pub after: String,
    /// At most so many.
    pub most: usize,
}

// === impl Store ===

impl Store {
    /// A document: the version on its way, else the one that searches find, else the one that failed.
    ///
    /// # Errors
    /// NOT_FOUND when there is none.
    pub async fn document(&self, scope: &Scope, id: &str) -> Result<Document, Error> {
        self.ledger().document(scope.key().number(), id).await
    }

    /// Documents by id.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn list_documents(
        &self,
        scope: &Scope,
        listing: &DocumentListing,
    ) -> Result<Vec<Document>, Error> {
        let DocumentListing {
            state,
            tags,
            after,
            most,
        } = listing;
        let listing = Listing {
            state: *state,
            tags,
            after,
            most: *most,
        };
        self.ledger().list_documents(scope.key().number(), &listing).await
    }

    /// Deletes a document: no search that begins after this finds it.
    ///
    /// # Errors
    /// NOT_FOUND when there is none.
    pub async fn delete_document(&self, scope: &Scope, id: &str) -> Result<(), Error> {
        self.check_mine(scope)?;
        self.ledger().delete_document(scope.key().number(), id).await?;
        self.tidy_later(scope.clone());
        Ok(())
    }

    /// Begins to receive the bytes of a document.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no room.
    pub fn upload(&self) -> Result<Upload, Error> {
        self.staging().begin()
    }

    /// Takes documents in, all or none. When it returns, what it has taken survives a crash. A request that was answered
    /// before is told the same again, and its bytes are dropped.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what a document says of itself, RESOURCE_EXHAUSTED when there is no room or too much waits,
    /// FAILED_PRECONDITION when another replica keeps the space.
    pub async fn ingest(
        &self,
        scope: &Scope,
        submissions: Vec<Submission>,
        policy: ConflictPolicy,
        request_id: &str,
    ) -> Result<Ingestion, Error> {
        let decided = |submitted| future::ready(Ok(submitted));
        let submitted = self.admit(scope, submissions, policy, request_id, decided);
        Ingestion::watch(self.clone(), Some(scope.clone()), submitted.await?).await
    }

    /// As [`ingest`](Self::ingest), and does `then` with what was decided, to its end whether or not the caller waits.
    pub(crate) async fn admit<T, F, R>(
        &self,
        scope: &Scope,
        submissions: Vec<Submission>,
        policy: ConflictPolicy,
        request_id: &str,
        then: F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Vec<Submitted>) -> R + Send + 'static,
        R: Future<Output = Result<T, Error>> + Send,
    {
        self.check_mine(scope)?;
        self.check_room()?;
        let mut kept = Vec::with_capacity(submissions.len());
        let mut wanted = Vec::with_capacity(submissions.len());
        for (at, Submission { head, kept: bytes }) in submissions.into_iter().enumerate() {
            let mut refusals = Refusals::at(format!("documents[{at}]."));
            rules::head(&head, &mut refusals);
            refusals.finish()?;
            if bytes.size() == 0 {
                let why = "has no bytes; send at least one, or leave the document out";
                return Err(Fault::invalid(format!("documents[{at}]"), why).into());
            }
            wanted.push(Wanted {
                id: id_for(&head, bytes.digest()),
                head,
                digest: bytes.digest().to_owned(),
                size: bytes.size(),
                staged: bytes.name().to_owned(),
            });
            kept.push(bytes);
        }
        let request = Request {
            id: request_id.to_owned(),
            kind: "ingest",
            digest: scope.key().number().to_string(),
        };
        let (store, of) = (self.clone(), scope.clone());
        // A caller that goes away while the ledger commits must not take the bytes along.
        self.whole(async move { then(store.take(&of, &wanted, kept, policy, &request).await?).await })
            .await
    }

    /// Writes documents to the ledger, which answers for their bytes from then on, and queues them.
    async fn take(
        &self,
        scope: &Scope,
        wanted: &[Wanted],
        mut kept: Vec<Kept>,
        policy: ConflictPolicy,
        request: &Request,
    ) -> Result<Vec<Submitted>, Error> {
        let of = (scope.owner(), scope.key().number());
        let most = self.config().max_waiting;
        let (submitted, new) = self.ledger().submit(of, wanted, policy, request, most).await?;
        if new {
            for (bytes, one) in kept.iter_mut().zip(&submitted) {
                if let Admission::Taken(version) = one.admission {
                    // From here on its file goes when the document is done.
                    bytes.release();
                    self.queue().push(version, scope.key().number());
                }
            }
        }
        crate::metrics::submitted(&submitted);
        Ok(submitted)
    }

    /// Stops versions that are on their way. Those of a space that another replica keeps are stopped in the ledger, where
    /// that one finds it before their next step.
    pub(crate) async fn give_up(
        &self,
        scope: &Scope,
        versions: &[i64],
        failure: &Failure,
    ) -> Result<(), Error> {
        self.ledger().fail(versions, failure).await?;
        for version in versions {
            self.board().settle(*version, Err(failure.clone()));
        }
        if self.is_mine(scope.key().number()) {
            self.tidy_later(scope.clone());
        }
        Ok(())
    }
}
