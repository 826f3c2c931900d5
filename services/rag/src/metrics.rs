//! The names retrieval is measured by. No label names a space, an owner or a document: those are the callers' own.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::domain::{Found, Fusion};
use crate::ledger::{Admission, Submitted};

/// Documents handed over. Label `admission`: `taken`, `joined`, `unchanged`, `skipped`, `refused`.
const SUBMITTED: &str = "polyphony_rag_documents_submitted_total";
/// Documents done. Label `outcome`: `ready`, `failed`.
const DONE: &str = "polyphony_rag_documents_done_total";
/// Passages written to both indexes.
const INDEXED: &str = "polyphony_rag_passages_indexed_total";
/// Seconds that writing both indexes took, a batch.
const INDEXING: &str = "polyphony_rag_indexing_seconds";
/// Searches. Labels `fusion`, `found`: `some`, `none`. The retrieval hit rate is `some` of all.
const SEARCHES: &str = "polyphony_rag_searches_total";
/// Seconds a stage of a search took. Label `stage`.
const STAGES: &str = "polyphony_rag_search_stage_seconds";
/// Answers. Labels `mode` (`generative`, `extractive`), `outcome` (`answered`, or why there is none).
const ANSWERS: &str = "polyphony_rag_answers_total";
/// Questions looked up in the cache of answers. Label `found`: `hit`, `miss`.
const CACHE: &str = "polyphony_rag_answer_cache_total";
/// Seconds a stage of an answer took, besides those of its search. Label `stage`; `prefill` ends with the first word.
const ANSWER_STAGES: &str = "polyphony_rag_answer_stage_seconds";
/// Tokens that language models were given for an answer.
const CONTEXT: &str = "polyphony_rag_context_tokens";
/// Tokens a second while a language model wrote.
const SPEED: &str = "polyphony_rag_tokens_per_second";

/// An answer was given, or was not: `outcome` says why.
pub(crate) fn answered(
    mode: &'static str,
    outcome: &'static str,
    context_tokens: u32,
    tokens_per_second: f32,
) {
    counter!(ANSWERS, "mode" => mode, "outcome" => outcome).increment(1);
    if context_tokens > 0 {
        histogram!(CONTEXT).record(f64::from(context_tokens));
        histogram!(SPEED).record(f64::from(tokens_per_second));
    }
}

pub(crate) fn cache_asked(is_hit: bool) {
    let found = if is_hit { "hit" } else { "miss" };
    counter!(CACHE, "found" => found).increment(1);
}

pub(crate) fn answer_stage(stage: &'static str, took: Duration) {
    histogram!(ANSWER_STAGES, "stage" => stage).record(took.as_secs_f64());
}

pub(crate) fn submitted(submitted: &[Submitted]) {
    for one in submitted {
        let admission = match one.admission {
            Admission::Taken(_) => "taken",
            Admission::Joined(_) => "joined",
            Admission::Unchanged => "unchanged",
            Admission::Skipped => "skipped",
            Admission::Refused(_) => "refused",
        };
        counter!(SUBMITTED, "admission" => admission).increment(1);
    }
}

pub(crate) fn done(outcome: &'static str) {
    counter!(DONE, "outcome" => outcome).increment(1);
}

pub(crate) fn indexed(passages: usize, took: Duration) {
    counter!(INDEXED).increment(passages as u64);
    histogram!(INDEXING).record(took.as_secs_f64());
}

pub(crate) fn searched(found: &Found) {
    let fusion = match found.effective.fusion {
        Fusion::RelativeScore => "relative_score",
        Fusion::Rrf => "rrf",
        Fusion::Dbsf => "dbsf",
        Fusion::DenseOnly => "dense_only",
        Fusion::LexicalOnly => "lexical_only",
    };
    let some = if found.hits.is_empty() { "none" } else { "some" };
    counter!(SEARCHES, "fusion" => fusion, "found" => some).increment(1);
    for timing in &found.timings {
        histogram!(STAGES, "stage" => timing.stage).record(timing.duration.as_secs_f64());
    }
}
