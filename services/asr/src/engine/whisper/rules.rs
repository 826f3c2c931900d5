//! Which tokens may come next: Whisper's rules on the decoder's scores.
//!
//! The same as openai-whisper's `SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules`, in that order
//! (whisper/decoding.py): orders are never said, nothing begins with a blank, times come in pairs and never go back,
//! the first is at most one second, and a time is said when all times together are likelier than any word.

use super::vocabulary::Vocabulary;

/// The rules of one model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    vocabulary: &'a Vocabulary,
    /// The last timestamp that may come first.
    latest_first: u32,
}

/// Where a window may begin, in seconds (`max_initial_timestamp` of openai-whisper).
const LATEST_FIRST: f64 = 1.0;
const NEVER: f32 = f32::NEG_INFINITY;

// === impl Rules ===

impl<'a> Rules<'a> {
    /// `tick` is the time between two timestamps, in seconds.
    pub(super) fn new(vocabulary: &'a Vocabulary, tick: f64) -> Self {
        Self {
            vocabulary,
            latest_first: vocabulary.timestamps + (LATEST_FIRST / tick).round() as u32,
        }
    }

    /// Forbids in `scores`, one for each token, what may not follow `said`, which begins after the orders.
    pub(super) fn apply(&self, scores: &mut [f32], said: &[u32]) {
        let vocabulary = self.vocabulary;
        let times = (vocabulary.timestamps as usize).min(scores.len());
        if said.is_empty() {
            forbid_each(scores, &vocabulary.begin_suppress);
        }
        forbid_each(scores, &vocabulary.suppress);
        forbid_each(scores, &[vocabulary.no_timestamps]);

        let is_time = |token: Option<&u32>| token.is_some_and(|&token| vocabulary.is_timestamp(token));
        let after_time = is_time(said.last());
        let after_pair = said.len() < 2 || is_time(said.get(said.len().wrapping_sub(2)));
        if after_time && after_pair {
            scores[times..].fill(NEVER);
        } else if after_time {
            let text = (vocabulary.end as usize).min(scores.len());
            scores[..text].fill(NEVER);
        }
        if let Some(&last) = said.iter().rev().find(|&&token| vocabulary.is_timestamp(token)) {
            // A segment may begin where one ended, but must not end where it began.
            let first_allowed = if after_time && !after_pair { last } else { last + 1 };
            let first_allowed = (first_allowed as usize).min(scores.len());
            scores[times..first_allowed].fill(NEVER);
        }
        if said.is_empty() {
            scores[..times].fill(NEVER);
            let beyond = (self.latest_first as usize + 1).min(scores.len());
            scores[beyond..].fill(NEVER);
        }

        let (words, times) = scores.split_at_mut(times);
        let likeliest = words.iter().copied().fold(NEVER, f32::max);
        if log_sum_exp(times) > f64::from(likeliest) {
            words.fill(NEVER);
        }
    }
}

fn forbid_each(scores: &mut [f32], tokens: &[u32]) {
    for &token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = NEVER;
        }
    }
}

/// The logarithm of the sum of the exponentials; minus infinity of nothing.
pub(super) fn log_sum_exp(scores: &[f32]) -> f64 {
    let highest = f64::from(scores.iter().copied().fold(NEVER, f32::max));
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    let sum: f64 = scores
        .iter()
        .map(|&score| (f64::from(score) - highest).exp())
        .sum();
    highest + sum.ln()
}
