//! What is not gRPC is refused before anything looks at it.

use http::{Method, Request, StatusCode, header};
use polyphony_error::{Fault, Kind};
use tonic::Status;
use tonic::body::Body;

use super::{Answer, Handler, Step};

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Protocol;

impl Step for Protocol {
    fn answer<S: Handler>(&self, request: Request<Body>, next: &mut S) -> Answer {
        let (status, message) = if request.method() != Method::POST {
            (StatusCode::METHOD_NOT_ALLOWED, "gRPC calls are POST")
        } else if !is_grpc(&request) {
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the content type of gRPC is application/grpc",
            )
        } else {
            return next.call_boxed(request);
        };
        let fault = Fault::new(Kind::InvalidArgument, "NOT_GRPC", message);
        let mut reply = Status::from(fault).into_http();
        *reply.status_mut() = status;
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// `application/grpc`, with or without `+proto` or a parameter; not `application/grpc-web`.
fn is_grpc(request: &Request<Body>) -> bool {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(http::HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_its_cousins() {
        for (kind, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let request = Request::builder()
                .header(header::CONTENT_TYPE, kind)
                .body(Body::empty());
            assert_eq!(is_grpc(&request.expect("a request")), grpc, "{kind}");
        }
    }
}
