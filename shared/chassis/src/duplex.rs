//! The two ends of a bidirectional call whose work is done on a thread: messages are read here and handed to the worker;
//! its replies go out as they come.
//!
//! Both hand-overs hold a few messages. A worker that is behind stops the reading, HTTP/2's window closes, and the
//! client waits; a client that does not read stops the worker. So a stream holds the same memory whatever happens.
//! When the client goes away the replies are dropped: that drops the guard (which sets the cancel flag) and ends the
//! reading, and the worker finds its inbox closed.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, Stream};
use polyphony_error::{Fault, Kind};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use crate::layers::panic::text;

/// Messages held for the worker, each at most 32 KiB, and for the client.
const INBOX: usize = 8;
const OUTBOX: usize = 16;

/// How long a client may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// So long.
    pub after: Duration,
    /// The key that says so, as "asr.stream_idle".
    pub key: &'static str,
}

/// What the client reads.
pub struct Replies<R> {
    replies: mpsc::Receiver<Result<R, Status>>,
    _guard: Box<dyn Any + Send>,
    _reading: AbortOnDropHandle<()>,
}

/// Where the worker puts its replies.
#[derive(Debug)]
pub struct Outbox<R>(mpsc::Sender<Result<R, Status>>);

/// Where the worker finds what the client sent.
#[derive(Debug)]
pub struct Inbox<C>(mpsc::Receiver<Command<C>>);

/// Nobody reads any more: the worker stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Why a worker stops before its end.
#[derive(Debug)]
pub enum Stop {
    /// Nobody reads any more.
    Gone,
    /// The client is told.
    Failed(Status),
}

/// What the reader hands over.
#[derive(Debug)]
pub struct Command<C> {
    /// When it arrived.
    pub arrived: Instant,
    /// What it is.
    pub what: What<C>,
}

/// What the client sent, or did not. All but a message are the last.
#[derive(Debug)]
pub enum What<C> {
    /// A message.
    Message(C),
    /// The client closed its side.
    End,
    /// The client has been silent for too long: what came is dealt with, then the stream ends with this.
    Silence(Status),
    /// The stream ends with this.
    Fail(Status),
}

/// Opens a stream. Its first reply does not wait for its first message, so a client may wait for headers first.
///
/// `begin` gets the first message and gives the work, which runs on a blocking thread; `command` parses each later
/// message. `guard` is dropped when the client goes away.
pub fn open<Q, R, C, B, F, W>(
    requests: Streaming<Q>,
    idle: Idle,
    guard: impl Send + 'static,
    begin: B,
    command: fn(Q) -> Result<C, Fault>,
) -> Replies<R>
where
    Q: Send + 'static,
    R: Send + 'static,
    C: Send + 'static,
    B: FnOnce(Q, Outbox<R>) -> F + Send + 'static,
    F: Future<Output = Result<W, Fault>> + Send + 'static,
    W: FnOnce(Inbox<C>) + Send + 'static,
{
    let (outbox, replies) = mpsc::channel(OUTBOX);
    let reading = tokio::spawn(async move {
        let for_worker = Outbox(outbox.clone());
        if let Err(end) = run(requests, idle, for_worker, begin, command).await {
            // If nobody reads any more, nobody needs to know.
            drop(outbox.send(Err(end)).await);
        }
    });
    Replies {
        replies,
        _guard: Box::new(guard),
        _reading: AbortOnDropHandle::new(reading),
    }
}

/// From the first message to the end of the worker.
async fn run<Q, R, C, B, F, W>(
    mut requests: Streaming<Q>,
    idle: Idle,
    outbox: Outbox<R>,
    begin: B,
    command: fn(Q) -> Result<C, Fault>,
) -> Result<(), Status>
where
    C: Send + 'static,
    B: FnOnce(Q, Outbox<R>) -> F,
    F: Future<Output = Result<W, Fault>>,
    W: FnOnce(Inbox<C>) + Send + 'static,
{
    let first = timeout(idle.after, requests.message())
        .await
        .map_err(|_| idle.status())??;
    let Some(first) = first else {
        let missing = "is missing; the first message of a stream is its config";
        return Err(Fault::invalid("streaming_config", missing).into());
    };
    // Boxed, for it may hold the loading of a model.
    let work = Box::pin(begin(first, outbox)).await.map_err(told)?;
    let (inbox, commands) = mpsc::channel(INBOX);
    let mut work = task::spawn_blocking(move || work(Inbox(commands)));
    loop {
        let next = tokio::select! {
            // The worker may be done before the client is.
            ended = &mut work => return ended.map_err(|panic| told(Fault::internal(panic))),
            next = timeout(idle.after, requests.message()) => next,
        };
        let what = match next {
            Err(_) => What::Silence(idle.status()),
            Ok(Err(broken)) => What::Fail(broken),
            Ok(Ok(None)) => What::End,
            Ok(Ok(Some(message))) => match command(message) {
                Ok(message) => What::Message(message),
                Err(fault) => What::Fail(fault.into()),
            },
        };
        let is_last = !matches!(what, What::Message(_));
        let command = Command {
            arrived: Instant::now(),
            what,
        };
        if inbox.send(command).await.is_err() || is_last {
            break;
        }
    }
    // The inbox is kept until the worker is done: a closed one would mean that the client is gone.
    work.await.map_err(|panic| told(Fault::internal(panic)))
}

/// A fault in the middle of a stream as its status. Its cause is logged here, because nobody above sees it.
pub fn told(fault: Fault) -> Status {
    if fault.kind.is_ours() {
        tracing::error!(error = %polyphony_error::chain(&fault), "a stream failed");
    }
    fault.into()
}

/// Does what a task does for a stream outside of its handler. A panic is a fault: else the stream would end there as if all
/// was well.
///
/// # Errors
/// Those of the work, and INTERNAL.
pub async fn caught<T, E: From<Fault>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|panic| Err(Fault::internal(text(&*panic)).into()))
}

// === impl Idle ===

impl Idle {
    fn status(self) -> Status {
        let Self { after, key } = self;
        let message =
            format!("the client sent nothing for {after:?} ({key}); send something to keep a stream open");
        Fault::new(Kind::DeadlineExceeded, "STREAM_IDLE", message).into()
    }
}

// === impl Outbox ===

impl<R> Outbox<R> {
    /// Sends a reply; waits while the client is behind. Blocks.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn send(&self, reply: R) -> Result<(), Gone> {
        self.0.blocking_send(Ok(reply)).map_err(|_| Gone)
    }

    /// Ends the stream with a status. Blocks.
    pub fn fail(&self, status: Status) {
        // If nobody reads any more, nobody needs to know.
        drop(self.0.blocking_send(Err(status)));
    }

    /// Ends the stream as its worker ended. Blocks.
    pub fn end(&self, ended: Result<(), Stop>) {
        match ended {
            Ok(()) | Err(Stop::Gone) => {}
            Err(Stop::Failed(status)) => self.fail(status),
        }
    }
}

// === impl Gone ===

impl From<Gone> for Fault {
    fn from(Gone: Gone) -> Self {
        Self::new(Kind::Cancelled, "CANCELLED", "the caller went away")
    }
}

// === impl Stop ===

impl<E: Into<Fault>> From<E> for Stop {
    /// Work that was cancelled in a stream was so because its client is gone.
    fn from(error: E) -> Self {
        let fault = error.into();
        match fault.kind {
            Kind::Cancelled => Self::Gone,
            _ => Self::Failed(told(fault)),
        }
    }
}

// === impl Inbox ===

impl<C> Inbox<C> {
    /// What comes next; waits for it. None: the client is gone. Blocks.
    pub fn recv(&mut self) -> Option<Command<C>> {
        self.0.blocking_recv()
    }

    /// What comes next, if it comes in time. None: the client is gone. Blocks; only for the thread of a worker.
    ///
    /// # Errors
    /// When nothing came in time.
    pub fn recv_within(&mut self, patience: Duration) -> Result<Option<Command<C>>, Elapsed> {
        let next = async { timeout(patience, self.0.recv()).await };
        Handle::current().block_on(next)
    }

    /// What comes next, if it has come. Engines that are at work look here for a cancel.
    pub fn try_recv(&mut self) -> Option<Command<C>> {
        self.0.try_recv().ok()
    }
}

// === impl Replies ===

impl<R> Stream for Replies<R> {
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.replies.poll_recv(cx)
    }
}

impl<R> fmt::Debug for Replies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_task_is_a_fault_of_its_stream() {
        let work = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "never");
            Ok::<(), Fault>(())
        };
        let fault = caught(work).await.expect_err("it panicked");
        assert_eq!(fault.kind, Kind::Internal);
        assert!(polyphony_error::chain(&fault).to_string().contains("never"));
        assert_eq!(caught(async { Ok::<_, Fault>(7) }).await.ok(), Some(7));
    }
}
