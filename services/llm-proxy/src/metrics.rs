//! The names the proxy is measured by; where OpenTelemetry's conventions for generative AI have a name, it is theirs. Calls
//! themselves are counted by the chassis.

use std::time::Duration;

use http::StatusCode;
use metrics::{counter, gauge, histogram};

use crate::domain::{Times, Usage};
use crate::exchange::Way;
use crate::failure::Failure;
use crate::upstream::{Circuit, Health, Upstream};

/// Seconds of a whole answer. Labels `gen_ai_request_model`, `upstream`, `door` (`grpc`, `http`).
const DURATION: &str = "gen_ai_server_request_duration_seconds";
/// Seconds from the request to its first token. Labels as above.
const FIRST_TOKEN: &str = "gen_ai_server_time_to_first_token_seconds";
/// Seconds of each token after the first, on average over an answer. Labels as above.
const PER_TOKEN: &str = "gen_ai_server_time_per_output_token_seconds";
/// Tokens. Labels `gen_ai_request_model`, `upstream`, `gen_ai_token_type` (`input`, `output`, `cached`).
const TOKENS: &str = "gen_ai_client_token_usage_total";
/// Seconds that a request waited for a place. Label `upstream`.
const QUEUE: &str = "polyphony_llm_queue_seconds";
/// Requests refused because the queue was full. Label `upstream`.
const QUEUE_FULL: &str = "polyphony_llm_queue_full_total";
/// Requests sent and not yet answered in full. Label `upstream`.
const IN_FLIGHT: &str = "polyphony_llm_in_flight";
/// Requests that wait for a place. Label `upstream`.
const QUEUED: &str = "polyphony_llm_queued";
/// Whether an upstream answers: 1 or 0. Label `upstream`.
const UP: &str = "polyphony_llm_upstream_up";
/// Whether its circuit is open: 1 or 0. Label `upstream`.
const CIRCUIT: &str = "polyphony_llm_circuit_open";
/// Failures of upstreams. Labels `upstream`, `reason`.
const FAILED: &str = "polyphony_llm_upstream_failures_total";
/// Tries after the first. Label `reason`: why the one before failed.
const RETRIES: &str = "polyphony_llm_retries_total";
/// Second requests sent because the first took long. No label.
const HEDGES: &str = "polyphony_llm_hedges_total";
/// Answers looked for in the cache. Label `found` (`yes`, `no`).
const CACHE: &str = "polyphony_llm_cache_lookups_total";

/// Requests to the HTTP door that were answered, or whose answer has begun. Label `status`.
const REPLIED: &str = "polyphony_llm_http_replies_total";

/// Through which door a request came.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    Grpc,
    Http,
}

pub(crate) fn upstream_failed(failure: &Failure) {
    counter!(FAILED, "upstream" => failure.upstream.to_string(), "reason" => failure.word()).increment(1);
}

pub(crate) fn retried(failure: &Failure) {
    counter!(RETRIES, "reason" => failure.word()).increment(1);
}

pub(crate) fn hedged() {
    counter!(HEDGES).increment(1);
}

pub(crate) fn queue_full(upstream: &str) {
    counter!(QUEUE_FULL, "upstream" => upstream.to_owned()).increment(1);
}

pub(crate) fn queued_for(upstream: &str, time: Duration) {
    histogram!(QUEUE, "upstream" => upstream.to_owned()).record(time);
}

pub(crate) fn looked_up(found: bool) {
    counter!(CACHE, "found" => if found { "yes" } else { "no" }).increment(1);
}

pub(crate) fn replied(status: StatusCode) {
    counter!(REPLIED, "status" => status.as_u16().to_string()).increment(1);
}

/// How an upstream stands.
pub(crate) fn stands(upstream: &Upstream) {
    let name = upstream.name.to_string();
    let (taken, queued) = upstream.lane.load();
    let is_up = upstream.seen().sight.health == Health::Healthy;
    let is_open = matches!(
        upstream.breaker.circuit(std::time::Instant::now()),
        Circuit::Open(_)
    );
    for (gauge, value) in [
        (gauge!(IN_FLIGHT, "upstream" => name.clone()), taken as f64),
        (gauge!(QUEUED, "upstream" => name.clone()), queued as f64),
        (gauge!(UP, "upstream" => name.clone()), f64::from(u8::from(is_up))),
        (gauge!(CIRCUIT, "upstream" => name), f64::from(u8::from(is_open))),
    ] {
        gauge.set(value);
    }
}

/// An answer is complete.
pub(crate) fn answered(way: &Way, door: Door, times: &Times, usage: &Usage) {
    let labels = [
        ("gen_ai_request_model", way.model.clone()),
        ("upstream", way.upstream.name.to_string()),
        (
            "door",
            match door {
                Door::Grpc => "grpc",
                Door::Http => "http",
            }
            .to_owned(),
        ),
    ];
    histogram!(DURATION, &labels).record(times.total);
    if let Some(first) = times.first_token {
        histogram!(FIRST_TOKEN, &labels).record(first);
    }
    if let (Some(decode), Some(tokens)) = (times.decode, usage.completion_tokens)
        && tokens > 1
    {
        histogram!(PER_TOKEN, &labels).record(decode.div_f64(f64::from(tokens - 1)));
    }
    let [model, upstream, _] = labels;
    for (kind, tokens) in [
        ("input", usage.prompt_tokens),
        ("output", usage.completion_tokens),
        ("cached", usage.cached_tokens),
    ] {
        if let Some(tokens) = tokens {
            let labels = [
                model.clone(),
                upstream.clone(),
                ("gen_ai_token_type", kind.to_owned()),
            ];
            counter!(TOKENS, &labels).increment(u64::from(tokens));
        }
    }
}
