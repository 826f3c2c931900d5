//! What a call takes along, the trace it belongs to and the time that is left, and what its failures are called.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use polyphony_error::{Fault, Kind};
use tokio::time::sleep;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::MIN_KEEPALIVE;
use super::connector::Connector;
use crate::config::ChannelConfig;
use crate::layers::lifetime::{Deadline, HEADER, format_timeout, timeout_of};
use crate::{BoxError, telemetry};

/// A channel to one server; clones share its connection. Generated clients are made with it:
/// `AsrServiceClient::new(channel)`.
///
/// The deadline is taken from the extensions of the call: `request.extensions_mut().insert(deadline)`. When it passes
/// the call is DEADLINE_EXCEEDED, and when the other side cannot be reached UNAVAILABLE, reason `UNREACHABLE`. Failures
/// are replies, never errors.
#[derive(Debug, Clone)]
pub struct Client {
    http: legacy::Client<Connector, Body>,
    scheme: Scheme,
    authority: Authority,
    margin: Duration,
}

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("grpc-rust-polyphony/", env!("CARGO_PKG_VERSION")));

// === impl Client ===

impl Client {
    pub(super) fn new(
        scheme: Scheme,
        authority: Authority,
        connector: Connector,
        config: &ChannelConfig,
    ) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new())
            .http2_only(true)
            .timer(TokioTimer::new())
            // Kept for as long as the channel; pings tell whether it lives.
            .pool_idle_timeout(None)
            .http2_keep_alive_interval(config.keepalive_interval.get().max(MIN_KEEPALIVE))
            .http2_keep_alive_timeout(config.keepalive_timeout.get())
            .http2_keep_alive_while_idle(true)
            .build(connector);
        Self {
            http,
            scheme,
            authority,
            margin: config.deadline_margin.get(),
        }
    }

    /// The time for a call with these headers and extensions: the shorter of its own timeout and what is left.
    fn time_for(&self, request: &Request<Body>) -> Option<Duration> {
        let deadline = Deadline::of(request.extensions());
        let left = deadline.map(|deadline| deadline.remaining().saturating_sub(self.margin));
        match (timeout_of(request.headers()), left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        }
    }

    /// The address of a method, of which generated clients know the path alone.
    fn address(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let address = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        address.path_and_query(path).build()
    }
}

impl Service<Request<Body>> for Client {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let time = self.time_for(&request);
        if time.is_some_and(|time| time.is_zero()) {
            return Box::pin(std::future::ready(Ok(late().into_http())));
        }
        if let Some(time) = time {
            request.headers_mut().insert(HEADER, format_timeout(time));
        }
        match self.address(request.uri()) {
            Ok(address) => *request.uri_mut() = address,
            Err(error) => {
                let status = Status::from(Fault::internal(error));
                return Box::pin(std::future::ready(Ok(status.into_http())));
            }
        }
        request
            .headers_mut()
            .entry(header::USER_AGENT)
            .or_insert(USER_AGENT);
        telemetry::inject(request.headers_mut());
        let reply = self.http.request(request);
        Box::pin(async move {
            let over = async {
                match time {
                    Some(time) => sleep(time).await,
                    None => pending().await,
                }
            };
            let reply = tokio::select! {
                reply = reply => reply,
                () = over => return Ok(late().into_http()),
            };
            Ok(match reply {
                Ok(reply) => reply.map(Body::new),
                Err(error) => failed(error.into()).into_http(),
            })
        })
    }
}

fn late() -> Status {
    let message = "no time is left for the call to another service";
    Fault::new(Kind::DeadlineExceeded, "DEADLINE_EXCEEDED", message).into()
}

/// The status of a call that came to no answer. Resets have a meaning that tonic knows; the rest is the network's.
fn failed(error: BoxError) -> Status {
    tracing::debug!(error = %polyphony_error::chain(&*error), "a call to another service failed");
    let reset = reset_of(&*error);
    let status = Status::from_error(error);
    if reset && status.code() != Code::Unknown {
        return status;
    }
    let fault = Fault::unavailable("UNREACHABLE", "the connection to another service failed");
    fault.because(status).into()
}

/// Whether the other side ended the call with a reset of its stream.
fn reset_of(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.is_reset();
        }
        next = error.source();
    }
    false
}
