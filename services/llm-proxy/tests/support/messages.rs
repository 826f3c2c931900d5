//! Requests, and what upstreams say.

use polyphony_proto::llm::v1 as pb;
use serde_json::{Value, json};

/// What a person says.
pub(crate) fn user(text: &str) -> pb::ChatMessage {
    said(pb::Role::User, text)
}

pub(crate) fn said(role: pb::Role, text: &str) -> pb::ChatMessage {
    pb::ChatMessage {
        role: role.into(),
        content: vec![pb::ContentPart {
            part: Some(pb::content_part::Part::Text(text.to_owned())),
        }],
        ..pb::ChatMessage::default()
    }
}

/// A question to model "m".
pub(crate) fn ask(text: &str) -> pb::ChatRequest {
    pb::ChatRequest {
        model: "m".to_owned(),
        messages: vec![user(text)],
        ..pb::ChatRequest::default()
    }
}

/// The text of a message.
pub(crate) fn text_of(message: &pb::ChatMessage) -> String {
    let parts = message.content.iter().filter_map(|part| match &part.part {
        Some(pb::content_part::Part::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    parts.collect()
}

/// An event of a stream.
pub(crate) fn event(json: &Value) -> String {
    format!("data: {json}\n\n")
}

/// A piece of an answer.
pub(crate) fn piece(delta: Value) -> String {
    event(
        &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}),
    )
}

/// The end of an answer, with what it took.
pub(crate) fn end(reason: &str) -> String {
    let finish =
        event(&json!({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
    let usage = event(
        &json!({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}}}),
    );
    format!("{finish}{usage}data: [DONE]\n\n")
}

/// A whole answer as a stream.
pub(crate) fn answer(words: &[&str]) -> String {
    let pieces = words.iter().map(|word| piece(json!({"content": word})));
    let begin = piece(json!({"role": "assistant", "content": ""}));
    std::iter::once(begin)
        .chain(pieces)
        .chain([end("stop")])
        .collect()
}
