//! What runs beside a streamed answer: the rest of the upload, and the limits of time.
//!
//! The answer flows only as fast as the client reads, and nobody polls it while the client does not. So whatever must
//! happen all the same happens here: the upload goes on, and when a limit runs out the endpoint's side is cancelled at
//! once. The answer then finds the stream ended, and the [`Verdict`] says why.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::upload::{Upload, Uploaded};

/// What the relay and the answer tell each other.
#[derive(Debug)]
pub(crate) struct Shared {
    started: Instant,
    /// Microseconds from `started` to the last frame either way.
    last: AtomicU64,
    verdict: AtomicU8,
}

/// Ends the relay when the answer is done or dropped.
#[derive(Debug)]
pub(crate) struct RelayHandle(AbortHandle);

/// The reasons a relay may end a call for, as one byte.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Verdict {
    Deadline = 1,
    Duration,
    Idle,
    Draining,
}

/// Starts the relay of a call.
pub(crate) fn spawn<B, D>(
    mut upload: Upload<B>,
    mut send: SendStream<Bytes>,
    limits: Limits,
    shared: Arc<Shared>,
    drained: D,
) -> RelayHandle
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let task = tokio::spawn(async move {
        let first = limits.next(shared.last()).unwrap_or_else(far_away);
        let (mut sleep, mut drained) = (pin!(sleep_until(first)), pin!(drained));
        let refusal = poll_fn(|cx| {
            if !upload.is_finished() {
                let mut moved = false;
                let uploaded = upload.poll(&mut send, &mut moved, cx);
                if moved && limits.watches_idle() {
                    shared.touch();
                }
                if uploaded == Poll::Ready(Uploaded::ClientGone) {
                    return Poll::Ready(None);
                }
            }
            if drained.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Refusal::Draining));
            }
            let expired = ready!(limits.poll(sleep.as_mut(), shared.last(), cx));
            Poll::Ready(Some(Refusal::from(expired)))
        });
        if let Some(verdict) = refusal.await.as_ref().and_then(Verdict::of) {
            shared.verdict.store(verdict as u8, Ordering::Release);
            send.send_reset(Reason::CANCEL);
        }
    });
    RelayHandle(task.abort_handle())
}

/// Later than anything happens.
pub(crate) fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 3600)
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(started: Instant) -> Arc<Self> {
        let shared = Self {
            started,
            last: AtomicU64::new(0),
            verdict: AtomicU8::new(0),
        };
        shared.touch();
        Arc::new(shared)
    }

    /// Notes that a frame moved.
    pub(crate) fn touch(&self) {
        let micros = self.started.elapsed().as_micros();
        self.last
            .store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.started + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }

    /// Why the relay ended the call, if it did.
    pub(crate) fn verdict(&self) -> Option<Refusal> {
        match self.verdict.load(Ordering::Acquire) {
            n if n == Verdict::Deadline as u8 => Some(Refusal::Deadline),
            n if n == Verdict::Duration as u8 => Some(Refusal::Duration),
            n if n == Verdict::Idle as u8 => Some(Refusal::Idle),
            n if n == Verdict::Draining as u8 => Some(Refusal::Draining),
            _ => None,
        }
    }
}

// === impl RelayHandle ===

impl Drop for RelayHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === impl Verdict ===

impl Verdict {
    fn of(refusal: &Refusal) -> Option<Self> {
        match refusal {
            Refusal::Deadline => Some(Self::Deadline),
            Refusal::Duration => Some(Self::Duration),
            Refusal::Idle => Some(Self::Idle),
            Refusal::Draining => Some(Self::Draining),
            _ => None,
        }
    }
}
