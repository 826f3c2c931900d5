//! The head of a request on its way through: what is taken off, what is added, what is rewritten.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use polyphony_gateway_core::GrpcTimeout;
use std::time::Duration;

use crate::refusal::Refusal;

/// The client's deadline.
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Names a call in every log it passes.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Timeouts, retries and routing of an Envoy can be set through these; from outside they are never honoured.
const CONTROL: &str = "x-envoy-";

/// Whether the request is gRPC and so wants its errors in trailers.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// What the client asked for, if it asked.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    let parsed = GrpcTimeout::parse(value.as_bytes());
    parsed.map(Some).map_err(|_| Refusal::BadTimeout)
}

/// Tells the endpoint how long it has.
pub(crate) fn set_timeout(headers: &mut HeaderMap, left: Duration) {
    if let Ok(value) = HeaderValue::from_bytes(GrpcTimeout::new(left).as_bytes()) {
        headers.insert(GRPC_TIMEOUT, unindexed(value));
    }
}

/// Takes off what belongs to the last hop or must not come from outside, and names the call if it has no name.
pub(crate) fn sanitise(headers: &mut HeaderMap) {
    let mut off: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        if name.as_str().starts_with(CONTROL) || is_hop_by_hop(name) {
            off.push(name.clone());
        }
    }
    for name in off {
        headers.remove(name);
    }
    // gRPC needs `te: trailers`; any other coding is between the client and us.
    if headers.get(header::TE).is_some_and(|value| value != "trailers") {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if !headers.contains_key(REQUEST_ID) {
        headers.insert(REQUEST_ID, unindexed(request_id()));
    }
}

/// The address of the same resource at an endpoint: its path, the client's authority, our scheme.
pub(crate) fn uri(uri: &Uri, headers: &HeaderMap, fallback: &Authority, tls: bool) -> Uri {
    let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
    if uri.authority().is_some() && uri.scheme() == Some(&scheme) {
        return uri.clone();
    }
    let host = || {
        headers
            .get(header::HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok())
    };
    let authority = uri
        .authority()
        .cloned()
        .or_else(host)
        .unwrap_or_else(|| fallback.clone());
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(
        uri.path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
    );
    // All three parts are there and valid, which is all that is asked of them.
    Uri::from_parts(parts).unwrap_or_default()
}

/// RFC 9110 §7.6.1. `te` is kept: HTTP/2 allows it with the one value that gRPC needs.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    const KEEP_ALIVE: &str = "keep-alive";
    const PROXY_CONNECTION: &str = "proxy-connection";
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || *name == header::PROXY_AUTHORIZATION
        || *name == header::HOST
        || name == KEEP_ALIVE
        || name == PROXY_CONNECTION
}

/// A value that no other call will have, kept out of the tables of HPACK at both ends: there it would only push out those
/// that come again.
fn unindexed(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// A random UUID (version 4, RFC 9562), which is what other proxies put there.
fn request_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (n, byte) in bytes.into_iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_headers_from_outside_do_not_pass_and_the_others_do() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-envoy-max-retries", "9"),
            ("connection", "close"),
            ("te", "trailers"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("x-session-affinity", "abc"),
            ("blob-bin", "AAEC"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        sanitise(&mut headers);
        let mut left = headers.keys().map(HeaderName::as_str).collect::<Vec<_>>();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "blob-bin",
                "te",
                "traceparent",
                "x-request-id",
                "x-session-affinity"
            ]
        );
    }

    #[test]
    fn a_call_keeps_its_name_or_gets_a_fresh_uuid() {
        let mut headers = HeaderMap::new();
        sanitise(&mut headers);
        let id = headers[&REQUEST_ID].to_str().expect("text").to_owned();
        let groups = id.split('-').map(str::len).collect::<Vec<_>>();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        sanitise(&mut headers);
        assert_eq!(headers[&REQUEST_ID], id);
    }

    #[test]
    fn the_path_and_authority_stay_and_the_scheme_is_ours() {
        let fallback = Authority::from_static("127.0.0.1:7001");
        let none = HeaderMap::new();
        let from_tls = Uri::from_static("https://mesh.example/a.B/C");
        assert_eq!(
            uri(&from_tls, &none, &fallback, false),
            "http://mesh.example/a.B/C"
        );
        assert_eq!(uri(&from_tls, &none, &fallback, true), from_tls);
        let bare = Uri::from_static("/a.B/C");
        assert_eq!(uri(&bare, &none, &fallback, false), "http://127.0.0.1:7001/a.B/C");
    }
}
