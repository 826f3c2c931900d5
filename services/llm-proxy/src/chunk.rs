//! One event of a chat completion's stream, read into the pieces of an answer. What is not of OpenAI's shape is refused;
//! what servers add beyond it is skipped.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::{CallDelta, Delta, Finish, TokenLogprob, Usage};

/// What an event says.
#[derive(Debug)]
pub(crate) enum Event {
    /// More of an answer.
    Chunk(Chunk),
    /// The upstream failed.
    Error(Value),
    /// `[DONE]`.
    Done,
}

/// More of an answer.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) id: String,
    pub(crate) deltas: Vec<Delta>,
    /// By the index of the answer.
    pub(crate) finished: Vec<(u32, Finish)>,
    pub(crate) usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    choices: Option<Vec<RawChoice>>,
    #[serde(default)]
    usage: Option<RawUsage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct RawChoice {
    #[serde(default)]
    index: u32,
    /// A stream has `delta`; a server that does not stream after all has `message`.
    #[serde(default, alias = "message")]
    delta: Option<RawDelta>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<RawLogprobs>,
}

#[derive(Deserialize, Default)]
struct RawDelta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<RawCall>>,
}

#[derive(Deserialize)]
struct RawCall {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<RawFunction>,
}

#[derive(Deserialize, Default)]
struct RawFunction {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct RawLogprobs {
    #[serde(default)]
    content: Option<Vec<RawToken>>,
}

#[derive(Deserialize)]
struct RawToken {
    token: String,
    logprob: f32,
    #[serde(default)]
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    top_logprobs: Option<Vec<RawToken>>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(default)]
    prompt_tokens: Option<u32>,
    #[serde(default)]
    completion_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<RawPrompt>,
    #[serde(default)]
    completion_tokens_details: Option<RawCompletion>,
}

#[derive(Deserialize)]
struct RawPrompt {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct RawCompletion {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

// === impl Event ===

impl Event {
    /// Reads the data of an event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, serde_json::Error> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(Self::Done);
        }
        let raw: Raw = serde_json::from_slice(data)?;
        if let Some(error) = raw.error.filter(|error| !error.is_null()) {
            return Ok(Self::Error(error));
        }
        let Some(choices) = raw.choices else {
            // Older vLLM sends its errors bare.
            let value: Value = serde_json::from_slice(data)?;
            if value.get("object").and_then(Value::as_str) == Some("error") {
                return Ok(Self::Error(value));
            }
            if raw.usage.is_none() {
                return Err(<serde_json::Error as serde::de::Error>::missing_field("choices"));
            }
            return Ok(Self::Chunk(Chunk {
                usage: raw.usage.map(usage),
                ..Chunk::default()
            }));
        };
        let mut chunk = Chunk {
            id: raw.id.unwrap_or_default(),
            usage: raw.usage.map(usage),
            ..Chunk::default()
        };
        for choice in choices {
            if let Some(reason @ ("abort" | "error")) = choice.finish_reason.as_deref() {
                // So vLLM and SGLang end what they could not finish; it is no end of an answer.
                let message = format!("it ended the answer itself (finish_reason \"{reason}\")");
                return Ok(Self::Error(json!({ "message": message })));
            }
            chunk.add(choice);
        }
        Ok(Self::Chunk(chunk))
    }
}

// === impl Chunk ===

impl Chunk {
    fn add(&mut self, choice: RawChoice) {
        let RawChoice {
            index,
            delta,
            finish_reason,
            logprobs,
        } = choice;
        let RawDelta {
            content,
            reasoning_content,
            reasoning,
            refusal,
            tool_calls,
        } = delta.unwrap_or_default();
        let calls = tool_calls.unwrap_or_default().into_iter().enumerate();
        let delta = Delta {
            index,
            content: content.unwrap_or_default(),
            reasoning: reasoning_content.or(reasoning).unwrap_or_default(),
            refusal: refusal.unwrap_or_default(),
            tool_calls: calls.map(|(at, call)| call.delta(at)).collect(),
            logprobs: logprobs
                .and_then(|logprobs| logprobs.content)
                .unwrap_or_default()
                .into_iter()
                .map(token)
                .collect(),
        };
        let is_empty = Delta {
            index,
            ..Delta::default()
        } == delta;
        if !is_empty {
            self.deltas.push(delta);
        }
        if let Some(reason) = finish_reason {
            self.finished.push((index, finish(&reason)));
        }
    }
}

// === impl RawCall ===

impl RawCall {
    fn delta(self, at: usize) -> CallDelta {
        let function = self.function.unwrap_or_default();
        CallDelta {
            // Whole calls come without an index; they are in order.
            index: self
                .index
                .unwrap_or_else(|| u32::try_from(at).unwrap_or(u32::MAX)),
            id: self.id.unwrap_or_default(),
            name: function.name.unwrap_or_default(),
            arguments: function.arguments.unwrap_or_default(),
        }
    }
}

fn token(raw: RawToken) -> TokenLogprob {
    TokenLogprob {
        bytes: raw.bytes.unwrap_or_else(|| raw.token.clone().into_bytes()),
        token: raw.token,
        logprob: raw.logprob,
        top: raw
            .top_logprobs
            .unwrap_or_default()
            .into_iter()
            .map(token)
            .collect(),
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "stop" | "eos_token" | "stop_sequence" => Finish::Stop,
        "length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        _ => Finish::Unsaid,
    }
}

fn usage(raw: RawUsage) -> Usage {
    Usage {
        prompt_tokens: raw.prompt_tokens,
        completion_tokens: raw.completion_tokens,
        cached_tokens: raw
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens),
        reasoning_tokens: raw
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens),
    }
}

/// The usage in an answer, whatever else it holds; none where it does not say.
pub(crate) fn usage_of(json: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Only {
        #[serde(default)]
        usage: Option<RawUsage>,
    }
    let only: Only = serde_json::from_slice(json).ok()?;
    only.usage.map(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(json: &str) -> Chunk {
        match Event::parse(json.as_bytes()) {
            Ok(Event::Chunk(chunk)) => chunk,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn both_words_for_reasoning_are_known() {
        for word in ["reasoning_content", "reasoning"] {
            let chunk = chunk(&format!(
                r#"{{"choices":[{{"index":1,"delta":{{"{word}":"hm"}}}}]}}"#
            ));
            assert_eq!(chunk.deltas[0].reasoning, "hm");
            assert_eq!(chunk.deltas[0].index, 1);
        }
    }

    #[test]
    fn calls_end_and_usage_are_read() {
        let chunk = chunk(
            r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":null}}"#,
        );
        assert_eq!(
            chunk.deltas[0].tool_calls,
            [CallDelta {
                index: 0,
                id: "c".to_owned(),
                name: "f".to_owned(),
                arguments: "{".to_owned()
            }]
        );
        assert_eq!(chunk.finished, [(0, Finish::ToolCalls)]);
        let usage = chunk.usage.expect("usage");
        assert_eq!(
            (usage.total(), usage.cached_tokens, usage.reasoning_tokens),
            (7, Some(2), None)
        );
    }

    #[test]
    fn errors_within_a_stream_are_told_from_chunks_and_garbage() {
        for error in [
            r#"{"error":{"message":"m"}}"#,
            r#"{"error":"m"}"#,
            r#"{"object":"error","message":"m"}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hal"},"finish_reason":"abort"}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#,
        ] {
            assert!(
                matches!(Event::parse(error.as_bytes()), Ok(Event::Error(_))),
                "{error}"
            );
        }
        for garbage in [
            "{}",
            "<html>",
            r#"{"choices":7}"#,
            r#"{"choices":[{"delta":{"content":7}}]}"#,
        ] {
            assert!(Event::parse(garbage.as_bytes()).is_err(), "{garbage}");
        }
        assert!(matches!(Event::parse(b" [DONE] "), Ok(Event::Done)));
        assert!(
            chunk(r#"{"error":null,"choices":[{"delta":{"role":"assistant","content":""}}]}"#)
                .deltas
                .is_empty()
        );
    }
}
