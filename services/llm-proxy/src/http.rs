//! The OpenAI-compatible door: bytes in, bytes out. Only the model's name is put in, and only the usage is read.

mod body;
mod embeddings;
mod fault;
mod models;
mod relay;
mod scan;
mod usage;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use polyphony_chassis::accept::{self, Options};
use polyphony_chassis::config::ServerConfig;
use polyphony_chassis::tls::ServerTls;
use polyphony_chassis::{Drain, Shutdown};
use polyphony_error::Fault;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};

use crate::error::Error;
use crate::keys::Who;
use crate::metrics;
use crate::proxy::Proxy;
use crate::serve::StartError;
use body::Reply;
use relay::{Endpoint, relay};

/// Names a call, in logs and to the caller.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves until `shutdown`, and drains as the gRPC server does.
pub(crate) async fn serve(
    listener: TcpListener,
    proxy: Arc<Proxy>,
    config: &ServerConfig,
    shutdown: Shutdown,
) -> Result<(), StartError> {
    let tls = config
        .tls
        .as_ref()
        .map(|tls| ServerTls::load(tls, true))
        .transpose();
    let options = Options {
        connections: config.connections.clone(),
        drain: config.drain.clone(),
        tls: tls.map_err(StartError::Tls)?,
        http1: true,
        stages: Drain::new(),
    };
    if let Ok(addr) = listener.local_addr() {
        tracing::info!(server = "llm-proxy", %addr, "listening for OpenAI's API");
    }
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, Infallible>(Box::pin(answer(&proxy, request)).await) }
    });
    accept::serve(listener, service, options, shutdown).await;
    Ok(())
}

/// Answers one request.
async fn answer(proxy: &Arc<Proxy>, request: Request<Incoming>) -> Response<Reply> {
    let id = request_id(request.headers());
    let mut response = match route(proxy, request, &id).await {
        Ok(response) => response,
        Err(fault) => {
            if fault.kind.is_ours() {
                tracing::error!(error = %polyphony_error::chain(&fault), request_id = ?id, "a request failed");
            }
            fault::response(&fault)
        }
    };
    metrics::replied(response.status());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn route(
    proxy: &Arc<Proxy>,
    request: Request<Incoming>,
    id: &HeaderValue,
) -> Result<Response<Reply>, Fault> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let path = if path.len() > 1 {
        path.trim_end_matches('/')
    } else {
        path
    };
    if path == "/health" && head.method == Method::GET {
        return Ok(models::health(proxy));
    }
    let who = proxy.keys.of_key(bearer(&head.headers))?;
    let endpoint = match (&head.method, path) {
        (&Method::GET, "/v1/models") => return models::list(proxy).await,
        (&Method::GET, _) if path.starts_with("/v1/models/") => {
            return models::one(proxy, &path["/v1/models/".len()..]).await;
        }
        (&Method::POST, "/v1/chat/completions") => Endpoint::Chat,
        (&Method::POST, "/v1/completions") => Endpoint::Completions,
        (&Method::POST, "/v1/embeddings") => Endpoint::Embeddings,
        (&Method::POST, "/v1/rerank" | "/rerank") => Endpoint::Rerank,
        (&Method::POST, "/v1/responses") => Endpoint::Responses,
        (method, path) => {
            let text = format!(
                "{method} {path} is not served here; there are /v1/chat/completions, /v1/completions, \
                /v1/embeddings, /v1/rerank, /v1/responses and /v1/models"
            );
            return Err(Fault::new(polyphony_error::Kind::NotFound, "NO_SUCH_PATH", text));
        }
    };
    let deadline = proxy.deadline(None);
    let body = whole(proxy, &head.headers, body, deadline).await?;
    let caller = Caller {
        who,
        id: id.clone(),
        deadline,
        session: head
            .headers
            .get("x-session-affinity")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    };
    if endpoint == Endpoint::Embeddings
        && let Some(answer) = timeout_at(deadline, embeddings::here(proxy, &caller, &body))
            .await
            .map_err(|_| Error::Late {
                during: "the texts were still being embedded",
            })??
    {
        return Ok(answer);
    }
    relay(proxy, endpoint, caller, body).await
}

/// What is known of a request besides its body.
#[derive(Debug)]
pub(crate) struct Caller {
    who: Who,
    id: HeaderValue,
    /// Keeps a session at one upstream.
    session: String,
    /// When it must be answered.
    deadline: Instant,
}

/// The whole body of a request, within its limits of size and time.
async fn whole(
    proxy: &Proxy,
    headers: &HeaderMap,
    body: Incoming,
    deadline: Instant,
) -> Result<Bytes, Fault> {
    let most = proxy.config.http.max_body.as_usize();
    let too_large = || {
        let text = format!("the body is larger than {most} bytes (llm-proxy.http.max_body)");
        Fault::exhausted("BODY_TOO_LARGE", "llm-proxy.http.max_body", text, None)
    };
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > most) {
        return Err(too_large());
    }
    let collected = timeout_at(deadline, Limited::new(body, most).collect()).await;
    let collected = collected.map_err(|_| {
        let during = "the body of the request was not here yet";
        Fault::from(Error::Late { during })
    })?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Fault::invalid("body", "ended before its end")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The caller's own if it sent a decent one; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let decent = |value: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        (1..=64).contains(&value.len()) && value.as_bytes().iter().all(plain)
    };
    headers
        .get(REQUEST_ID)
        .filter(decent)
        .cloned()
        .unwrap_or_else(|| {
            let text = format!("{:032x}", fastrand::u128(..));
            // Hexadecimal digits are a valid header.
            HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
        })
}
