//! How upstreams stand and where requests went, to the wire.

use std::time::Instant;

use polyphony_proto::llm::v1 as pb;
use polyphony_wire::wire_duration;

use crate::config::Policy;
use crate::domain::Times;
use crate::exchange::Way;
use crate::fleet::{Choice, Listed};
use crate::local::LocalModel;
use crate::upstream::{Circuit, Health, ModelKind, Upstream};

/// Where a request went.
pub(crate) fn route(way: &Way, times: &Times) -> pb::Route {
    pb::Route {
        upstream: way.upstream.name.to_string(),
        kind: way.upstream.kind.name().to_owned(),
        upstream_model: way.there.clone(),
        policy: policy(way.policy).into(),
        reason: way.reason.clone(),
        attempts: way.attempts,
        queue_duration: Some(wire_duration(way.queue)),
        first_token_duration: times.first_token.map(wire_duration),
    }
}

/// Where a request would go.
pub(crate) fn would(choice: &Choice) -> pb::Route {
    pb::Route {
        upstream: choice.upstream.name.to_string(),
        kind: choice.upstream.kind.name().to_owned(),
        upstream_model: choice.there.clone(),
        policy: policy(choice.policy).into(),
        reason: choice.reason.clone(),
        attempts: 0,
        queue_duration: None,
        first_token_duration: None,
    }
}

pub(super) fn policy(policy: Policy) -> pb::RoutePolicy {
    match policy {
        Policy::LeastLoad => pb::RoutePolicy::LeastLoad,
        Policy::PrefixAffinity => pb::RoutePolicy::PrefixAffinity,
        Policy::Session => pb::RoutePolicy::Session,
        Policy::RoundRobin => pb::RoutePolicy::RoundRobin,
    }
}

/// A model that can be asked for.
pub(crate) fn model(listed: Listed) -> pb::LanguageModel {
    let Listed {
        name,
        aliases,
        model,
        upstreams,
    } = listed;
    pb::LanguageModel {
        model: name,
        aliases,
        kinds: model.kinds.iter().map(|one| kind(*one).into()).collect(),
        context_length: model.context_length,
        embedding_dimensions: model.dimensions,
        vision: model.vision.unwrap_or(false),
        tool_calls: model.tools.unwrap_or(false),
        upstreams: upstreams.iter().map(|upstream| status(upstream)).collect(),
    }
}

/// A model that runs here.
pub(crate) fn local(local: LocalModel) -> pb::LanguageModel {
    let kind = if local.is_reranker {
        pb::ModelKind::Rerank
    } else {
        pb::ModelKind::Embedding
    };
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    pb::LanguageModel {
        model: local.name,
        kinds: vec![kind.into()],
        context_length: number(local.max_tokens),
        embedding_dimensions: number(local.dimensions),
        ..pb::LanguageModel::default()
    }
}

fn kind(kind: ModelKind) -> pb::ModelKind {
    match kind {
        ModelKind::Chat => pb::ModelKind::Chat,
        ModelKind::Embedding => pb::ModelKind::Embedding,
        ModelKind::Rerank => pb::ModelKind::Rerank,
    }
}

/// How an upstream stands.
pub(crate) fn status(upstream: &Upstream) -> pb::UpstreamStatus {
    let seen = upstream.seen();
    let (taken, queued) = upstream.lane.load();
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let circuit = upstream.breaker.circuit(Instant::now());
    let (health, message) = match (seen.sight.health, circuit) {
        (Health::Unhealthy, _) => (pb::UpstreamHealth::Unhealthy, seen.sight.message.clone()),
        (Health::Loading, _) => (pb::UpstreamHealth::Loading, seen.sight.message.clone()),
        (_, Circuit::Open(left)) => {
            let text = format!("it failed too often and rests for {left:.0?}");
            (pb::UpstreamHealth::CircuitOpen, text)
        }
        (Health::Healthy, _) => (pb::UpstreamHealth::Healthy, String::new()),
        (Health::Unknown, _) => (
            pb::UpstreamHealth::Unspecified,
            "nobody has looked yet".to_owned(),
        ),
    };
    pb::UpstreamStatus {
        upstream: upstream.name.to_string(),
        kind: upstream.kind.name().to_owned(),
        health: health.into(),
        health_message: message,
        in_flight: number(taken),
        max_in_flight: number(upstream.lane.most()),
        queued: number(queued),
        kv_cache_usage: seen.sight.load.kv_cache,
    }
}
