//! How to choose tokens: each within its range.

use polyphony_proto::llm::v1 as pb;
use polyphony_wire::Refusals;

use crate::domain::Sampling;

const MOST_STOPS: usize = 16;
const MOST_CANDIDATES: u32 = 16;
const MOST_ALTERNATIVES: u32 = 20;

pub(super) fn sampling(params: pb::SamplingParams, refusals: &mut Refusals) -> Sampling {
    let pb::SamplingParams {
        temperature,
        top_p,
        top_k,
        min_p,
        frequency_penalty,
        presence_penalty,
        repetition_penalty,
        max_tokens,
        stop,
        seed,
        candidate_count,
        logprobs,
        top_logprobs,
        logit_bias,
    } = params;
    for (field, value, range) in [
        ("temperature", temperature, 0.0..=2.0),
        ("top_p", top_p, 0.0..=1.0),
        ("min_p", min_p, 0.0..=1.0),
        ("frequency_penalty", frequency_penalty, -2.0..=2.0),
        ("presence_penalty", presence_penalty, -2.0..=2.0),
    ] {
        // A NaN is in no range.
        if value.is_some_and(|value| !range.contains(&value)) {
            let (from, to) = (range.start(), range.end());
            refusals.add(&format!("sampling.{field}"), format!("must be {from} to {to}"));
        }
    }
    if repetition_penalty.is_some_and(|penalty| !(penalty > 0.0 && penalty.is_finite())) {
        refusals.add("sampling.repetition_penalty", "must be above 0");
    }
    if max_tokens == Some(0) {
        refusals.add("sampling.max_tokens", "must be at least 1, or unset");
    }
    if stop.len() > MOST_STOPS {
        refusals.add("sampling.stop", format!("must be at most {MOST_STOPS}"));
    }
    for (at, _) in stop.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        refusals.add(&format!("sampling.stop[{at}]"), "must not be empty");
    }
    if candidate_count.is_some_and(|count| !(1..=MOST_CANDIDATES).contains(&count)) {
        refusals.add(
            "sampling.candidate_count",
            format!("must be 1 to {MOST_CANDIDATES}"),
        );
    }
    let logprobs = logprobs.unwrap_or(false);
    match top_logprobs {
        Some(count) if count > MOST_ALTERNATIVES => {
            refusals.add(
                "sampling.top_logprobs",
                format!("must be 0 to {MOST_ALTERNATIVES}"),
            );
        }
        Some(_) if !logprobs => refusals.add("sampling.top_logprobs", "needs logprobs"),
        _ => {}
    }
    let mut logit_bias: Vec<(u32, f32)> = logit_bias.into_iter().collect();
    logit_bias.sort_unstable_by_key(|(token, _)| *token);
    for (token, _) in logit_bias
        .iter()
        .filter(|(_, bias)| !(-100.0..=100.0).contains(bias))
    {
        refusals.add(&format!("sampling.logit_bias[{token}]"), "must be -100 to 100");
    }
    Sampling {
        temperature,
        top_p,
        top_k,
        min_p,
        frequency_penalty,
        presence_penalty,
        repetition_penalty,
        max_tokens,
        stop,
        seed,
        candidates: candidate_count,
        logprobs,
        top_logprobs: top_logprobs.filter(|count| *count > 0),
        logit_bias,
    }
}
