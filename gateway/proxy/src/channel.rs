//! A channel to one endpoint for the gateway's own calls (health, reflection), over the connections that calls use.

use std::future::Future;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response, Version};
use http_body::Frame;

use crate::BoxError;
use crate::endpoint::Endpoint;
use crate::exchange::{Failure, Slot};
use crate::head;
use crate::pool::Urgency;
use crate::refusal::Refusal;
use crate::upload::Upload;

/// A tonic client's view of one endpoint. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EndpointChannel {
    endpoint: Arc<Endpoint>,
    urgency: Urgency,
}

/// The body of an answer to the gateway itself.
pub struct Incoming {
    recv: RecvStream,
    upload: Upload<tonic::body::Body>,
    send: SendStream<Bytes>,
    _slot: Slot,
}

/// Own calls that may wait for a connection at once; there are never so many.
const MAX_PENDING: usize = 1024;

// === impl EndpointChannel ===

impl EndpointChannel {
    /// For calls that fail at once while the endpoint cannot be reached.
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            urgency: Urgency::Call,
        }
    }

    /// For health checks, which try even then.
    pub(crate) fn probe(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            urgency: Urgency::Probe,
        }
    }

    async fn send(self, request: Request<tonic::body::Body>) -> Result<Response<Incoming>, Refusal> {
        let Self { endpoint, urgency } = self;
        let pending = AtomicUsize::new(0);
        let acquired = endpoint.pool.acquire(urgency, &pending, MAX_PENDING).await;
        let lease = acquired.map_err(|error| Failure::from(error).refusal)?;
        let slot = Slot::new(lease, Arc::clone(&endpoint));
        let (parts, body) = request.into_parts();
        let mut upload = Upload::new(body);
        let mut request = Request::new(());
        *request.method_mut() = parts.method;
        *request.uri_mut() = head::uri(
            &parts.uri,
            &parts.headers,
            endpoint.authority(),
            slot.lease.is_tls(),
        );
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = parts.headers;
        let sent = slot.lease.connection.sender().send_request(request, false);
        let (response, mut send) = sent.map_err(|_| {
            slot.lease.retire();
            Refusal::Reset("connection termination")
        })?;
        let mut response = pin!(response);
        let response = poll_fn(|cx| {
            if let Poll::Ready(answered) = response.as_mut().poll(cx) {
                return Poll::Ready(answered);
            }
            if !upload.is_finished() {
                // How the upload ends shows in the response.
                let _how = upload.poll(&mut send, &mut false, cx);
            }
            Poll::Pending
        });
        let response = response
            .await
            .map_err(|error| Failure::of(&error, &slot.lease).refusal)?;
        Ok(response.map(|recv| Incoming {
            recv,
            upload,
            send,
            _slot: slot,
        }))
    }
}

impl tower::Service<Request<tonic::body::Body>> for EndpointChannel {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let channel = self.clone();
        Box::pin(async move {
            let sent = channel.send(request).await;
            // A status keeps its code on the way through tonic; any other error would become UNKNOWN.
            sent.map_err(|refusal| refusal.status().into())
        })
    }
}

// === impl Incoming ===

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let me = &mut *self;
        if !me.upload.is_finished() {
            let _how = me.upload.poll(&mut me.send, &mut false, cx);
        }
        match me.recv.poll_data(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(data))) => {
                me.recv.flow_control().release_capacity(data.len())?;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {}
        }
        me.recv.poll_trailers(cx).map(|trailers| match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(error.into())),
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.recv.is_end_stream() || !self.upload.is_finished() {
            self.send.send_reset(Reason::CANCEL);
        }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}
