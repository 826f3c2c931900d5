//! One attempt at one endpoint, up to the response headers.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{Request, Response, Version};
use http_body::Body;
use tokio::time::{Instant, Sleep};

use crate::cluster::Cluster;
use crate::endpoint::Endpoint;
use crate::head;
use crate::limits::Limits;
use crate::pool::{Lease, PoolError, Urgency};
use crate::refusal::Refusal;
use crate::upload::{Upload, Uploaded};

/// What an endpoint answered so far.
pub(crate) struct Answer {
    pub(crate) response: Response<RecvStream>,
    /// The way up, which a relay may still need.
    pub(crate) send: SendStream<Bytes>,
    pub(crate) slot: Slot,
}

/// A call's place on an endpoint: a stream of a connection, counted.
pub(crate) struct Slot {
    pub(crate) lease: Lease,
    endpoint: Arc<Endpoint>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) fate: Fate,
}

/// What the endpoint can have seen of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: it never left. Another attempt is as good as the first.
    Unsent,
    /// The endpoint says that it did not process it (REFUSED_STREAM, GOAWAY below it), or was not there at all.
    Unprocessed,
    /// It may have been processed; nobody else may be asked.
    Unsure,
    /// The gateway or the client ended it; the endpoint is not to blame.
    Ours,
}

/// What may end the wait for an answer from our side.
pub(crate) struct Watch<'a, D> {
    pub(crate) limits: &'a Limits,
    pub(crate) sleep: Pin<&'a mut Sleep>,
    pub(crate) drained: Pin<&'a mut D>,
    /// When the last frame moved.
    pub(crate) last: Instant,
}

/// Sends a request and waits for the response headers, with the body flowing up meanwhile.
pub(crate) async fn attempt<B, D>(
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
    parts: &Parts,
    upload: &mut Upload<B>,
    watch: &mut Watch<'_, D>,
) -> Result<Answer, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    D: Future<Output = ()>,
{
    let most = cluster.settings().max_pending;
    let lease = {
        let mut acquiring = pin!(endpoint.pool.acquire(Urgency::Call, cluster.pending(), most));
        poll_fn(|cx| match acquiring.as_mut().poll(cx) {
            Poll::Ready(lease) => Poll::Ready(lease.map_err(Failure::from)),
            Poll::Pending => watch.poll(cx).map(|refusal| Err(Failure::ours(refusal))),
        })
        .await?
    };
    let slot = Slot::new(lease, Arc::clone(endpoint));
    let request = request(parts, endpoint, &slot.lease, watch.limits);
    let sent = slot
        .lease
        .connection
        .sender()
        .send_request(request, upload.is_empty());
    let (mut response, mut send) = sent.map_err(|error| {
        slot.lease.retire();
        tracing::debug!(%error, "upstream connection takes no more calls");
        Failure::new(Refusal::Reset("connection termination"), Fate::Unsent)
    })?;
    if upload.is_empty() {
        upload.finish();
    }
    let response = poll_fn(|cx| {
        if let Poll::Ready(answered) = Pin::new(&mut response).poll(cx) {
            return Poll::Ready(answered.map_err(|error| Failure::of(&error, &slot.lease)));
        }
        if !upload.is_finished() {
            let mut moved = false;
            let uploaded = upload.poll(&mut send, &mut moved, cx);
            if moved && watch.limits.watches_idle() {
                watch.last = Instant::now();
            }
            if uploaded == Poll::Ready(Uploaded::ClientGone) {
                return Poll::Ready(Err(Failure::ours(Refusal::ClientGone)));
            }
        }
        watch.poll(cx).map(|refusal| Err(Failure::ours(refusal)))
    })
    .await?;
    Ok(Answer { response, send, slot })
}

/// The head as the endpoint gets it. The original stays, for another attempt.
fn request(parts: &Parts, endpoint: &Endpoint, lease: &Lease, limits: &Limits) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = head::uri(&parts.uri, &parts.headers, endpoint.authority(), lease.is_tls());
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = parts.headers.clone();
    if let Some(deadline) = limits.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        head::set_timeout(request.headers_mut(), left);
    }
    request
}

// === impl Slot ===

impl Slot {
    pub(crate) fn new(lease: Lease, endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { lease, endpoint }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Failure ===

impl Failure {
    fn new(refusal: Refusal, fate: Fate) -> Self {
        Self { refusal, fate }
    }

    fn ours(refusal: Refusal) -> Self {
        Self::new(refusal, Fate::Ours)
    }

    /// What a stream's end before the headers means, in Envoy's words.
    pub(crate) fn of(error: &h2::Error, lease: &Lease) -> Self {
        let reason = error.reason();
        if error.is_go_away() || error.is_io() {
            lease.retire();
        }
        let (text, fate) = match reason {
            Some(Reason::REFUSED_STREAM) if error.is_remote() && error.is_reset() => {
                ("remote refused stream reset", Fate::Unprocessed)
            }
            // h2 gives this error to the streams above the last id of a GOAWAY, and to no others.
            Some(Reason::NO_ERROR) if error.is_remote() && error.is_go_away() => {
                ("remote refused stream reset", Fate::Unprocessed)
            }
            _ if error.is_remote() && error.is_reset() => ("remote reset", Fate::Unsure),
            _ if error.is_library() => ("protocol error", Fate::Unsure),
            _ => ("connection termination", Fate::Unsure),
        };
        Self::new(Refusal::Reset(text), fate)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Connect(error) => Self::new(Refusal::Connect(error), Fate::Unprocessed),
            PoolError::Overflow => Self::ours(Refusal::Overflow),
        }
    }
}

// === impl Watch ===

impl<D: Future<Output = ()>> Watch<'_, D> {
    /// Ready with the reason when our side ends the wait.
    pub(crate) fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Refusal> {
        if self.drained.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Refusal::Draining);
        }
        self.limits
            .poll(self.sleep.as_mut(), self.last, cx)
            .map(Refusal::from)
    }
}
