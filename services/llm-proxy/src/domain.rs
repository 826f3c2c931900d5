//! The nouns of the proxy: a conversation to continue, what it must look like, and the pieces of an answer. Plain data,
//! checked when it was made; it knows neither the wire nor any upstream.

use std::time::Duration;

use serde_json::Value;

use crate::config::Policy;

/// A conversation to continue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// Empty: the server's default.
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) sampling: Sampling,
    pub(crate) constraint: Option<Constraint>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) effort: Option<Effort>,
}

/// How to route a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Preference {
    /// None: the server's policy.
    pub(crate) policy: Option<Policy>,
    pub(crate) session_key: String,
    /// This one and no other; empty: any.
    pub(crate) upstream: String,
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) role: Role,
    pub(crate) content: Vec<Part>,
    pub(crate) name: String,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) tool_call_id: String,
    pub(crate) reasoning: String,
    pub(crate) refusal: String,
}

/// Who says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    /// A data URL.
    Image {
        url: String,
        detail: Option<&'static str>,
    },
    /// Base64.
    Audio {
        data: String,
        format: &'static str,
    },
}

/// A call that the model asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) parameters: Option<Value>,
    pub(crate) strict: Option<bool>,
}

/// Which functions the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Function(String),
}

/// How long to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    None,
    Low,
    Medium,
    High,
}

/// How to choose tokens; what is none is left to the upstream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sampling {
    pub(crate) temperature: Option<f32>,
    pub(crate) top_p: Option<f32>,
    pub(crate) top_k: Option<u32>,
    pub(crate) min_p: Option<f32>,
    pub(crate) frequency_penalty: Option<f32>,
    pub(crate) presence_penalty: Option<f32>,
    pub(crate) repetition_penalty: Option<f32>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) stop: Vec<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) candidates: Option<u32>,
    pub(crate) logprobs: bool,
    pub(crate) top_logprobs: Option<u32>,
    /// By token.
    pub(crate) logit_bias: Vec<(u32, f32)>,
}

/// What an answer must look like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constraint {
    JsonSchema(Value),
    JsonObject,
    Regex(String),
    Grammar(String),
    Choice(Vec<String>),
    StructuralTag(Value),
}

/// More of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Delta {
    pub(crate) index: u32,
    pub(crate) content: String,
    pub(crate) reasoning: String,
    pub(crate) refusal: String,
    pub(crate) tool_calls: Vec<CallDelta>,
    pub(crate) logprobs: Vec<TokenLogprob>,
}

/// More of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallDelta {
    pub(crate) index: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// How likely a token was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenLogprob {
    pub(crate) token: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) logprob: f32,
    pub(crate) top: Vec<TokenLogprob>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The upstream did not say.
    Unsaid,
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
    Cancelled,
}

/// What an answer took; none: the upstream did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    pub(crate) cached_tokens: Option<u32>,
    pub(crate) reasoning_tokens: Option<u32>,
}

/// Where the time of an answer went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) queue: Duration,
    /// From the request to the first token.
    pub(crate) first_token: Option<Duration>,
    /// From the request's last byte to the first token.
    pub(crate) prefill: Option<Duration>,
    pub(crate) decode: Option<Duration>,
    pub(crate) total: Duration,
}

// === impl Usage ===

impl Usage {
    /// All tokens, as budgets count them.
    pub(crate) fn total(&self) -> u64 {
        u64::from(self.prompt_tokens.unwrap_or(0)) + u64::from(self.completion_tokens.unwrap_or(0))
    }

    /// Whether anything is known.
    pub(crate) fn is_known(&self) -> bool {
        *self != Self::default()
    }
}

// === impl Message ===

impl Message {
    /// About what it holds.
    pub(crate) fn bytes(&self) -> usize {
        let Self {
            role: _,
            content,
            name,
            tool_calls,
            tool_call_id,
            reasoning,
            refusal,
        } = self;
        let parts = content.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Image { url: data, .. } | Part::Audio { data, .. } => data.len(),
        });
        let calls = tool_calls
            .iter()
            .map(|call| call.id.len() + call.name.len() + call.arguments.len());
        let texts = [name, tool_call_id, reasoning, refusal].map(String::len);
        parts.chain(calls).chain(texts).sum()
    }
}

// === impl Role ===

impl Role {
    /// In OpenAI's words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

// === impl Effort ===

impl Effort {
    /// In OpenAI's words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

// === impl Ask ===

impl Ask {
    /// How many answers.
    pub(crate) fn candidates(&self) -> u32 {
        self.sampling.candidates.unwrap_or(1)
    }

    /// The conversation as one text, for prefix affinity: the same beginning gives the same text.
    pub(crate) fn prefix(&self) -> String {
        let mut text = String::new();
        for message in &self.messages {
            text.push_str(message.role.word());
            text.push('\n');
            for part in &message.content {
                match part {
                    Part::Text(words) => text.push_str(words),
                    Part::Image { url, .. } => text.push_str(url),
                    Part::Audio { data, .. } => text.push_str(data),
                }
                text.push('\n');
            }
        }
        text
    }
}
