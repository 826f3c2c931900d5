//! Every error leaves with `google.rpc` details: what came without gets an `ErrorInfo` whose reason is its code.
//!
//! tonic itself and the generated code make plain statuses; this layer is where they meet the contract (AIP-193). It
//! also keeps a status within what clients take as headers: messages quote input, and input can be long.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as _, Frame, SizeHint};
use polyphony_error::DOMAIN;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Answer, Handler, Step, message_size};

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Details;

/// A reply whose trailers are amended.
struct Amended(Body);

/// Clients commonly take 8 KiB of headers; message and details are two copies of the same text.
const MAX_MESSAGE: usize = 1024;
const MAX_DETAILS: usize = 4096;

impl Step for Details {
    fn answer<S: Handler>(&self, request: Request<Body>, next: &mut S) -> Answer {
        let reply = next.call(request);
        Box::pin(async move {
            let Ok::<_, Infallible>(mut reply) = reply.await;
            amend(reply.headers_mut());
            if reply.body().is_end_stream() {
                return Ok(reply);
            }
            Ok(reply.map(|body| Body::new(Amended(body))))
        })
    }
}

/// Completes the status in these headers or trailers, if there is one and it is an error.
fn amend(headers: &mut HeaderMap) {
    let Some(code) = headers.get(Status::GRPC_STATUS) else {
        return;
    };
    let code = Code::from_bytes(code.as_bytes());
    let length = |name| headers.get(name).map_or(0, http::HeaderValue::len);
    let (message, details) = (length(Status::GRPC_MESSAGE), length(Status::GRPC_STATUS_DETAILS));
    let whole = (1..=MAX_DETAILS).contains(&details) && message <= MAX_MESSAGE;
    if code == Code::Ok || whole {
        return;
    }
    let message = headers
        .get(Status::GRPC_MESSAGE)
        .map(|text| decode(text.as_bytes()))
        .unwrap_or_default();
    let (code, reason, message) = message_size::told_apart(code, message);
    let message = shortened(message);
    let info =
        ErrorDetails::with_error_info(reason.unwrap_or_else(|| reason_of(code)), DOMAIN, HashMap::new());
    let status = Status::with_error_details(code, message, info);
    // A status that cannot be written as headers stays as it was: without details, and still an error.
    drop(status.add_header(headers));
}

fn decode(text: &[u8]) -> String {
    let mut only = HeaderMap::new();
    only.insert(Status::GRPC_STATUS, http::HeaderValue::from_static("2"));
    if let Ok(text) = http::HeaderValue::from_bytes(text) {
        only.insert(Status::GRPC_MESSAGE, text);
    }
    Status::from_header_map(&only)
        .map(|status| status.message().to_owned())
        .unwrap_or_default()
}

fn shortened(mut message: String) -> String {
    // Percent-encoding may triple it.
    let limit = MAX_MESSAGE / 3;
    if message.len() > limit {
        message.truncate(message.floor_char_boundary(limit));
        message.push('…');
    }
    message
}

const fn reason_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

// === impl Amended ===

impl http_body::Body for Amended {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        polled.map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                amend(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use polyphony_error::Fault;

    use super::*;

    fn amended(status: &Status) -> Status {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).expect("a status");
        amend(&mut headers);
        Status::from_header_map(&headers).expect("a status")
    }

    #[test]
    fn a_plain_error_gets_its_code_as_reason() {
        let status = amended(&Status::unimplemented("no method \"Näh\""));
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unimplemented, "no method \"Näh\"")
        );
        let info = status
            .get_error_details()
            .error_info()
            .cloned()
            .expect("ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("UNIMPLEMENTED", DOMAIN)
        );
    }

    #[test]
    fn details_that_are_there_stay() {
        let status = amended(&Fault::invalid("audio", "is empty; send a sample").into());
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().map(|info| info.reason.as_str()),
            Some("INVALID_ARGUMENT")
        );
        assert!(details.bad_request().is_some());
    }

    #[test]
    fn success_is_left_alone() {
        let status = amended(&Status::new(Code::Ok, ""));
        assert!(status.details().is_empty());
    }

    #[test]
    fn an_error_never_outgrows_the_headers() {
        let fault = Fault::not_found("model", "é".repeat(100_000), "look elsewhere");
        let status = amended(&fault.into());
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().len() < MAX_MESSAGE && status.details().len() < MAX_DETAILS);
        assert!(status.get_error_details().error_info().is_some());
    }
}
