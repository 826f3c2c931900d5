//! The pieces of an answer to the wire.

use polyphony_proto::llm::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::wire_duration;

use super::status::route;
use crate::answer::Choice;
use crate::chat::{Completed, Started, Told};
use crate::domain::{CallDelta, Delta, Finish, Message, Part, Role, Times, TokenLogprob, ToolCall, Usage};
use crate::exchange::Way;
use crate::upstream::Queued;

/// An event of an answer.
pub(crate) fn event(told: Told, request_id: &str) -> pb::ChatResponse {
    use pb::chat_response::Event;
    let event = match told {
        Told::Queued(place) => Event::Queued(queued(place)),
        Told::Started(started_at) => Event::Started(started(started_at)),
        Told::Delta(piece) => Event::Delta(delta(piece)),
        Told::Completed(whole) => Event::Completed(completed(whole, request_id)),
    };
    pb::ChatResponse { event: Some(event) }
}

fn queued(queued: Queued) -> types::QueueStatus {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    types::QueueStatus {
        position: number(queued.position),
        depth: number(queued.depth),
        estimated_wait_duration: queued.wait.map(wire_duration),
    }
}

fn started(started: Started) -> pb::ChatStarted {
    let Started {
        id,
        model,
        way,
        cached,
        times,
    } = started;
    pb::ChatStarted {
        id,
        model,
        route: way.map(|way| route(&way, &times)),
        cached,
    }
}

fn delta(delta: Delta) -> pb::ChatDelta {
    let Delta {
        index,
        content,
        reasoning,
        refusal,
        tool_calls,
        logprobs,
    } = delta;
    pb::ChatDelta {
        index,
        content,
        reasoning_content: reasoning,
        refusal,
        tool_calls: tool_calls.into_iter().map(call_delta).collect(),
        logprobs: logprobs.into_iter().map(logprob).collect(),
    }
}

fn call_delta(delta: CallDelta) -> pb::ToolCallDelta {
    let CallDelta {
        index,
        id,
        name,
        arguments,
    } = delta;
    pb::ToolCallDelta {
        index,
        id,
        name,
        arguments,
    }
}

/// How likely a token was.
pub(crate) fn logprob(token: TokenLogprob) -> pb::TokenLogprob {
    let TokenLogprob {
        token,
        bytes,
        logprob: value,
        top,
    } = token;
    pb::TokenLogprob {
        token,
        token_bytes: bytes.into(),
        logprob: value,
        top_logprobs: top.into_iter().map(logprob).collect(),
    }
}

fn completed(completed: Completed, request_id: &str) -> pb::ChatCompleted {
    let Completed {
        choices,
        usage: took,
        model,
        way,
        times,
        seed,
    } = completed;
    pb::ChatCompleted {
        choices: choices.into_iter().map(choice).collect(),
        usage: Some(pb::Usage {
            prefill_duration: times.prefill.map(wire_duration),
            decode_duration: times.decode.map(wire_duration),
            ..usage(took)
        }),
        route: way.as_ref().map(|way| route(way, &times)),
        receipt: Some(receipt(request_id, &model, way.as_ref(), &times, seed)),
    }
}

/// With what a request was done. What an upstream does not say is left empty: the digest of the model, and the device.
pub(crate) fn receipt(
    request_id: &str,
    model: &str,
    way: Option<&Way>,
    times: &Times,
    seed: Option<u64>,
) -> types::Receipt {
    let version = way.and_then(|way| way.upstream.seen().sight.version.clone());
    let kind = way.map(|way| way.upstream.kind.name());
    types::Receipt {
        request_id: request_id.to_owned(),
        model: model.to_owned(),
        model_digest: String::new(),
        engine: kind.unwrap_or("cache").to_owned(),
        engine_version: match (kind, version) {
            (Some(kind), Some(version)) => format!("{kind} {version}"),
            _ => String::new(),
        },
        device: String::new(),
        seed,
        timings: Some(types::Timings {
            queue_duration: way.map(|_| wire_duration(times.queue)),
            load_duration: None,
            inference_duration: times
                .prefill
                .map(|prefill| wire_duration(prefill + times.decode.unwrap_or_default())),
            total_duration: Some(wire_duration(times.total)),
        }),
        degraded: way.and_then(degraded),
    }
}

fn degraded(way: &Way) -> Option<types::Degradation> {
    let asked = way.stands_in_for.as_ref()?;
    let model = &way.model;
    Some(types::Degradation {
        reason: "MODEL_STANDS_IN".to_owned(),
        message: format!("no upstream that answers has {asked}; {model} stands in for it, as an alias says"),
    })
}

fn choice(choice: Choice) -> pb::ChatChoice {
    let Choice {
        index,
        finish,
        message: said,
    } = choice;
    pb::ChatChoice {
        index,
        finish_reason: match finish {
            Finish::Unsaid => pb::FinishReason::Unspecified,
            Finish::Stop => pb::FinishReason::Stop,
            Finish::Length => pb::FinishReason::Length,
            Finish::ToolCalls => pb::FinishReason::ToolCalls,
            Finish::ContentFilter => pb::FinishReason::ContentFilter,
            Finish::Cancelled => pb::FinishReason::Cancelled,
        }
        .into(),
        message: Some(message(said)),
    }
}

fn message(message: Message) -> pb::ChatMessage {
    let Message {
        role,
        content,
        name,
        tool_calls,
        tool_call_id,
        reasoning,
        refusal,
    } = message;
    let text = |part| match part {
        Part::Text(text) => Some(pb::ContentPart {
            part: Some(pb::content_part::Part::Text(text)),
        }),
        // Models write text.
        Part::Image { .. } | Part::Audio { .. } => None,
    };
    pb::ChatMessage {
        role: match role {
            Role::System => pb::Role::System,
            Role::User => pb::Role::User,
            Role::Assistant => pb::Role::Assistant,
            Role::Tool => pb::Role::Tool,
        }
        .into(),
        content: content.into_iter().filter_map(text).collect(),
        name,
        tool_calls: tool_calls.into_iter().map(call).collect(),
        tool_call_id,
        reasoning_content: reasoning,
        refusal,
    }
}

fn call(call: ToolCall) -> pb::ToolCall {
    let ToolCall { id, name, arguments } = call;
    pb::ToolCall { id, name, arguments }
}

/// What an answer took.
pub(crate) fn usage(usage: Usage) -> pb::Usage {
    let Usage {
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        reasoning_tokens,
    } = usage;
    pb::Usage {
        prompt_tokens,
        completion_tokens,
        cached_tokens,
        reasoning_tokens,
        prefill_duration: None,
        decode_duration: None,
    }
}
