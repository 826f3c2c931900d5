//! The span of a call, between its client's and its endpoint's.

use http::request::Parts;
use polyphony_chassis::telemetry;
use polyphony_gateway_core::split_path;
use tonic::Code;
use tracing::{Span, field};

/// Begins the span as a child of the client's, and makes it the parent of the endpoint's.
pub(crate) fn begin(parts: &mut Parts, cluster: &str) -> Span {
    let path = parts.uri.path();
    let (service, method) = split_path(path).unwrap_or((path, ""));
    let span = tracing::info_span!(
        "rpc",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = field::Empty,
        trace_id = field::Empty,
        cluster,
    );
    telemetry::adopt(&span, &parts.headers);
    span.in_scope(|| telemetry::inject(&mut parts.headers));
    span
}

/// Notes what the call ended with; the span ends when it is dropped.
pub(crate) fn end(span: &Span, code: Code) {
    span.record("rpc.grpc.status_code", i32::from(code));
    if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss) {
        span.record("otel.status_code", "ERROR");
    }
}
