//! The workers: they take versions that wait, read them, have them embedded, write their passages to the ledger, and see
//! them into both indexes.
//!
//! Small documents of one space go together, so that one call of the model, one transaction and one commit of each index
//! serve them all. What fails here for a reason that may pass, as a full disk, is tried again until it is done. A document
//! that another service cannot read now waits aside, so that it holds up no other, and is tried again for `rag.read_patience`;
//! then it has failed, with that service's words.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use polyphony_error::{Fault, Kind};
use tokio::sync::Notify;

use super::watch::superseded;
use crate::domain::{Failure, Passage, PassageId};
use crate::engine::{Embed, Prepared, Side, Source, Step};
use crate::ledger::{NewPassage, Task, Written};
use crate::store::blocking;
use crate::{Error, Scope, Store, metrics};

/// The versions that wait, in the order they came. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    inner: Arc<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    versions: Mutex<VecDeque<(i64, i64)>>,
    more: Notify,
    /// Since when versions could not be read, for reasons that may pass.
    refused: Mutex<HashMap<i64, Instant>>,
}

/// Why a document could not be read.
enum Unread {
    /// It may be read at another time.
    Now(Fault),
    Ever(Failure),
}

/// So many documents of one space are taken together, if their bytes are not more than these.
const MOST_TOGETHER: usize = 64;
const BYTES_TOGETHER: u64 = 512 << 10;
/// Texts in one call of the model.
const TEXTS: usize = 64;
/// Before a document is read for the second time; twice as long before each time after, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

// === impl Queue ===

impl Queue {
    /// One more waits.
    pub(crate) fn push(&self, version: i64, space: i64) {
        let mut versions = self.inner.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.push_back((version, space));
        drop(versions);
        self.inner.more.notify_one();
    }

    /// Waits for the next.
    async fn next(&self) -> (i64, i64) {
        loop {
            let more = self.inner.more.notified();
            if let Some(next) = self.take(|_| true) {
                // Whoever else waits may look too.
                self.inner.more.notify_one();
                return next;
            }
            more.await;
        }
    }

    /// The next, if it fits.
    fn take(&self, fits: impl Fn((i64, i64)) -> bool) -> Option<(i64, i64)> {
        let mut versions = self.inner.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let next = versions.front().copied().filter(|next| fits(*next))?;
        versions.pop_front();
        Some(next)
    }

    /// A version could not be read. Gives how long it waits aside; none when it has done so for all of `patience`.
    fn pause(&self, version: i64, patience: Duration) -> Option<Duration> {
        let mut refused = self.inner.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = refused.entry(version).or_insert_with(Instant::now).elapsed();
        if waited >= patience {
            refused.remove(&version);
            return None;
        }
        Some(waited.clamp(FIRST_PAUSE, LAST_PAUSE).min(patience - waited))
    }

    /// A version was read, or will not be.
    fn forget(&self, version: i64) {
        let mut refused = self.inner.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.remove(&version);
    }
}

/// Works until the store closes.
pub(crate) async fn run(store: Store) {
    loop {
        let (first, space) = tokio::select! {
            () = store.stop().cancelled() => return,
            next = store.queue().next() => next,
        };
        let mut versions = vec![first];
        // Sizes are known once the tasks are; a few too many only make a batch larger.
        while versions.len() < MOST_TOGETHER
            && let Some((version, _)) = store.queue().take(|(_, of)| of == space)
        {
            versions.push(version);
        }
        for batch in batches(&store, versions).await {
            let work = |store: Store| -> BoxFuture<'static, Result<(), Error>> {
                let batch = batch.clone();
                Box::pin(async move { work(&store, space, batch).await })
            };
            tokio::select! {
                // Whatever is left waits in the ledger for the next start.
                () = store.stop().cancelled() => return,
                () = store.persist("taking in documents", work) => {}
            }
        }
    }
}

/// Versions parted so that the bytes of each part fit together.
async fn batches(store: &Store, versions: Vec<i64>) -> Vec<Vec<i64>> {
    let mut batches: Vec<Vec<i64>> = Vec::new();
    let mut bytes = u64::MAX;
    for version in versions {
        let size = match store.ledger().task(version).await {
            Ok(Some(task)) => task.size,
            // Nothing to do, or nobody knows: it is found out with the others.
            Ok(None) | Err(_) => 0,
        };
        bytes = bytes.saturating_add(size);
        match batches.last_mut() {
            Some(batch) if bytes <= BYTES_TOGETHER => batch.push(version),
            _ => {
                batches.push(vec![version]);
                bytes = size;
            }
        }
    }
    batches
}

/// One batch, from the ledger's word to the indexes, and whoever watches is told. Done again it does only what is left.
async fn work(store: &Store, space: i64, versions: Vec<i64>) -> Result<(), Error> {
    index(store, space, &versions).await?;
    // A commit may take effect though its answer is lost; then the next try finds nothing to do, and nobody was told.
    for version in versions {
        if store.board().is_watched(version) {
            stray(store, version).await?;
        }
    }
    Ok(())
}

async fn index(store: &Store, space: i64, versions: &[i64]) -> Result<(), Error> {
    store.check_room()?;
    let Some(owned) = store.ledger().at_work(space).await? else {
        return Ok(());
    };
    let scope = Scope::of(owned);
    let mut tasks = Vec::new();
    for &version in versions {
        match store.ledger().task(version).await? {
            Some(task) => tasks.push(task),
            None => stray(store, version).await?,
        }
    }
    let mut read = Vec::with_capacity(tasks.len());
    for task in tasks {
        let version = task.version;
        let failure = match prepare(store, &task).await {
            Ok(prepared) => {
                store.queue().forget(version);
                read.push((task, prepared));
                continue;
            }
            Err(Unread::Ever(failure)) => failure,
            Err(Unread::Now(fault)) => {
                let patience = store.config().read_patience.get();
                if let Some(pause) = store.queue().pause(version, patience) {
                    tracing::info!(version, reason = fault.reason, "a document is read again");
                    later(store, version, space, pause);
                    continue;
                }
                Failure::from(&fault)
            }
        };
        store.queue().forget(version);
        fail(store, &scope, version, failure).await?;
    }
    if read.is_empty() {
        return store.settle(&scope).await;
    }
    let written = match embed(store, &scope, read).await {
        Ok(written) => written,
        Err((versions, Error::Request(fault))) if !may_pass(&fault) => {
            for version in versions {
                fail(store, &scope, version, Failure::from(&fault)).await?;
            }
            return Ok(());
        }
        Err((_, error)) => return Err(error),
    };
    crate::fault::point("before_passages");
    let staged: Vec<(i64, String)> = written
        .iter()
        .map(|(staged, one)| (one.version, staged.clone()))
        .collect();
    let written: Vec<Written> = written.into_iter().map(|(_, written)| written).collect();
    let taken = store.ledger().write_passages(&written).await?;
    crate::fault::point("after_passages");
    for version in &taken {
        store.board().step(*version, Step::Indexing);
    }
    // Their passages are in the ledger, so the bytes are needed no longer.
    for (version, staged) in staged {
        if taken.contains(&version) {
            store.staging().delete(&staged);
        }
    }
    store.settle(&scope).await
}

/// A version that waits no longer: it was indexed, failed, or is gone; whoever watches is told which.
async fn stray(store: &Store, version: i64) -> Result<(), Error> {
    use crate::domain::DocumentState::{Failed, Indexing, Ready, Stored};

    let outcome = match store.ledger().version(version).await? {
        None => Err(superseded()),
        Some(document) => match document.state {
            Ready => Ok(()),
            Failed => Err(document.failure.unwrap_or_else(superseded)),
            Stored | Indexing => return Ok(()),
        },
    };
    store.board().settle(version, outcome);
    Ok(())
}

async fn fail(store: &Store, scope: &Scope, version: i64, failure: Failure) -> Result<(), Error> {
    tracing::info!(
        version,
        reason = failure.reason,
        "a document could not be taken in"
    );
    // Its bytes go with the next sweep or when the version is forgotten; the row says why it failed.
    let staged = store.ledger().task(version).await?.map(|task| task.staged);
    store.give_up(scope, &[version], &failure).await?;
    if let Some(staged) = staged {
        store.staging().delete(&staged);
    }
    metrics::done("failed");
    Ok(())
}

/// Has a version wait aside before its turn comes again; if nobody wants it any more, that is found out at once.
fn later(store: &Store, version: i64, space: i64, pause: Duration) {
    let (waiting, ticket) = (store.clone(), store.board().ticket(version));
    store.tasks().spawn(async move {
        tokio::select! {
            // Whatever is left waits in the ledger for the next start.
            () = waiting.stop().cancelled() => return,
            () = ticket.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
        waiting.queue().push(version, space);
    });
}

/// Reads one document.
async fn prepare(store: &Store, task: &Task) -> Result<Prepared, Unread> {
    let ticket = store.board().ticket(task.version);
    let board = store.board().clone();
    let version = task.version;
    let step = move |step| board.step(version, step);
    step(Step::Parsing);
    let path = store.staging().path(&task.staged);
    let source = Source {
        path: &path,
        size_bytes: task.size,
        head: &task.head,
        chunking: task.chunking,
        language: task.language.as_deref(),
        embedding_model: &task.model,
    };
    let read = tokio::select! {
        () = ticket.stop.cancelled() => return Err(Unread::Ever(superseded())),
        read = store.prepare().prepare(source, &step) => read,
    };
    match read.and_then(checked) {
        Ok(prepared) => Ok(prepared),
        Err(fault) if may_pass(&fault) => Err(Unread::Now(fault)),
        Err(fault) => {
            if fault.kind.is_ours() {
                tracing::error!(error = %polyphony_error::chain(&fault), "a document could not be read");
            }
            Err(Unread::Ever(Failure::from(&fault)))
        }
    }
}

/// A document without passages cannot be found, so it is not taken in.
fn checked(mut prepared: Prepared) -> Result<Prepared, Fault> {
    prepared
        .passages
        .retain(|passage| !passage.text.trim().is_empty());
    if prepared.passages.is_empty() {
        let text = "there is no text in it to find; send one that has some";
        return Err(Fault::new(Kind::InvalidArgument, "DOCUMENT_WITHOUT_TEXT", text));
    }
    for (ordinal, passage) in (0..).zip(&mut prepared.passages) {
        passage.ordinal = ordinal;
    }
    Ok(prepared)
}

/// Whether the same may go through at another time.
fn may_pass(fault: &Fault) -> bool {
    matches!(
        fault.kind,
        Kind::Unavailable | Kind::ResourceExhausted | Kind::DeadlineExceeded | Kind::Aborted
    )
}

type Embedded = Result<Vec<(String, Written)>, (Vec<i64>, Error)>;

/// Makes the vectors of documents; what the space has already is taken from there.
async fn embed(store: &Store, scope: &Scope, read: Vec<(Task, Prepared)>) -> Embedded {
    let versions: Vec<i64> = read.iter().map(|(task, _)| task.version).collect();
    for version in &versions {
        store.board().step(*version, Step::Embedding);
    }
    let embedded = async {
        let model = store.models().embedder(scope.embedding_model()).await?;
        let mut all = Vec::with_capacity(read.len());
        for (task, prepared) in read {
            let known = store.ledger().known_passages(task.space, &task.document).await?;
            let passages = prepared.passages.iter().map(|passage| {
                let id = PassageId::of(&task.space_id, &task.document, passage.ordinal, &passage.text);
                let known = known.get(&id).filter(|known| {
                    let text = embedded_text(&known.about.title, &known.passage);
                    text == embedded_text(&prepared.title, passage)
                });
                NewPassage {
                    id,
                    passage: passage.clone(),
                    vector: known.map(|known| known.vector.clone()).unwrap_or_default(),
                }
            });
            let passages = passages.collect();
            let written = Written {
                version: task.version,
                prepared,
                passages,
            };
            all.push((task.staged, written));
        }
        blocking(move || fill(&*model, all)).await
    };
    embedded.await.map_err(|error: Error| (versions, error))
}

/// Makes the vectors that are missing, many texts at a time whatever document they are of.
fn fill(model: &dyn Embed, mut all: Vec<(String, Written)>) -> Result<Vec<(String, Written)>, Error> {
    let mut missing: Vec<(String, &mut NewPassage)> = Vec::new();
    for (_, written) in &mut all {
        let title = &written.prepared.title;
        let new = written.passages.iter_mut().filter(|new| new.vector.is_empty());
        missing.extend(new.map(|new| (embedded_text(title, &new.passage), new)));
    }
    for group in missing.chunks_mut(TEXTS) {
        let texts: Vec<&str> = group.iter().map(|(text, _)| text.as_str()).collect();
        let vectors = model.embed(&texts, Side::Passage)?;
        if vectors.len() != group.len() || vectors.iter().any(|vector| vector.len() != model.dimensions()) {
            return Err(Error::damaged(
                "an embedding model gave other vectors than it was asked for",
            ));
        }
        for ((_, new), vector) in group.iter_mut().zip(vectors) {
            new.vector = vector;
        }
    }
    Ok(all)
}

/// What is embedded of a passage: title and headings say what it is about.
pub(crate) fn embedded_text(title: &str, passage: &Passage) -> String {
    let mut text = String::with_capacity(title.len() + passage.text.len() + 2);
    let headings = passage
        .headings
        .iter()
        .map(String::as_str)
        .filter(|heading| *heading != title);
    for part in std::iter::once(title)
        .chain(headings)
        .filter(|part| !part.is_empty())
    {
        text.push_str(part);
        text.push('\n');
    }
    text.push_str(&passage.text);
    text
}
