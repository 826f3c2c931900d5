//! The keys of answers: `[rag.answer]`.

use polyphony_config::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// How answers are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerConfig {
    /// The language model for questions that name none. Empty, the default: that of llm-proxy.
    pub model: String,
    /// How many tokens of passages a model is given. Passages beyond that are cut to the sentences that matter.
    /// Default: 2,048.
    pub context_tokens: usize,
    /// An answer that its sources bear out less than this is LOW_GROUNDING at its end, whatever of it was streamed, 0 to 1.
    /// Default: 0.2.
    pub min_grounding: f32,
    /// How long the first word of a model is waited for; then the documents answer. Default: 30 s.
    pub first_word_timeout: HumanDuration,
    /// How long a good answer is kept. "0": never. Default: 1 h.
    pub cache_ttl: HumanDuration,
    /// What all kept answers may take. Default: 32 MiB.
    pub cache_size: ByteSize,
}

// === impl AnswerConfig ===

impl AnswerConfig {
    /// The first key whose value cannot be used, and why.
    pub(crate) fn fault(&self) -> Option<(&'static str, String)> {
        if !(64..=1_000_000).contains(&self.context_tokens) {
            return Some(("answer.context_tokens", "must be 64 to 1000000".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.min_grounding) {
            return Some(("answer.min_grounding", "must be 0 to 1".to_owned()));
        }
        if self.first_word_timeout.get().is_zero() {
            return Some(("answer.first_word_timeout", "must be above 0".to_owned()));
        }
        None
    }
}

impl Default for AnswerConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            context_tokens: 2_048,
            min_grounding: 0.2,
            first_word_timeout: HumanDuration::from_secs(30),
            cache_ttl: HumanDuration::from_secs(3_600),
            cache_size: ByteSize::mib(32),
        }
    }
}
