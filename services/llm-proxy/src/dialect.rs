//! What differs between servers that all claim OpenAI's API: one file a dialect says how it is looked at; this one says which
//! fields each honours, and `chat` and `texts` how a request is written for it.
//!
//! A field that a dialect does not honour is refused by its path. Which those are is as each server's interface was known
//! when this was written; an operator whose server knows more says so with `extra_fields`.

pub(crate) mod chat;
pub(crate) mod discover;
mod llama_cpp;
mod look;
mod ollama;
mod openai;
mod sglang;
pub(crate) mod texts;
mod tgi;
mod vllm;

pub(crate) use look::Probe;

use crate::config::Kind;
use crate::upstream::{Sight, Upstream};

/// Fields that every dialect honours, as paths in `ChatRequest`.
const ALWAYS: [&str; 12] = [
    "sampling.temperature",
    "sampling.top_p",
    "sampling.frequency_penalty",
    "sampling.presence_penalty",
    "sampling.max_tokens",
    "sampling.stop",
    "sampling.seed",
    "constraint.json_schema",
    "constraint.json_object",
    "tools",
    "messages.content.text",
    "messages.content.image",
];

/// The other fields, and who honours them.
const SOMETIMES: [(&str, &[Kind]); 18] = {
    use Kind::{LlamaCpp, Ollama, Openai, Sglang, Tgi, Vllm};
    [
        ("sampling.top_k", &[Vllm, Sglang, LlamaCpp]),
        ("sampling.min_p", &[Vllm, Sglang, LlamaCpp]),
        ("sampling.repetition_penalty", &[Vllm, Sglang, LlamaCpp]),
        ("sampling.candidate_count", &[Vllm, Sglang, Openai]),
        ("sampling.logprobs", &[Vllm, Sglang, LlamaCpp, Tgi, Openai]),
        ("sampling.top_logprobs", &[Vllm, Sglang, LlamaCpp, Tgi, Openai]),
        ("sampling.logit_bias", &[Vllm, Sglang, LlamaCpp, Openai]),
        ("constraint.regex", &[Vllm, Sglang, Tgi]),
        ("constraint.grammar", &[Vllm, Sglang, LlamaCpp]),
        ("constraint.choice", &[Vllm, Sglang, Tgi, LlamaCpp]),
        ("constraint.structural_tag", &[Vllm, Sglang]),
        ("tools.strict", &[Vllm, Openai]),
        ("tool_choice", &[Vllm, Sglang, Tgi, LlamaCpp, Openai]),
        ("parallel_tool_calls", &[Vllm, LlamaCpp, Openai]),
        ("reasoning_effort", &[Vllm, Sglang, Ollama, Openai]),
        ("messages.content.image.detail", &[Openai]),
        ("messages.content.audio", &[Vllm, LlamaCpp, Openai]),
        ("messages.reasoning_content", &[Vllm, Sglang, LlamaCpp, Openai]),
    ]
};

/// Whether the upstream honours the field.
pub(crate) fn honours(upstream: &Upstream, field: &str) -> bool {
    let last = field.rsplit('.').next().unwrap_or(field);
    ALWAYS.contains(&field)
        || SOMETIMES
            .iter()
            .any(|(name, kinds)| *name == field && kinds.contains(&upstream.kind))
        || upstream
            .config
            .extra_fields
            .iter()
            .any(|extra| extra == last || extra == field)
}

/// The fields that the upstream honours.
pub(crate) fn supported_fields(upstream: &Upstream) -> Vec<String> {
    let all = ALWAYS.into_iter().chain(SOMETIMES.iter().map(|(name, _)| *name));
    all.filter(|field| honours(upstream, field))
        .map(str::to_owned)
        .collect()
}

/// Looks at an upstream: whether it is well, what it has, and how busy it is.
pub(crate) async fn look(probe: Probe<'_>) -> Sight {
    let seen = match probe.upstream.kind {
        Kind::Vllm => vllm::look(&probe).await,
        Kind::Tgi => tgi::look(&probe).await,
        Kind::Ollama => ollama::look(&probe).await,
        Kind::LlamaCpp => llama_cpp::look(&probe).await,
        Kind::Sglang => sglang::look(&probe).await,
        Kind::Openai => openai::look(&probe).await,
    };
    seen.unwrap_or_else(Sight::from)
}

#[cfg(test)]
mod tests;
