//! The watchers of ingestions: each takes one from the queue, follows its documents through the ledger until the last is done,
//! and writes what became of them.

use std::sync::Arc;
use std::time::Duration;

use polyphony_config::ByteSize;
use polyphony_error::{Fault, chain};
use polyphony_jobs::{Held, Priority, Queue, State, Vigil, Why};
use polyphony_proto::rag::v1 as pb;
use prost::Message;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::submit::{self, Admitted};
use super::told;
use crate::convert::{document, names};
use crate::ingest::{DocumentResult, Ingestion, Outcome, Progress};
use crate::{Error, Store};

/// Ingestions watched at once. Each one's lease costs a write now and then; documents are worked on in the order they came,
/// so those behind have nothing to tell.
pub(crate) const MOST_WATCHED: usize = 256;
/// Besides these, so many of which nothing is on its way: done already, or to be cancelled.
const MOST_URGENT: usize = 16;
/// After a failure that may pass, before the ingestion is watched anew.
const PAUSE: Duration = Duration::from_secs(1);
/// To see how far an ingestion is takes a look at each document; between two looks passes so much time for each.
const PAUSE_OF_ONE: Duration = Duration::from_micros(10);
/// Of the largest message, what an operation needs besides its results.
const MARGIN: usize = 64 << 10;

/// Why an ingestion is watched no more, besides its being done.
enum Ended {
    /// It is to stop.
    Stopped(Why),
    /// It could not be followed.
    Broken(Error),
    /// It is done, and what became of it cannot be told.
    Untold(Fault),
}

/// Watches ingestions until it is told to stop. Results have to fit into a message of `largest` bytes.
pub(crate) async fn work(queue: Queue, store: Store, largest: ByteSize, stop: CancellationToken) {
    let watchers = TaskTracker::new();
    tokio::join!(
        claim(
            &queue,
            Priority::Low,
            MOST_WATCHED,
            &watchers,
            &store,
            largest,
            &stop
        ),
        claim(
            &queue,
            Priority::High,
            MOST_URGENT,
            &watchers,
            &store,
            largest,
            &stop
        ),
    );
    watchers.close();
    watchers.wait().await;
}

/// Gives each job of this priority and above a watcher, of which there are at most so many.
async fn claim(
    queue: &Queue,
    least: Priority,
    most: usize,
    watchers: &TaskTracker,
    store: &Store,
    largest: ByteSize,
    stop: &CancellationToken,
) {
    let places = Arc::new(Semaphore::new(most));
    // It is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some(held) = queue.next_of(least, stop).await else {
            return;
        };
        let (store, stop) = (store.clone(), stop.clone());
        watchers.spawn(async move {
            one(held, &store, largest, &stop).await;
            drop(place);
        });
    }
}

async fn one(held: Held, store: &Store, largest: ByteSize, stop: &CancellationToken) {
    let ended = match watch(&held, store, largest, stop).await {
        Ok(response) => held.succeed(&response.encode_to_vec()).await,
        Err(Ended::Stopped(why)) => held.let_go(why).await,
        Err(Ended::Broken(error)) if error.may_pass() => {
            tracing::warn!(error = %chain(&error), "an ingestion cannot be followed, and is tried again");
            sleep(PAUSE).await;
            held.give_back().await
        }
        Err(Ended::Broken(error)) => {
            let fault = Fault::from(error);
            if fault.kind.is_ours() {
                tracing::error!(error = %chain(&fault), "an ingestion cannot be followed");
            }
            held.fail(fault).await
        }
        Err(Ended::Untold(fault)) => held.fail(fault).await,
    };
    if let Err(error) = ended {
        tracing::warn!(error = %chain(&error), "the end of an ingestion is not written");
    }
}

async fn watch(
    held: &Held,
    store: &Store,
    largest: ByteSize,
    stop: &CancellationToken,
) -> Result<pb::IngestResponse, Ended> {
    let Admitted {
        space,
        space_id,
        documents,
    } = submit::read(held.payload()).map_err(Error::from)?;
    // Whoever else has got a space of this number, as in a new ledger beside an old queue, is not told about.
    let scope = store.scope_again(space, &held.job().owner, &space_id).await?;
    let mut ingestion = Ingestion::watch(store.clone(), scope, documents).await?;
    let mut vigil = Vigil::new(held, stop);
    let mut is_running = false;
    loop {
        let progress = ingestion.progress();
        say(held, &space_id, &progress);
        if progress.is_done() && !held.is_cancelled() {
            break;
        }
        let has_begun = progress.step.is_some() || progress.ready + progress.failed > 0;
        if has_begun && !is_running {
            is_running = true;
            if let Err(error) = held.advance(State::Running).await {
                tracing::warn!(%error, "an ingestion at work is not told as such");
            }
        }
        tokio::select! {
            changed = ingestion.changed() => changed?,
            why = vigil.next() => {
                if why == Why::Cancelled {
                    crate::fault::point("before_cancel");
                    ingestion.cancel().await?;
                    say(held, &space_id, &ingestion.progress());
                }
                return Err(Ended::Stopped(why));
            }
        }
        sleep(PAUSE_OF_ONE.saturating_mul(u32::try_from(progress.total).unwrap_or(u32::MAX))).await;
    }
    crate::fault::point("before_outcome");
    response(&space_id, ingestion.finish().await?, largest)
}

/// Says how far an ingestion is.
fn say(held: &Held, space: &str, progress: &Progress) {
    if let Err(error) = held.say(told(space, progress)) {
        tracing::warn!(%error, "the progress of an ingestion is not told");
    }
}

/// What became of each document, in one message.
fn response(space: &str, outcome: Outcome, largest: ByteSize) -> Result<pb::IngestResponse, Ended> {
    let Outcome { results, epoch } = outcome;
    let most = largest.as_usize().saturating_sub(MARGIN);
    let mut room = most;
    let results = results.into_iter().map(|result| {
        let mut wire = self::result(space, result);
        // What is said of documents may be more than a message holds; GetDocument has it too.
        if wire.encoded_len() > room {
            wire.document = None;
        }
        room = room.saturating_sub(wire.encoded_len() + 8);
        wire
    });
    let response = pb::IngestResponse {
        results: results.collect(),
        index_epoch: epoch,
    };
    if response.encoded_len() > most {
        let text = format!(
            "what became of its documents takes more than one message holds (rag.server.limits.max_send_message is \
             {largest}); ListDocuments tells it, and a smaller ingestion its own"
        );
        let key = "rag.server.limits.max_send_message";
        let fault = Fault::exhausted("RESULT_TOO_LARGE", key, text, None);
        return Err(Ended::Untold(fault));
    }
    Ok(response)
}

fn result(space: &str, result: DocumentResult) -> pb::IngestResult {
    let DocumentResult {
        id,
        failure,
        document,
        unchanged,
    } = result;
    pb::IngestResult {
        name: names::of_document(space, id),
        error: failure.as_ref().map(document::failure),
        document: document.map(|found| document::wire(space, found)),
        unchanged,
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}
