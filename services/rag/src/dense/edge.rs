//! Qdrant's index in this process, by `qdrant-edge`: a shard for each embedding model.
//!
//! The crate gives no service around its index, so what a server would do is done here. It does not read its log of
//! changes again when it opens, so a change counts only once it was flushed; and it never cuts that log, so it is cut here
//! while the shard is closed. It panics where a flush fails, so every call is guarded and a shard that panicked is opened
//! anew. It writes through memory maps of sparse files, and a full disk would end the process there: so room is looked for
//! before each write, and some is always left (`rag.min_free`).

mod making;
mod point;
mod shard;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::{Dense, DenseConfig, Nearest, index_name};
use crate::Error;
use crate::fuse::Scored;
use crate::ledger::Stored;
use crate::scope::Scope;
use shard::Shard;

/// The indexes of a folder. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    config: DenseConfig,
    min_free: u64,
    shards: Mutex<HashMap<String, Arc<Shard>>>,
}

// === impl Edge ===

impl Edge {
    /// The indexes in this folder.
    pub(crate) fn new(folder: PathBuf, config: DenseConfig, min_free: u64) -> Self {
        Self {
            inner: Arc::new(Inner {
                folder,
                config,
                min_free,
                shards: Mutex::default(),
            }),
        }
    }

    fn shard(&self, scope: &Scope) -> Arc<Shard> {
        let name = index_name(scope.embedding_model());
        let mut shards = self.inner.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let shard = shards.entry(name).or_insert_with_key(|name| {
            let folder = self.inner.folder.join(name);
            Arc::new(Shard::new(folder, self.inner.config.clone(), self.inner.min_free))
        });
        Arc::clone(shard)
    }

    /// Runs what blocks on a thread for that.
    fn run<T: Send + 'static>(
        &self,
        scope: &Scope,
        work: impl FnOnce(&Shard) -> Result<T, Error> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Error>> {
        let shard = self.shard(scope);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&shard)).await;
            done.unwrap_or_else(|panic| Err(Error::index("dense", "working", panic)))
        })
    }
}

impl Dense for Edge {
    fn upsert<'a>(&'a self, scope: &'a Scope, passages: &'a [Stored]) -> BoxFuture<'a, Result<(), Error>> {
        let Some(first) = passages.first() else {
            return Box::pin(async { Ok(()) });
        };
        let dimensions = first.vector.len();
        let points = passages
            .iter()
            .map(|passage| point::point(scope, passage))
            .collect();
        self.run(scope, move |shard| shard.upsert(dimensions, points))
    }

    fn remove<'a>(&'a self, scope: &'a Scope, keys: &'a [i64]) -> BoxFuture<'a, Result<(), Error>> {
        if keys.is_empty() {
            return Box::pin(async { Ok(()) });
        }
        let keys = keys.to_vec();
        self.run(scope, move |shard| shard.remove(&keys))
    }

    fn search<'a>(
        &'a self,
        scope: &'a Scope,
        nearest: Nearest<'a>,
    ) -> BoxFuture<'a, Result<Vec<Scored>, Error>> {
        let filter = point::filter(scope, nearest.filter);
        let Nearest {
            vector, limit, exact, ..
        } = nearest;
        let vector = vector.to_vec();
        self.run(scope, move |shard| shard.search(vector, filter?, limit, exact))
    }

    fn keys<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        let filter = point::filter(scope, &crate::domain::Filter::default());
        self.run(scope, move |shard| shard.keys(&filter?))
    }

    fn optimize<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<(), Error>> {
        self.run(scope, Shard::optimize)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}
