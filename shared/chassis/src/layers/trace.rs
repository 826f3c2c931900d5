//! The outermost layer: a span, a request id, metrics and one log line for each call, whatever becomes of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Instrument, Span, field};

use super::request_id::{self, RequestId};
use super::{Answer, Handler, Step, is_about_process};
use crate::metrics::{Running, code_name};
use crate::peer::Peer;
use crate::serve::methods::Methods;
use crate::telemetry;

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    methods: Arc<Methods>,
}

/// Why a call failed, in words for the log alone. In the extensions of every request, for layers below to fill.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause(Arc<OnceLock<String>>);

/// A call under way; says how it ended when dropped.
struct Record {
    span: Span,
    running: Running,
    started: Instant,
    code: Option<Code>,
    cause: Cause,
}

/// A reply whose end is recorded.
struct Recorded {
    body: Body,
    record: Option<Record>,
    span: Span,
}

// === impl Trace ===

impl Trace {
    pub(crate) fn new(methods: Arc<Methods>) -> Self {
        Self { methods }
    }
}

impl Step for Trace {
    fn answer<S: Handler>(&self, mut request: Request<Body>, next: &mut S) -> Answer {
        let method = self.methods.labels(request.uri().path());
        let id = RequestId::of(request.headers());
        let span = span(&method.service, &method.name, &id, &request);
        let cause = Cause::default();
        let extensions = request.extensions_mut();
        extensions.insert(id.clone());
        extensions.insert(cause.clone());
        extensions.insert(method.clone());
        let mut record = Record {
            span: span.clone(),
            running: method.started(),
            started: Instant::now(),
            code: None,
            cause,
        };
        let reply = span.in_scope(|| next.call(request)).instrument(span.clone());
        Box::pin(async move {
            let Ok::<_, Infallible>(mut reply) = reply.await;
            reply.headers_mut().insert(request_id::HEADER, id.header());
            record.saw(reply.headers());
            if let Some(source) = reply
                .extensions()
                .get::<Status>()
                .and_then(std::error::Error::source)
            {
                record.cause.say(|| polyphony_error::chain(source).to_string());
            }
            if reply.body().is_end_stream() {
                return Ok(reply);
            }
            let record = Some(record);
            Ok(reply.map(|body| Body::new(Recorded { body, record, span })))
        })
    }
}

fn span(service: &str, method: &str, id: &RequestId, request: &Request<Body>) -> Span {
    let name = format!("{service}/{method}");
    let peer = request.extensions().get::<Peer>();
    macro_rules! rpc {
        ($level:expr) => {
            tracing::span!(
                $level,
                "rpc",
                otel.name = name,
                otel.kind = "server",
                otel.status_code = field::Empty,
                rpc.system = "grpc",
                rpc.service = service,
                rpc.method = method,
                rpc.grpc.status_code = field::Empty,
                trace_id = field::Empty,
                request_id = %id,
                peer = peer.map(|peer| field::display(peer.addr)),
                caller = peer.and_then(|peer| peer.identity.as_ref()?.spiffe()),
            )
        };
    }
    // Probes come every second and say nothing when all is well.
    let span = if is_about_process(request.uri().path()) {
        rpc!(tracing::Level::DEBUG)
    } else {
        rpc!(tracing::Level::INFO)
    };
    telemetry::adopt(&span, request.headers());
    span
}

// === impl Cause ===

impl Cause {
    /// Keeps the first cause given.
    pub(crate) fn say(&self, cause: impl FnOnce() -> String) {
        self.0.get_or_init(cause);
    }
}

// === impl Record ===

impl Record {
    /// Looks for the status in headers or trailers.
    fn saw(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(Status::GRPC_STATUS) {
            self.code = Some(Code::from_bytes(status.as_bytes()));
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // A call dropped before it had a status was given up by its caller.
        let code = self.code.unwrap_or(Code::Cancelled);
        let took = self.started.elapsed();
        self.running.ended(code, took);
        let _entered = self.span.enter();
        self.span.record("rpc.grpc.status_code", i32::from(code));
        let (code_name, took_ms) = (code_name(code), took.as_millis() as u64);
        // Only what is our fault is an error here; anything else is the caller's to handle.
        if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss) {
            self.span.record("otel.status_code", "ERROR");
            let cause = self.cause.0.get().map_or("not given", String::as_str);
            tracing::error!(code = code_name, took_ms, error = cause, "call failed");
        } else {
            tracing::debug!(code = code_name, took_ms, "call ended");
        }
    }
}

// === impl Recorded ===

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let _entered = this.span.enter();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(mut record) = this.record.take()
                {
                    record.saw(trailers);
                }
            }
            // Without trailers a gRPC reply is broken; what a client makes of it is UNKNOWN.
            Poll::Ready(None | Some(Err(_))) => {
                if let Some(mut record) = this.record.take() {
                    record.code = record.code.or(Some(Code::Unknown));
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
