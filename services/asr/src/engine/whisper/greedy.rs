//! Decodes one window greedily: the likeliest token that the rules allow, until the end.
//!
//! The same as openai-whisper's `DecodingTask` at temperature 0 without beams, including what it counts in the mean
//! log-probability (the end token, divided by the tokens and one) and where it stops (half the decoder's context).

use super::error::WhisperError;
use super::network::{Encoded, Network};
use super::rules::{Rules, log_sum_exp};
use super::vocabulary::Vocabulary;
use crate::domain::Cancel;

/// What a window was decoded to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoded {
    /// Text and timestamps, without the end.
    pub(super) tokens: Vec<u32>,
    /// The natural logarithm of each token's probability, under the rules.
    pub(super) log_probs: Vec<f32>,
    /// Their mean, the end's included.
    pub(super) avg_log_prob: f64,
    /// The probability that nobody speaks; 0 where the model has no token for it.
    pub(super) no_speech_prob: f64,
}

/// What the decoder is told before it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Orders {
    /// The prompt, if any, and the start sequence.
    pub(super) tokens: Vec<u32>,
    /// Where the start token is.
    pub(super) start_at: usize,
}

// === impl Orders ===

impl Orders {
    /// `sequence` is the start token, then language and task if the model is multilingual.
    pub(super) fn new(
        vocabulary: &Vocabulary,
        sequence: &[u32],
        prompt: &[u32],
        text_context: usize,
    ) -> Self {
        let mut tokens = Vec::new();
        if let (Some(previous), false) = (vocabulary.previous, prompt.is_empty()) {
            // Half the context, less the token that announces it.
            let room = (text_context / 2).saturating_sub(1);
            tokens.push(previous);
            tokens.extend_from_slice(&prompt[prompt.len().saturating_sub(room)..]);
        }
        let start_at = tokens.len();
        tokens.extend_from_slice(sequence);
        Self { tokens, start_at }
    }
}

/// Decodes a window.
pub(super) fn decode(
    network: &Network,
    rules: Rules<'_>,
    vocabulary: &Vocabulary,
    audio: &Encoded,
    orders: &Orders,
    text_context: usize,
    cancel: &Cancel,
) -> Result<Decoded, WhisperError> {
    let mut decoding = network.decode(audio, cancel)?;
    let mut scores = decoding.start(&orders.tokens)?;
    let no_speech_prob = match vocabulary.no_speech {
        None => 0.0,
        Some(token) => {
            let scores = scores.at(orders.start_at)?;
            let score = scores.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
            (f64::from(score) - log_sum_exp(&scores)).exp()
        }
    };
    let (mut tokens, mut log_probs, mut sum) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..text_context / 2 {
        let mut allowed = scores.last()?;
        rules.apply(&mut allowed, &tokens);
        let (token, log_prob) = likeliest(&allowed)?;
        sum += log_prob;
        if token == vocabulary.end {
            break;
        }
        tokens.push(token);
        log_probs.push(log_prob as f32);
        if orders.tokens.len() + tokens.len() > text_context || tokens.len() == text_context / 2 {
            break;
        }
        scores = decoding.step(token)?;
    }
    Ok(Decoded {
        avg_log_prob: sum / (tokens.len() + 1) as f64,
        tokens,
        log_probs,
        no_speech_prob,
    })
}

/// The likeliest token and the logarithm of its probability.
fn likeliest(scores: &[f32]) -> Result<(u32, f64), WhisperError> {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &score) in (0_u32..).zip(scores) {
        if score.is_nan() {
            return Err(WhisperError::Output("a score is not a number".to_owned()));
        }
        if score > best.1 {
            best = (token, score);
        }
    }
    if best.1.is_infinite() {
        return Err(WhisperError::Output("no token has a finite score".to_owned()));
    }
    Ok((best.0, f64::from(best.1) - log_sum_exp(scores)))
}
