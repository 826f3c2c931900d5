//! How the indexes follow the ledger: what is new is written, what is gone is taken away, and what differs is mended.
//!
//! All of it is done under the space's lock, and looks into the ledger after it has it; so an index never gets a version
//! that nobody wants any more, and what waited for the lock finds its work done by who had it before.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

use crate::ingest::worker;
use crate::ledger::Stored;
use crate::{Error, Scope, Store, metrics};

/// Passages in one write to both indexes.
const BATCH: usize = 2_000;
/// After so long what could not be done is tried again; twice as long each time, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// So often requests that are too old to be asked again are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// What an earlier process has left.
#[derive(Debug)]
pub(super) struct Left {
    /// Versions that wait to be read, and their spaces.
    waiting: Vec<(i64, i64)>,
    /// Spaces to look after, those with work first.
    spaces: Vec<i64>,
}

// === impl Store ===

impl Store {
    /// At the start: what is on the disk and in no ledger goes. Gives what is left to do.
    pub(super) async fn mend(&self) -> Result<Left, Error> {
        self.staging().retain(&self.ledger().staged().await?)?;
        let (live, gone) = (
            self.ledger().live_spaces().await?,
            self.ledger().gone_spaces().await?,
        );
        let mut known: Vec<i64> = live.iter().chain(&gone).copied().collect();
        known.sort_unstable();
        let lexical = self.lexical().clone();
        blocking(move || lexical.retain(&known)).await?;
        let half = self.ledger().half_indexed().await?.into_iter();
        let going = self.ledger().gone().await?.into_iter();
        let mut seen = HashSet::new();
        let spaces = half.chain(going).map(|(_, space)| space).chain(gone).chain(live);
        // Now, while nothing new can wait: what is queued twice is read twice.
        let waiting = self.ledger().waiting().await?.into_iter();
        Ok(Left {
            waiting: waiting.filter(|(_, space)| self.is_mine(*space)).collect(),
            spaces: spaces
                .filter(|space| self.is_mine(*space) && seen.insert(*space))
                .collect(),
        })
    }

    /// Starts the workers, and the work that was left.
    pub(super) fn begin_work(&self, left: Left) {
        let Left { waiting, spaces } = left;
        for (version, space) in waiting {
            self.queue().push(version, space);
        }
        for _ in 0..self.config().workers() {
            self.tasks().spawn(worker::run(self.clone()));
        }
        self.tasks().spawn(forget(self.clone()));
        let store = self.clone();
        let left: Arc<[i64]> = spaces.into();
        self.tasks().spawn(async move {
            let resume = |store: Self| -> BoxFuture<'static, Result<(), Error>> {
                let left = Arc::clone(&left);
                Box::pin(async move { store.resume(&left).await })
            };
            store.persist("finishing work that was left", resume).await;
        });
    }

    /// Finishes what was half indexed, and compares every space with its indexes.
    async fn resume(&self, left: &[i64]) -> Result<(), Error> {
        for &space in left {
            if self.stop().is_cancelled() {
                return Ok(());
            }
            if let Some(owned) = self.ledger().at_work(space).await? {
                let scope = Scope::of(owned);
                self.settle(&scope).await?;
                self.tidy(&scope).await?;
            }
        }
        Ok(())
    }

    /// Makes ready whatever of the space is written to the ledger and not yet in both indexes.
    pub(crate) async fn settle(&self, scope: &Scope) -> Result<(), Error> {
        let room = self.room(scope);
        let _writing = room.write().await;
        self.ensure_locked(scope).await?;
        let mut done = Vec::new();
        loop {
            let versions = self.ledger().indexing_in(scope.key().number(), BATCH).await?;
            if versions.is_empty() {
                return Ok(());
            }
            if versions == done {
                // Without a pause this would go on for ever.
                return Err(Error::damaged("documents that were made ready are not"));
            }
            let begun = Instant::now();
            let passages = self.ledger().passages_of(&versions).await?;
            self.write_indexes(scope, &passages, &[]).await?;
            crate::fault::point("before_ready");
            let ready = self.ledger().make_ready(scope.key().number(), &versions).await?;
            crate::fault::point("after_ready");
            metrics::indexed(passages.len(), begun.elapsed());
            for version in ready {
                self.board().settle(version, Ok(()));
                metrics::done("ready");
            }
            // What they replace goes at once, so that it does not take places in lists of candidates.
            self.tidy_locked(scope).await?;
            self.optimize_later(scope.clone());
            done = versions;
        }
    }

    /// Forgets what is gone of the space, and the space itself if it is.
    pub(crate) async fn tidy(&self, scope: &Scope) -> Result<(), Error> {
        let room = self.room(scope);
        let _writing = room.write().await;
        self.tidy_locked(scope).await?;
        let gone = self.ledger().gone_spaces().await?;
        if gone.binary_search(&scope.key().number()).is_ok() {
            let keys = self.dense().keys(scope).await?;
            self.dense().remove(scope, &keys).await?;
            let (lexical, of) = (self.lexical().clone(), scope.clone());
            blocking(move || lexical.delete(&of)).await?;
            self.ledger().forget_space(scope.key().number()).await?;
            self.forget_room(scope);
        }
        Ok(())
    }

    /// As [`tidy`](Self::tidy), by itself and until it is done.
    pub(crate) fn tidy_later(&self, scope: Scope) {
        let store = self.clone();
        self.tasks().spawn(async move {
            let tidy = |store: Self| -> BoxFuture<'static, Result<(), Error>> {
                let scope = scope.clone();
                Box::pin(async move { store.tidy(&scope).await })
            };
            store.persist("forgetting documents", tidy).await;
        });
    }

    async fn tidy_locked(&self, scope: &Scope) -> Result<(), Error> {
        let gone = self.ledger().gone_in(scope.key().number()).await?;
        if gone.is_empty() {
            return Ok(());
        }
        let mut keys = Vec::new();
        for (version, _) in &gone {
            keys.extend(self.ledger().keys_of(*version).await?);
        }
        if !keys.is_empty() {
            self.ensure_locked(scope).await?;
            self.write_indexes(scope, &[], &keys).await?;
        }
        crate::fault::point("before_forget");
        let versions: Vec<i64> = gone.iter().map(|(version, _)| *version).collect();
        self.ledger().forget(&versions).await?;
        for (version, staged) in &gone {
            self.staging().delete(staged);
            self.board().settle(*version, Err(crate::ingest::superseded()));
        }
        Ok(())
    }

    /// Compares both indexes with the ledger and mends them, unless that was done and nothing went wrong since.
    pub(crate) async fn ensure(&self, scope: &Scope) -> Result<(), Error> {
        let room = self.room(scope);
        if room.is_sound() {
            return Ok(());
        }
        let (store, of) = (self.clone(), scope.clone());
        self.whole(async move {
            let _writing = room.write().await;
            store.ensure_locked(&of).await
        })
        .await
    }

    /// Does something to its end, whether or not its caller waits for it. A lock that went with a caller would be free while
    /// a thread still writes.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.tasks().spawn(work).await;
        done.unwrap_or_else(|panic| Err(Error::damaged(format!("a task of the store ended: {panic}"))))
    }

    pub(super) async fn ensure_locked(&self, scope: &Scope) -> Result<(), Error> {
        let room = self.room(scope);
        if room.is_sound() {
            return Ok(());
        }
        let space = scope.key().number();
        let (lexical, of) = (self.lexical().clone(), scope.clone());
        blocking(move || lexical.make(&of)).await?;
        let (lexical, of) = (self.lexical().clone(), scope.clone());
        let by_words = blocking(move || lexical.keys(&of)).await?;
        let by_vectors = self.dense().keys(scope).await?;
        let all = self.ledger().all_keys(space).await?;
        let ready = self.ledger().ready_keys(space).await?;
        let (missing_words, missing_vectors) = (without(&ready, &by_words), without(&ready, &by_vectors));
        let (orphan_words, orphan_vectors) = (without(&by_words, &all), without(&by_vectors, &all));
        if !missing_words.is_empty() || !missing_vectors.is_empty() {
            tracing::warn!(
                space = scope.space(),
                words = missing_words.len(),
                vectors = missing_vectors.len(),
                "passages are missing from an index and are written anew"
            );
        }
        for keys in missing_vectors.chunks(BATCH) {
            let passages = self.ledger().ready_passages_of(space, keys).await?;
            self.dense().upsert(scope, &passages).await?;
        }
        self.dense().remove(scope, &orphan_vectors).await?;
        for keys in missing_words.chunks(BATCH) {
            let passages = self.ledger().ready_passages_of(space, keys).await?;
            self.write_words(scope, passages, Vec::new()).await?;
        }
        if !orphan_words.is_empty() {
            self.write_words(scope, Vec::new(), orphan_words).await?;
        }
        room.set_sound(true);
        Ok(())
    }

    /// Vectors first, then words, each for good before the next.
    async fn write_indexes(&self, scope: &Scope, add: &[Stored], remove: &[i64]) -> Result<(), Error> {
        let written = async {
            self.check_room()?;
            for passages in add.chunks(BATCH) {
                crate::fault::point("before_dense");
                self.dense().upsert(scope, passages).await?;
                crate::fault::point("before_words");
                self.write_words(scope, passages.to_vec(), Vec::new()).await?;
            }
            self.dense().remove(scope, remove).await?;
            if !remove.is_empty() {
                crate::fault::point("between_removals");
                self.write_words(scope, Vec::new(), remove.to_vec()).await?;
            }
            Ok(())
        };
        let written = written.await;
        if written.is_err() {
            self.room(scope).set_sound(false);
        }
        written
    }

    async fn write_words(&self, scope: &Scope, add: Vec<Stored>, remove: Vec<i64>) -> Result<(), Error> {
        let (lexical, of) = (self.lexical().clone(), scope.clone());
        blocking(move || lexical.write(&of, &add, &remove)).await
    }

    fn optimize_later(&self, scope: Scope) {
        let store = self.clone();
        self.tasks().spawn(async move {
            if let Err(error) = store.dense().optimize(&scope).await {
                let error = polyphony_error::chain(&error).to_string();
                tracing::warn!(error, "an index of vectors could not be made faster");
            }
        });
    }

    /// Does something until it is done or the store closes: the promise was given.
    pub(crate) async fn persist(
        &self,
        doing: &'static str,
        work: impl Fn(Self) -> BoxFuture<'static, Result<(), Error>>,
    ) {
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(error) = work(self.clone()).await else {
                return;
            };
            let error = polyphony_error::chain(&error).to_string();
            tracing::warn!(error, "{doing} failed and is tried again");
            tokio::select! {
                () = self.stop().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

/// Forgets requests that are too old to be asked again, now and then.
async fn forget(store: Store) {
    loop {
        if let Err(error) = store.ledger().forget_requests().await {
            let error = polyphony_error::chain(&error).to_string();
            tracing::warn!(error, "old requests are not forgotten yet");
        }
        tokio::select! {
            () = store.stop().cancelled() => return,
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

/// What of the one is not in the other; both are in order.
fn without(these: &[i64], those: &[i64]) -> Vec<i64> {
    these
        .iter()
        .copied()
        .filter(|key| those.binary_search(key).is_err())
        .collect()
}

/// Runs what blocks on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(Error::damaged(format!("a thread of the store ended: {panic}"))))
}
