//! A Qdrant server as the index of vectors, by `qdrant-client`: a collection for each embedding model.
//!
//! Several replicas may share the server: numbers of passages come from one ledger, and a space is written by the replica
//! that keeps it. Every change waits until the server has it for good. Points are deleted by number and never by a filter
//! (Qdrant issue 9424: such changes can be lost). The key of the server is in no log: errors are told by their code and
//! message alone, for the client's own text prints the metadata of the answer.

mod request;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use polyphony_error::Fault;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::{
    DeletePointsBuilder, PointId, PointsIdsList, ScrollPointsBuilder, UpsertPointsBuilder,
};
use qdrant_client::{Qdrant, QdrantError};
use tonic::Code;

use super::{Dense, DenseConfig, Nearest, index_name};
use crate::Error;
use crate::fuse::Scored;
use crate::ledger::Stored;
use crate::scope::Scope;

/// The index on a server.
pub(crate) struct Server {
    client: Qdrant,
    config: DenseConfig,
    /// Collections that are known to be there.
    known: Mutex<HashSet<String>>,
}

/// Points in one call: a message has a limit of a few megabytes.
const BATCH: usize = 256;
/// Numbers in one page.
const PAGE: u32 = 10_000;
const INDEX: &str = "dense";

// === impl Server ===

impl Server {
    /// A client of the server that the configuration names. It connects when it is first used.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub(crate) fn new(config: &DenseConfig) -> Result<Self, Error> {
        let mut client = Qdrant::from_url(&config.url)
            .timeout(config.timeout.get())
            .connect_timeout(config.timeout.get());
        if let Some(key) = &config.api_key {
            client = client.api_key(key.expose().as_str());
        }
        // The check prints to the standard output.
        let client = client
            .skip_compatibility_check()
            .build()
            .map_err(failed("connecting"))?;
        Ok(Self {
            client,
            config: config.clone(),
            known: Mutex::default(),
        })
    }

    fn collection(&self, scope: &Scope) -> String {
        format!(
            "{}-{}",
            self.config.collection,
            index_name(scope.embedding_model())
        )
    }

    /// Makes the collection where it is missing.
    async fn ensure(&self, name: &str, dimensions: usize) -> Result<(), Error> {
        if self.is_known(name) {
            return Ok(());
        }
        let there = self
            .client
            .collection_exists(name)
            .await
            .map_err(failed("looking"))?;
        if !there {
            let made = self
                .client
                .create_collection(request::collection(name, dimensions, &self.config))
                .await;
            match made {
                Ok(_) => {}
                // Another replica was faster.
                Err(QdrantError::ResponseError { status }) if status.code() == Code::AlreadyExists => {}
                Err(error) => return Err(failed("making a collection")(error)),
            }
        }
        for field in request::fields(name) {
            // Asking for one that is there does nothing.
            self.client
                .create_field_index(field)
                .await
                .map_err(failed("making an index of a field"))?;
        }
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
        Ok(())
    }

    fn is_known(&self, name: &str) -> bool {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(name)
    }

    /// What the server answered is an error; a collection that is gone is looked for anew.
    fn lost(&self, name: &str, doing: &'static str, error: QdrantError) -> Error {
        if is_missing(&error) {
            self.known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(name);
        }
        failed(doing)(error)
    }
}

impl Dense for Server {
    fn upsert<'a>(&'a self, scope: &'a Scope, passages: &'a [Stored]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Some(first) = passages.first() else {
                return Ok(());
            };
            let name = self.collection(scope);
            self.ensure(&name, first.vector.len()).await?;
            for passages in passages.chunks(BATCH) {
                let points: Vec<_> = passages
                    .iter()
                    .map(|passage| request::point(scope, passage))
                    .collect();
                self.client
                    .upsert_points(UpsertPointsBuilder::new(&name, points).wait(true))
                    .await
                    .map_err(|error| self.lost(&name, "writing", error))?;
            }
            Ok(())
        })
    }

    fn remove<'a>(&'a self, scope: &'a Scope, keys: &'a [i64]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let name = self.collection(scope);
            for keys in keys.chunks(PAGE as usize) {
                let ids = keys
                    .iter()
                    .map(|&key| PointId::from(key.unsigned_abs()))
                    .collect();
                let request = DeletePointsBuilder::new(&name)
                    .points(PointsIdsList { ids })
                    .wait(true);
                match self.client.delete_points(request).await {
                    Ok(_) => {}
                    // Nothing is in what is not there.
                    Err(error) if is_missing(&error) => return Ok(()),
                    Err(error) => return Err(failed("deleting")(error)),
                }
            }
            Ok(())
        })
    }

    fn search<'a>(
        &'a self,
        scope: &'a Scope,
        nearest: Nearest<'a>,
    ) -> BoxFuture<'a, Result<Vec<Scored>, Error>> {
        Box::pin(async move {
            let name = self.collection(scope);
            let found = match self
                .client
                .query(request::query(&name, scope, nearest, &self.config))
                .await
            {
                Ok(found) => found.result,
                // A space without documents may be the first of its model.
                Err(error) if is_missing(&error) => Vec::new(),
                Err(error) => return Err(failed("searching")(error)),
            };
            let mut scored = Vec::with_capacity(found.len());
            for point in found {
                let key = key_of(point.id)?;
                let score = point.score;
                scored.push(Scored { key, score });
            }
            Scored::sort(&mut scored);
            Ok(scored)
        })
    }

    fn keys<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        Box::pin(async move {
            let name = self.collection(scope);
            let filter = request::filter(scope, &crate::domain::Filter::default());
            let mut keys = Vec::new();
            let mut offset: Option<PointId> = None;
            loop {
                let mut request = ScrollPointsBuilder::new(&name)
                    .filter(filter.clone())
                    .limit(PAGE)
                    .with_payload(false)
                    .with_vectors(false);
                if let Some(offset) = offset {
                    request = request.offset(offset);
                }
                let page = match self.client.scroll(request).await {
                    Ok(page) => page,
                    Err(error) if is_missing(&error) => return Ok(Vec::new()),
                    Err(error) => return Err(failed("listing")(error)),
                };
                for point in page.result {
                    keys.push(key_of(point.id)?);
                }
                offset = page.next_page_offset;
                if offset.is_none() {
                    keys.sort_unstable();
                    return Ok(keys);
                }
            }
        })
    }

    /// The server does that by itself.
    fn optimize<'a>(&'a self, _scope: &'a Scope) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.client
                .health_check()
                .await
                .map(drop)
                .map_err(failed("asking for its health"))
        })
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn key_of(id: Option<PointId>) -> Result<i64, Error> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Num(number)) => i64::try_from(number).ok(),
        Some(PointIdOptions::Uuid(_)) | None => None,
    }
    .ok_or_else(|| Error::damaged("the index of vectors has a point that is no passage"))
}

fn is_missing(error: &QdrantError) -> bool {
    matches!(error, QdrantError::ResponseError { status } if status.code() == Code::NotFound)
}

/// What went wrong at the server, in words without metadata.
fn failed(doing: &'static str) -> impl Fn(QdrantError) -> Error {
    move |error| match error {
        QdrantError::ResponseError { status } | QdrantError::ResourceExhaustedError { status, .. } => {
            let told = format!("{}: {}", status.code(), status.message());
            match status.code() {
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                    let text = "the Qdrant server does not answer; try again, or look into the log of rag";
                    Error::Request(Fault::unavailable("QDRANT_UNAVAILABLE", text).because(told))
                }
                Code::ResourceExhausted => {
                    let text = "the Qdrant server takes no more for now; try again later";
                    let retry = Some(std::time::Duration::from_secs(5));
                    Error::Request(Fault::exhausted("QDRANT_FULL", "rag.dense", text, retry).because(told))
                }
                _ => Error::index(INDEX, doing, told),
            }
        }
        other => Error::index(INDEX, doing, other.to_string()),
    }
}

#[cfg(test)]
mod tests;
