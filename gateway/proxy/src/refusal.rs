//! Every failure that the gateway itself answers, and the one table from it to a gRPC status.
//!
//! Codes and the texts that clients match on are Envoy's. Each carries `google.rpc` details whose message equals
//! `grpc-message`, without which Python's `rpc_status` refuses to read them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use polyphony_error::{Fault, Kind};
use tonic::{Code, Status};

use crate::body::Body;
use crate::connection::ConnectError;

/// Why a call did not reach an endpoint, or was ended by the gateway.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// No route matches the path.
    #[error("no route for {0}")]
    NoRoute(Box<str>),
    /// The route leads to a cluster that is not there.
    #[error("the route leads to a cluster that does not exist")]
    NoCluster,
    /// Every endpoint of the cluster is unhealthy or ejected, or there is none.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// The circuit breaker is open: too many calls in flight, or waiting for a connection.
    #[error("upstream connect error or disconnect/reset before headers. reset reason: overflow")]
    Overflow,
    /// No connection could be opened.
    #[error("upstream connect error or disconnect/reset before headers. reset reason: {0}")]
    Connect(Arc<ConnectError>),
    /// The endpoint ended the stream before it answered.
    #[error("upstream connect error or disconnect/reset before headers. reset reason: {0}")]
    Reset(&'static str),
    /// The deadline passed.
    #[error("deadline exceeded at the gateway")]
    Deadline,
    /// The route's longest duration passed.
    #[error("downstream duration timeout")]
    Duration,
    /// Nothing moved for the route's idle time.
    #[error("stream timeout")]
    Idle,
    /// The gateway is stopping and the call's time to finish is over.
    #[error("the gateway is shutting down")]
    Draining,
    /// The client's `grpc-timeout` is malformed.
    #[error("grpc-timeout: is not 1 to 8 digits and one of H, M, S, m, u, n")]
    BadTimeout,
    /// The client went away; nobody reads this.
    #[error("the client cancelled the call")]
    ClientGone,
}

/// Says to callers that they met a circuit breaker, as Envoy does.
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

// === impl Refusal ===

impl Refusal {
    /// The gRPC code it is answered with.
    pub fn code(&self) -> Code {
        self.kind().0.code()
    }

    /// The status with its details.
    pub(crate) fn status(&self) -> Status {
        let (kind, reason) = self.kind();
        Status::from(Fault::new(kind, reason, self.to_string()))
    }

    /// The whole answer: trailers-only for gRPC, a plain HTTP error for anything else.
    pub(crate) fn response(&self, grpc: bool) -> Response<Body> {
        if !grpc {
            let mut response = Response::new(Body::text(Bytes::from(self.to_string())));
            *response.status_mut() = self.http_status();
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, plain);
            return response;
        }
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.trailers();
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, grpc);
        if matches!(self, Self::Overflow) {
            response
                .headers_mut()
                .insert(OVERLOADED, HeaderValue::from_static("true"));
        }
        response
    }

    /// `grpc-status`, `grpc-message` and `grpc-status-details-bin`.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(5);
        if self.status().add_header(&mut trailers).is_err() {
            // Our own texts are plain ASCII, so this cannot be; the code alone is still the truth.
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from(self.code() as u16));
        }
        trailers
    }

    /// Its kind, and the reason that programs may match on.
    fn kind(&self) -> (Kind, &'static str) {
        match self {
            Self::NoRoute(_) => (Kind::Unimplemented, "NO_ROUTE"),
            Self::NoCluster => (Kind::Unavailable, "NO_CLUSTER"),
            Self::NoHealthyUpstream => (Kind::Unavailable, "NO_HEALTHY_UPSTREAM"),
            Self::Overflow => (Kind::Unavailable, "UPSTREAM_OVERFLOW"),
            Self::Connect(_) => (Kind::Unavailable, "UPSTREAM_CONNECT_FAILED"),
            Self::Reset(_) => (Kind::Unavailable, "UPSTREAM_RESET"),
            Self::Deadline => (Kind::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            Self::Duration => (Kind::DeadlineExceeded, "MAX_DURATION_EXCEEDED"),
            Self::Idle => (Kind::Unavailable, "IDLE_TIMEOUT"),
            Self::Draining => (Kind::Unavailable, "DRAINING"),
            // What gRPC's C core answers, and so do our services.
            Self::BadTimeout => (Kind::Internal, "BAD_GRPC_TIMEOUT"),
            Self::ClientGone => (Kind::Cancelled, "CANCELLED"),
        }
    }

    fn http_status(&self) -> StatusCode {
        match self.kind().0 {
            Kind::Unimplemented => StatusCode::NOT_FOUND,
            Kind::Internal => StatusCode::BAD_REQUEST,
            Kind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn details_repeat_the_message_word_for_word_and_name_the_reason() {
        for refusal in [
            Refusal::NoRoute("/a.B/C".into()),
            Refusal::NoHealthyUpstream,
            Refusal::Overflow,
            Refusal::Reset("remote reset"),
            Refusal::Deadline,
            Refusal::BadTimeout,
        ] {
            let response = refusal.response(true);
            let status = Status::from_header_map(response.headers()).expect("a status");
            assert_eq!(status.code(), refusal.code());
            assert_eq!(status.message(), refusal.to_string());
            let details = status.check_error_details().expect("details");
            assert_eq!(
                details.error_info().expect("ErrorInfo").domain,
                polyphony_error::DOMAIN
            );
            let overloaded = response.headers().contains_key(OVERLOADED);
            assert_eq!(overloaded, matches!(refusal, Refusal::Overflow));
        }
    }
}
