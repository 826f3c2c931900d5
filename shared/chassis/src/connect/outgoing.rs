//! What a call takes along: the trace it belongs to, and the time that is left.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use polyphony_error::{Fault, Kind};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::layers::lifetime::{Deadline, HEADER, format_timeout, timeout_of};
use crate::telemetry;

/// A channel whose calls carry the trace context and the deadline onwards.
///
/// The deadline is taken from the extensions of the call: `request.extensions_mut().insert(deadline)`.
#[derive(Debug, Clone)]
pub struct Outgoing<S> {
    channel: S,
    margin: Duration,
}

// === impl Outgoing ===

impl<S> Outgoing<S> {
    /// Calls over `channel`, each with `margin` less time than its caller has, to answer in.
    pub fn new(channel: S, margin: Duration) -> Self {
        Self { channel, margin }
    }
}

impl<S> Service<Request<Body>> for Outgoing<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(deadline) = Deadline::of(request.extensions()) {
            let left = deadline.remaining().saturating_sub(self.margin);
            if left.is_zero() {
                let message = "no time is left to call another service";
                let fault = Fault::new(Kind::DeadlineExceeded, "DEADLINE_EXCEEDED", message);
                return Box::pin(std::future::ready(Ok(Status::from(fault).into_http())));
            }
            // A timeout set on the call itself is the caller's own affair if it is shorter.
            let own = timeout_of(request.headers());
            if own.is_none_or(|own| left < own) {
                request.headers_mut().insert(HEADER, format_timeout(left));
            }
        }
        telemetry::inject(request.headers_mut());
        Box::pin(self.channel.call(request))
    }
}
