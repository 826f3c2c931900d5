//! One operation: what is known of it, who wants to hear, and whether it is to stop.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use polyphony_proto::google::{longrunning as lro, rpc};
use polyphony_proto::types::v1::{JobState, QueueStatus};
use prost::Message;
use prost_types::Any;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::waiting::Ticket;
use super::{Known, Work};
use crate::Caller;

/// One operation.
#[derive(Debug)]
pub struct Operation<W: Work> {
    name: String,
    stop: CancellationToken,
    now: Mutex<Inside<W>>,
    changes: watch::Sender<()>,
    ticket: Ticket,
    retention: Duration,
}

/// An operation at one moment.
#[derive(Debug, Clone)]
pub struct Moment<P> {
    /// When it was asked for.
    pub created: SystemTime,
    /// When anything about it last changed.
    pub updated: SystemTime,
    /// Where it is.
    pub state: JobState,
    /// How far it is.
    pub progress: P,
    /// Its place, while it waits.
    pub queue: Option<QueueStatus>,
}

#[derive(Debug)]
struct Inside<W: Work> {
    moment: Moment<W::Progress>,
    /// Set when it is done.
    result: Option<Result<W::Response, rpc::Status>>,
    done: Option<Instant>,
}

// === impl Operation ===

impl<W: Work> Operation<W> {
    pub(super) fn new(name: String, progress: W::Progress, ticket: Ticket, retention: Duration) -> Self {
        let now = SystemTime::now();
        let moment = Moment {
            created: now,
            updated: now,
            state: JobState::Queued,
            progress,
            queue: None,
        };
        Self {
            name,
            stop: CancellationToken::new(),
            now: Mutex::new(Inside {
                moment,
                result: None,
                done: None,
            }),
            changes: ticket.changes(),
            ticket,
            retention,
        }
    }

    /// "operations/", the service, and an id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is now.
    pub fn moment(&self) -> Moment<W::Progress> {
        let mut moment = self.lock().moment.clone();
        moment.queue = self.ticket.place();
        moment
    }

    /// As it stands on the wire.
    pub fn wire(&self) -> lro::Operation {
        let metadata = W::metadata(&self.moment());
        let result = self.lock().result.clone();
        let result = result.map(|result| match result {
            Ok(response) => lro::operation::Result::Response(any(W::RESPONSE, &response)),
            Err(error) => lro::operation::Result::Error(error),
        });
        lro::Operation {
            name: self.name.clone(),
            metadata: Some(any(W::METADATA, &metadata)),
            done: result.is_some(),
            result,
        }
    }

    /// Somebody wants it to stop: completes then.
    pub async fn cancelled(&self) {
        self.stop.cancelled().await;
    }

    /// Whether somebody wants it to stop.
    pub fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells how far it is.
    pub fn advance(&self, state: JobState, change: impl FnOnce(&mut W::Progress)) {
        let mut now = self.lock();
        // What is over stays so, whatever a straggler says.
        if now.result.is_some() {
            return;
        }
        now.moment.state = state;
        change(&mut now.moment.progress);
        now.moment.updated = SystemTime::now();
        drop(now);
        self.changes.send_replace(());
    }

    /// It is over. Of no effect on one that is.
    pub(super) fn end(&self, state: JobState, result: Result<W::Response, rpc::Status>) {
        let mut now = self.lock();
        if now.result.is_some() {
            return;
        }
        W::settle(&mut now.moment.progress, state);
        now.moment.state = state;
        now.moment.updated = SystemTime::now();
        now.result = Some(result);
        now.done = Some(Instant::now());
        drop(now);
        self.changes.send_replace(());
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().result.is_some()
    }

    /// Its turn has come.
    pub(super) fn leave_queue(&self) {
        self.ticket.leave();
    }

    /// Wakes whenever anything about it changes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inside<W>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Known for Operation<W> {
    fn wire(&self) -> lro::Operation {
        Self::wire(self)
    }

    fn is_for(&self, caller: &Caller) -> bool {
        W::owner(&self.lock().moment.progress).is_none_or(|owner| caller.is(owner))
    }

    fn is_done(&self) -> bool {
        self.is_over()
    }

    fn cancel(&self) {
        self.stop.cancel();
    }

    fn done<'a>(&'a self) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async {
            let mut changes = self.changes();
            while !self.is_over() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        })
    }

    fn is_stale(&self, now: Instant) -> bool {
        let done = self.lock().done;
        done.is_some_and(|done| now.saturating_duration_since(done) >= self.retention)
    }
}

fn any(name: &str, message: &impl Message) -> Any {
    any_of(name, message.encode_to_vec())
}

/// An encoded message of this name.
pub(super) fn any_of(name: &str, value: Vec<u8>) -> Any {
    let type_url = format!("type.googleapis.com/{name}");
    Any { type_url, value }
}
