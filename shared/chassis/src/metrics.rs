//! The names the chassis measures by. The gRPC ones are those of the Prometheus interceptors of Go and Java, so that
//! existing dashboards work. Exporting is [`telemetry`](crate::telemetry)'s.

use std::sync::Arc;
use std::time::Duration;

use metrics::{SharedString, counter, gauge, histogram};
use tonic::Code;

/// Calls begun. Labels `grpc_service`, `grpc_method`, `grpc_type` (`unary`, `client_stream`, `server_stream`,
/// `bidi_stream`, `unknown`).
const STARTED: &str = "grpc_server_started_total";
/// Calls ended. Labels as above and `grpc_code`, in the words of the gRPC specification.
const HANDLED: &str = "grpc_server_handled_total";
/// Seconds from the first byte of a call to its last. Labels as of [`STARTED`].
const SECONDS: &str = "grpc_server_handling_seconds";
/// Calls running now. Labels as of [`STARTED`].
const RUNNING: &str = "grpc_server_in_flight";
/// Permits taken, of the process. No label.
const ADMITTED: &str = "polyphony_admission_in_flight";
/// Calls refused because no permit was free. No label.
const REFUSED: &str = "polyphony_admission_refused_total";
/// Connections open now. No label.
const CONNECTIONS: &str = "polyphony_connections_open";
/// Connections closed. Label `reason`.
const CONNECTIONS_CLOSED: &str = "polyphony_connections_closed_total";
/// Handlers that panicked. Labels `grpc_service`, `grpc_method`.
const PANICS: &str = "polyphony_panics_total";

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    ByPeer,
    Drained,
    Failed,
    HandshakeTimeout,
    TlsRefused,
}

/// The labels of a method.
#[derive(Debug, Clone)]
pub(crate) struct Method {
    pub(crate) service: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) kind: &'static str,
}

/// An open connection; the gauge falls when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection(Closed);

/// A running call; the gauge falls when it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Method);

// === impl Connection ===

pub(crate) fn connection_opened() -> Connection {
    gauge!(CONNECTIONS).increment(1);
    // What is aborted never says how it ended.
    Connection(Closed::Drained)
}

pub(crate) fn connection_refused() {
    counter!(CONNECTIONS_CLOSED, "reason" => "too_many").increment(1);
}

impl Connection {
    pub(crate) fn closed(mut self, how: Closed) {
        self.0 = how;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let reason = match self.0 {
            Closed::ByPeer => "by_peer",
            Closed::Drained => "drained",
            Closed::Failed => "failed",
            Closed::HandshakeTimeout => "handshake_timeout",
            Closed::TlsRefused => "tls_refused",
        };
        gauge!(CONNECTIONS).decrement(1);
        counter!(CONNECTIONS_CLOSED, "reason" => reason).increment(1);
    }
}

// === impl Method ===

impl Method {
    fn labels(&self) -> [(&'static str, SharedString); 3] {
        [
            ("grpc_service", Arc::clone(&self.service).into()),
            ("grpc_method", Arc::clone(&self.name).into()),
            ("grpc_type", self.kind.into()),
        ]
    }

    pub(crate) fn started(&self) -> Running {
        counter!(STARTED, &self.labels()).increment(1);
        gauge!(RUNNING, &self.labels()).increment(1);
        Running(self.clone())
    }

    pub(crate) fn panicked(&self) {
        let [service, name, _] = self.labels();
        counter!(PANICS, &[service, name]).increment(1);
    }
}

// === impl Running ===

impl Running {
    pub(crate) fn ended(&self, code: Code, took: Duration) {
        let [service, name, kind] = self.0.labels();
        counter!(
            HANDLED,
            &[service, name, kind, ("grpc_code", code_name(code).into())]
        )
        .increment(1);
        histogram!(SECONDS, &self.0.labels()).record(took);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        gauge!(RUNNING, &self.0.labels()).decrement(1);
    }
}

// === admission ===

pub(crate) fn admitted() {
    gauge!(ADMITTED).increment(1);
}

pub(crate) fn released() {
    gauge!(ADMITTED).decrement(1);
}

pub(crate) fn refused() {
    counter!(REFUSED).increment(1);
}

/// The name of a code as dashboards know it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
