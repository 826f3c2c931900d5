//! The pages of the admin port, as a function of the request.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::Admin;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The Prometheus text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "\
/livez    200 while the process lives
/readyz   200 when it is ready, else 503 and what it waits for
/metrics  Prometheus metrics
/configz  the effective configuration and where each value came from
";

/// What `/readyz` says.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    awaiting: Vec<String>,
    /// Methods that cannot do their work, with what they wait for. The process is ready without them.
    methods_awaiting: Vec<String>,
}

/// Answers one request. Its body is never read.
pub(super) fn answer<B>(admin: &Admin, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        let mut refusal = page(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "only GET is answered here\n",
        );
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        return refusal;
    }
    match request.uri().path() {
        "/" => page(StatusCode::OK, TEXT, INDEX),
        "/livez" => page(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => {
            let methods = admin.readiness.methods_not_ready().into_iter();
            let methods = methods.map(|(method, what)| format!("{method}: {what}"));
            ready((admin.awaited)(), methods.collect())
        }
        "/metrics" => page(StatusCode::OK, EXPOSITION, admin.metrics.render()),
        "/configz" => page(StatusCode::OK, TEXT, admin.config.to_string()),
        _ => page(StatusCode::NOT_FOUND, TEXT, INDEX),
    }
}

fn ready(awaiting: Vec<String>, methods_awaiting: Vec<String>) -> Response<Full<Bytes>> {
    let ready = awaiting.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // A bool and strings always are JSON; were they not, the status alone would say it.
    let said = Ready {
        ready,
        awaiting,
        methods_awaiting,
    };
    let body = serde_json::to_string(&said).unwrap_or_default();
    page(status, JSON, body + "\n")
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
