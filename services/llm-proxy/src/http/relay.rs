//! A request passed on, and its answer passed back.

mod gather;
mod passed;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use polyphony_error::Fault;
use tokio::time::Instant;

use super::body::{Reply, json_reply};
use super::scan::{NotAnObject, Scan, scan};
use super::usage::{Watcher, usage_of_response};
use super::{Caller, fault};
use crate::cache::{Cached, Key};
use crate::chunk::{Event, usage_of};
use crate::config::Policy;
use crate::domain::{Preference, Times, Usage};
use crate::error::Error;
use crate::exchange::{Taken, Want};
use crate::failure::{Failure, What};
use crate::metrics::{self, Door};
use crate::proxy::Proxy;
use crate::upstream::ModelKind;
use passed::{Opened, Passed};
pub(crate) use stream::Stream;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Rerank,
    Responses,
}

/// Which upstream answered.
const UPSTREAM: HeaderName = HeaderName::from_static("x-polyphony-upstream");
/// The answer comes from the cache.
const CACHE: HeaderName = HeaderName::from_static("x-polyphony-cache");

/// Passes a request on.
pub(super) async fn relay(
    proxy: &Arc<Proxy>,
    endpoint: Endpoint,
    caller: Caller,
    body: Bytes,
) -> Result<Response<Reply>, Fault> {
    let began = Instant::now();
    let scan = scan(&body).map_err(|NotAnObject(at)| {
        Fault::invalid("body", format!("is no JSON object with one model, at byte {at}"))
    })?;
    let permit = proxy.answer()?;
    proxy.keys.admit(&caller.who)?;
    let preference = Preference {
        policy: (!caller.session.is_empty()).then_some(Policy::Session),
        session_key: caller.session.clone(),
        upstream: String::new(),
    };
    let model = scan
        .model
        .as_ref()
        .map_or("", |(_, name)| name.as_str())
        .to_owned();
    let want = Want {
        model: &model,
        kind: endpoint.kind(),
        preference: &preference,
        prompt: scan.prompt.clone().map(|prompt| &body[prompt]),
        deadline: caller.deadline,
    };
    let exchange = proxy.exchange();
    let may_cache = proxy.config.cache.enabled && scan.is_repeatable && !scan.stream;
    let key = match may_cache {
        true => {
            let meant = exchange.meant(&want).map_err(Fault::from)?;
            Some(Key::of_body(&caller.who, endpoint.path(), &meant.model, &body))
        }
        false => None,
    };
    if let Some(key) = &key
        && let Some(Cached::Body(body)) = proxy.cache.get(key)
    {
        let mut reply = json_reply(StatusCode::OK, body);
        reply.headers_mut().insert(CACHE, HeaderValue::from_static("hit"));
        return Ok(reply);
    }
    let passed = Passed::new(
        endpoint,
        &body,
        &scan,
        &caller.id,
        proxy.config.max_answer.as_usize(),
    );
    let Taken { opened, way, place } = match Box::pin(exchange.send(&want, &passed)).await {
        Ok(taken) => taken,
        Err(error) => return refused(error),
    };
    let name = HeaderValue::from_str(&way.upstream.name).unwrap_or(HeaderValue::from_static("?"));
    let mut reply = match opened {
        Opened::Whole(answer) => {
            let usage = usage_of(&answer)
                .filter(Usage::is_known)
                .or_else(|| usage_of_response(&answer));
            let usage = usage.unwrap_or_default();
            let now = Instant::now();
            let times = Times {
                queue: way.queue,
                first_token: None,
                prefill: Some(now - way.sent),
                decode: None,
                total: now - began,
            };
            metrics::answered(&way, Door::Http, &times, &usage);
            proxy.keys.spend(&caller.who, &usage);
            if let Some(key) = key.filter(|_| is_complete(&answer)) {
                // A copy: a piece of a larger buffer would hold all of it.
                proxy
                    .cache
                    .put(key, Cached::Body(Bytes::copy_from_slice(&answer)));
            }
            json_reply(StatusCode::OK, answer)
        }
        Opened::Stream { body, ahead } => {
            let watcher = Watcher::new(passed.wants_usage(), scan.answers.unwrap_or(1));
            let stream = Stream::new(
                proxy,
                caller,
                (way, place, permit),
                body,
                ahead,
                watcher,
                began,
                want.deadline,
            );
            let mut reply = Response::new(Reply::Stream(Box::new(stream)));
            let headers = reply.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            );
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            reply
        }
    };
    reply.headers_mut().insert(UPSTREAM, name);
    Ok(reply)
}

/// Whether a whole answer says why it ended; what says anything else is not kept.
fn is_complete(answer: &[u8]) -> bool {
    matches!(Event::parse(answer), Ok(Event::Chunk(chunk)) if !chunk.finished.is_empty())
}

/// What an upstream says in OpenAI's own shape is passed on as it is; all else is ours to say.
fn refused(error: Error) -> Result<Response<Reply>, Fault> {
    let Error::Upstream(Failure {
        what: What::Said(said),
        upstream,
        after_tokens,
    }) = error
    else {
        return Err(error.into());
    };
    let is_object = |body: &[u8]| {
        let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        json.is_some_and(|json| json.get("error").is_some_and(serde_json::Value::is_object))
    };
    // Its word about a key is about ours.
    let is_about_us = matches!(said.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_about_us || !is_object(&said.body) {
        let status = said.status;
        let fault = Fault::from(Failure {
            what: What::Said(said),
            upstream,
            after_tokens,
        });
        let mut reply = fault::response(&fault);
        if !is_about_us {
            *reply.status_mut() = status;
        }
        return Ok(reply);
    }
    let after = said.retry_after;
    let mut reply = json_reply(said.status, said.body);
    if let Some(after) = after {
        reply
            .headers_mut()
            .insert(http::header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    Ok(reply)
}

// === impl Endpoint ===

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Rerank => "/v1/rerank",
            Self::Responses => "/v1/responses",
        }
    }

    fn kind(self) -> ModelKind {
        match self {
            Self::Chat | Self::Completions | Self::Responses => ModelKind::Chat,
            Self::Embeddings => ModelKind::Embedding,
            Self::Rerank => ModelKind::Rerank,
        }
    }

    /// Whether its streams tell their usage only when they are asked to.
    fn has_stream_options(self) -> bool {
        matches!(self, Self::Chat | Self::Completions)
    }
}

/// The fields of a request that matter, for `passed`.
type Fields<'a> = (&'a Bytes, &'a Scan);
