//! Faults in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}` with the status that its clients expect.

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use polyphony_error::{Fault, Kind};
use serde_json::{Value, json};

use super::body::{Reply, json_reply};

/// The status that says what kind of fault it is.
pub(super) fn status(fault: &Fault) -> StatusCode {
    match fault.kind {
        Kind::InvalidArgument | Kind::AlreadyExists => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::ResourceExhausted if fault.reason == "BODY_TOO_LARGE" => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Kind::Aborted | Kind::FailedPrecondition => StatusCode::BAD_GATEWAY,
        Kind::Cancelled | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The error as JSON.
pub(super) fn json_of(fault: &Fault) -> Value {
    let kind = match fault.kind {
        Kind::InvalidArgument | Kind::NotFound | Kind::AlreadyExists => "invalid_request_error",
        Kind::Unauthenticated => "authentication_error",
        Kind::PermissionDenied => "permission_error",
        Kind::ResourceExhausted if fault.reason == "TOKENS_SPENT" => "insufficient_quota",
        Kind::ResourceExhausted => "rate_limit_error",
        _ => "server_error",
    };
    let code = match (fault.kind, &fault.resource) {
        (Kind::NotFound, Some(resource)) if resource.kind == "model" => "model_not_found".to_owned(),
        _ => fault.reason.to_ascii_lowercase(),
    };
    let param = fault
        .violations
        .first()
        .map(|violation| violation.field.to_string());
    json!({"error": {"message": fault.message, "type": kind, "param": param, "code": code}})
}

/// The reply that says so.
pub(super) fn response(fault: &Fault) -> Response<Reply> {
    let mut response = json_reply(status(fault), json_of(fault).to_string());
    if let Some(after) = fault.retry_after {
        // Whole seconds, and never zero: that would mean at once.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}
