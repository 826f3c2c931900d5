//! An answer that was asked for whole and comes as a stream all the same, as of servers that know nothing else: put together
//! before it is passed on, so that clients get what they asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::answer::{Answer, Choice};
use crate::chat::Chunks;
use crate::chunk::Event;
use crate::domain::{Finish, Part, TokenLogprob, Usage};
use crate::failure::{Said, What};
use crate::upstream::Upstream;

/// The answer as OpenAI's `chat.completion`.
pub(super) async fn gather(
    upstream: &Arc<Upstream>,
    response: Response<Incoming>,
    model: &str,
    most: usize,
) -> Result<Bytes, What> {
    let mut chunks = Chunks::new(upstream, response, most as u64);
    let (mut answer, mut usage, mut id) = (Answer::default(), None, String::new());
    let mut logprobs: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
    loop {
        match chunks.next(None).await? {
            Some(Event::Chunk(chunk)) => {
                if id.is_empty() {
                    id = chunk.id;
                }
                for delta in chunk.deltas {
                    answer.add(&delta);
                    let tokens = delta.logprobs.into_iter().map(token);
                    logprobs.entry(delta.index).or_default().extend(tokens);
                }
                for (index, finish) in chunk.finished {
                    answer.finish(index, finish);
                }
                usage = chunk.usage.filter(Usage::is_known).or(usage);
            }
            Some(Event::Error(error)) => return Err(What::Said(Said::of_event(&error))),
            Some(Event::Done) => break,
            None if answer.is_finished(1) => break,
            None => return Err(What::Broke("the stream ended without saying why".to_owned())),
        }
    }
    let choices = answer.choices(Finish::Unsaid).into_iter().map(|choice| {
        let tokens = logprobs.remove(&choice.index).filter(|tokens| !tokens.is_empty());
        written(choice, tokens)
    });
    let created = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut whole = json!({
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": choices.collect::<Vec<_>>(),
    });
    if let Some(usage) = usage {
        whole["usage"] = json!({
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total(),
        });
    }
    Ok(whole.to_string().into())
}

fn written(choice: Choice, tokens: Option<Vec<Value>>) -> Value {
    let Choice {
        index,
        finish,
        message,
    } = choice;
    let text: String = message
        .content
        .into_iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Image { .. } | Part::Audio { .. } => None,
        })
        .collect();
    let mut said = json!({"role": "assistant", "content": text});
    if !message.tool_calls.is_empty() {
        if text.is_empty() {
            said["content"] = Value::Null;
        }
        let calls = message.tool_calls.into_iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        });
        said["tool_calls"] = calls.collect();
    }
    for (key, text) in [
        ("reasoning_content", message.reasoning),
        ("refusal", message.refusal),
    ] {
        if !text.is_empty() {
            said[key] = text.into();
        }
    }
    let reason = match finish {
        Finish::Stop => Some("stop"),
        Finish::Length => Some("length"),
        Finish::ToolCalls => Some("tool_calls"),
        Finish::ContentFilter => Some("content_filter"),
        Finish::Unsaid | Finish::Cancelled => None,
    };
    let tokens = tokens.map(|tokens| json!({"content": tokens}));
    json!({"index": index, "message": said, "finish_reason": reason, "logprobs": tokens})
}

fn token(token: TokenLogprob) -> Value {
    let top: Vec<Value> = token.top.into_iter().map(self::token).collect();
    json!({"token": token.token, "logprob": token.logprob, "bytes": token.bytes, "top_logprobs": top})
}
