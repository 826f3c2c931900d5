//! Vectors, order, likelihood and tokens of texts.

mod spans;
mod tokens;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use polyphony_encoders::{EmbedOptions, Embedder, Role, Truncation};
use polyphony_error::Fault;
use polyphony_models::Chosen;
use polyphony_proto::llm::v1 as pb;
use polyphony_wire::{Expected, Refusals, Spent};

use super::Call;
use crate::convert::response::{self, receipt};
use crate::dialect::texts as dialect;
use crate::domain::{TokenLogprob, Usage};
use crate::local::Made;
use crate::proxy::Proxy;
use crate::texts::{Question, ask};
use crate::upstream::ModelKind;
pub(super) use tokens::{detokenize, tokenize};

const MOST_INPUTS: usize = 2_048;
const MOST_DOCUMENTS: usize = 1_000;
const MOST_CANDIDATES: usize = 256;
/// Continuations of one call that are asked about at once; the others wait for them, not for places at the upstream.
const SCORED_AT_ONCE: usize = 16;

fn question<'a>(call: &'a Call, model: &'a str, kind: ModelKind) -> Question<'a> {
    Question {
        model,
        kind,
        who: &call.who,
        deadline: call.deadline,
    }
}

/// Turns texts into vectors.
pub(super) async fn embed(
    proxy: &Proxy,
    call: Call,
    request: pb::EmbedRequest,
) -> Result<pb::EmbedResponse, Fault> {
    let pb::EmbedRequest {
        model,
        inputs,
        task,
        dimensions,
        normalize,
        truncation,
        expected_model_digest,
    } = request;
    let mut refusals = Refusals::at("");
    if !(1..=MOST_INPUTS).contains(&inputs.len()) {
        refusals.add("inputs", format!("must be 1 to {MOST_INPUTS}"));
    }
    for (at, _) in inputs.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        refusals.add(&format!("inputs[{at}]"), "must not be empty");
    }
    if dimensions == Some(0) {
        refusals.add("dimensions", "must be at least 1, or unset");
    }
    let role = match pb::EmbeddingTask::try_from(task) {
        Ok(pb::EmbeddingTask::Unspecified) => Role::Plain,
        Ok(pb::EmbeddingTask::Query) => Role::Query,
        Ok(pb::EmbeddingTask::Document) => Role::Document,
        Err(_) => {
            refusals.add("task", "is not a task that is known here");
            Role::Plain
        }
    };
    let truncation = overlong(truncation, Truncation::Refuse, &mut refusals);
    let local = local_embedder(proxy, &model).await?;
    if local.is_none() {
        let elsewhere = |what: &str| format!("{what} with the models of upstream servers; leave it unset");
        if role != Role::Plain {
            refusals.add(
                "task",
                elsewhere("is not honoured") + ", and put the model's own prefix into the texts",
            );
        }
        if truncation != Truncation::Refuse {
            refusals.add("truncation", elsewhere("can only be NONE"));
        }
        if !expected_model_digest.is_empty() {
            refusals.add("expected_model_digest", elsewhere("cannot be checked"));
        }
    }
    let expected = Expected::parse(&expected_model_digest, &mut refusals);
    refusals.finish()?;
    let normalize = normalize.unwrap_or(true);
    if let Some(chosen) = local {
        expected.check(&chosen.info().made.digest, "")?;
        let options = EmbedOptions {
            role,
            truncation,
            dimensions: dimensions.map(|dimensions| dimensions as usize),
            normalize,
        };
        return embedded_here(proxy, &call, chosen, inputs, options).await;
    }
    let count = inputs.len();
    let (mut vectors, usage, way, times) = ask(
        proxy,
        question(&call, &model, ModelKind::Embedding),
        |upstream, there| dialect::embed(upstream, there, &inputs, dimensions),
        |upstream, answer| {
            let (vectors, usage) = dialect::embeddings(upstream.kind, answer)?;
            match vectors.len() == count && vectors.iter().all(|vector| !vector.is_empty()) {
                true => Ok((vectors, usage)),
                false => Err("it has not one embedding for each text"),
            }
        },
    )
    .await?;
    if normalize {
        vectors.iter_mut().for_each(|vector| unit(vector));
    }
    let embeddings = vectors.into_iter().map(|values| pb::Embedding {
        values,
        truncated: false,
    });
    Ok(pb::EmbedResponse {
        embeddings: embeddings.collect(),
        usage: Some(response::usage(usage)),
        receipt: Some(receipt(&call.id, &way.model, Some(&way), &times, None)),
    })
}

/// The model here that is meant; none: it is an upstream's, or nobody's.
async fn local_embedder(proxy: &Proxy, model: &str) -> Result<Option<Chosen<Embedder>>, Fault> {
    if !model.is_empty() && proxy.fleet.meant(model, ModelKind::Embedding).is_ok() {
        return Ok(None);
    }
    proxy.local.embedder(model).await
}

/// Vectors of a model that runs here.
async fn embedded_here(
    proxy: &Proxy,
    call: &Call,
    chosen: Chosen<Embedder>,
    inputs: Vec<String>,
    options: EmbedOptions,
) -> Result<pb::EmbedResponse, Fault> {
    proxy.keys.admit(&call.who)?;
    let made = proxy.local.embed(chosen, inputs, options).await?;
    let tokens = made.value.iter().map(|one| one.tokens).sum();
    let usage = used(proxy, call, tokens);
    let receipt = receipt_here(&call.id, &made);
    let embeddings = made.value.into_iter().map(|one| pb::Embedding {
        values: one.vector,
        truncated: one.truncated,
    });
    Ok(pb::EmbedResponse {
        embeddings: embeddings.collect(),
        usage: Some(usage),
        receipt: Some(receipt),
    })
}

/// What was read by a model here, which counts too.
fn used(proxy: &Proxy, call: &Call, tokens: usize) -> pb::Usage {
    let usage = Usage {
        prompt_tokens: Some(u32::try_from(tokens).unwrap_or(u32::MAX)),
        ..Usage::default()
    };
    proxy.keys.spend(&call.who, &usage);
    response::usage(usage)
}

fn receipt_here<T>(id: &str, made: &Made<T>) -> polyphony_proto::types::v1::Receipt {
    polyphony_wire::receipt(
        id,
        &made.made,
        Spent {
            queue: Some(made.queue),
            load: made.load,
            inference: Some(made.run),
            total: Some(made.queue + made.load.unwrap_or_default() + made.run),
        },
    )
}

/// What to do with texts that are too long.
fn overlong(asked: i32, unset: Truncation, refusals: &mut Refusals) -> Truncation {
    match pb::Truncation::try_from(asked) {
        Ok(pb::Truncation::Unspecified) => unset,
        Ok(pb::Truncation::None) => Truncation::Refuse,
        Ok(pb::Truncation::Right) => Truncation::Right,
        Ok(pb::Truncation::Left) => Truncation::Left,
        Err(_) => {
            refusals.add("truncation", "is not a truncation that is known here");
            unset
        }
    }
}

/// Scales a vector to length 1; one of zeros stays.
fn unit(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

/// Orders texts.
pub(super) async fn rerank(
    proxy: &Proxy,
    call: Call,
    request: pb::RerankRequest,
) -> Result<pb::RerankResponse, Fault> {
    let pb::RerankRequest {
        model,
        query,
        documents,
        top_n,
        raw_scores,
        return_documents,
        truncation,
    } = request;
    let mut refusals = Refusals::at("");
    if query.is_empty() {
        refusals.add("query", "must not be empty");
    }
    if !(1..=MOST_DOCUMENTS).contains(&documents.len()) {
        refusals.add("documents", format!("must be 1 to {MOST_DOCUMENTS}"));
    }
    if top_n == Some(0) {
        refusals.add("top_n", "must be at least 1, or unset");
    }
    let truncation = overlong(truncation, Truncation::Right, &mut refusals);
    let is_elsewhere = !model.is_empty() && proxy.fleet.meant(&model, ModelKind::Rerank).is_ok();
    let local = if is_elsewhere {
        None
    } else {
        proxy.local.reranker(&model).await?
    };
    if local.is_none() && truncation != Truncation::Right {
        refusals.add(
            "truncation",
            "can only be RIGHT with the models of upstream servers; leave it unset",
        );
    }
    refusals.finish()?;
    let raw = raw_scores.unwrap_or(false);
    let returned = return_documents.unwrap_or(false);
    let most = top_n.map_or(usize::MAX, |top| top as usize);
    if let Some(chosen) = local {
        proxy.keys.admit(&call.who)?;
        let kept = if returned { documents.clone() } else { Vec::new() };
        let made = proxy.local.score(chosen, query, documents, truncation).await?;
        let usage = used(proxy, &call, made.value.iter().map(|one| one.tokens).sum());
        let mut order: Vec<_> = made.value.iter().enumerate().collect();
        order.sort_by(|(_, one), (_, other)| other.logit.total_cmp(&one.logit));
        let results = order.into_iter().take(most).map(|(index, one)| pb::RerankResult {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            relevance_score: if raw { one.logit } else { one.score },
            document: kept.get(index).cloned().unwrap_or_default(),
        });
        return Ok(pb::RerankResponse {
            results: results.collect(),
            usage: Some(usage),
            receipt: Some(receipt_here(&call.id, &made)),
        });
    }
    let count = documents.len();
    let (mut order, usage, way, times) = ask(
        proxy,
        question(&call, &model, ModelKind::Rerank),
        |upstream, there| {
            if raw && !dialect::gives_logits(upstream.kind) {
                let text = format!(
                    "are not told by upstream {} ({}); leave it unset",
                    upstream.name, upstream.kind
                );
                return Err(Fault::invalid("raw_scores", text));
            }
            dialect::rerank(upstream, there, &query, &documents)
        },
        |_, answer| dialect::ranked(answer, count),
    )
    .await?;
    order.truncate(most);
    let squash = dialect::gives_logits(way.upstream.kind) && !raw;
    let results = order.into_iter().map(|one| pb::RerankResult {
        index: one.index,
        relevance_score: if squash {
            1.0 / (1.0 + (-one.score).exp())
        } else {
            one.score
        },
        document: match returned {
            true => documents[one.index as usize].clone(),
            false => String::new(),
        },
    });
    Ok(pb::RerankResponse {
        results: results.collect(),
        usage: Some(response::usage(usage)),
        receipt: Some(receipt(&call.id, &way.model, Some(&way), &times, None)),
    })
}

/// Tells how likely continuations are: one question for each, for a server that batches them.
pub(super) async fn score(
    proxy: &Proxy,
    call: Call,
    request: pb::ScoreRequest,
) -> Result<pb::ScoreResponse, Fault> {
    let pb::ScoreRequest {
        model,
        prompt,
        candidates,
        length_normalize,
        include_token_logprobs,
    } = request;
    let mut refusals = Refusals::at("");
    if prompt.is_empty() {
        refusals.add("prompt", "must not be empty");
    }
    if !(1..=MOST_CANDIDATES).contains(&candidates.len()) {
        refusals.add("candidates", format!("must be 1 to {MOST_CANDIDATES}"));
    }
    for (at, _) in candidates.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        refusals.add(&format!("candidates[{at}]"), "must not be empty");
    }
    refusals.finish()?;
    let skip = prompt.chars().count();
    let asked = candidates.into_iter().map(|candidate| {
        let text = format!("{prompt}{candidate}");
        let (call, model) = (&call, &model);
        async move {
            let end = text.chars().count();
            ask(
                proxy,
                question(call, model, ModelKind::Chat),
                |upstream, there| dialect::echo(upstream, there, &text),
                |_, answer| dialect::echoed(answer, skip, end),
            )
            .await
        }
    });
    let mut all = Usage::default();
    let mut scores = Vec::with_capacity(asked.len());
    let mut last = None;
    let mut scored = stream::iter(asked).buffered(SCORED_AT_ONCE);
    while let Some((tokens, usage, way, times)) = scored.try_next().await? {
        all.prompt_tokens = add(all.prompt_tokens, usage.prompt_tokens);
        scores.push(candidate(
            tokens,
            length_normalize.unwrap_or(true),
            include_token_logprobs.unwrap_or(false),
        ));
        last = Some((way, times));
    }
    let receipt = last.map(|(way, times)| receipt(&call.id, &way.model, Some(&way), &times, None));
    Ok(pb::ScoreResponse {
        scores,
        usage: Some(response::usage(all)),
        receipt,
    })
}

fn candidate(tokens: Vec<TokenLogprob>, normalize: bool, tell: bool) -> pb::CandidateScore {
    let sum: f32 = tokens.iter().map(|token| token.logprob).sum();
    pb::CandidateScore {
        log_prob: if normalize { sum / tokens.len() as f32 } else { sum },
        tokens: match tell {
            true => tokens.into_iter().map(response::logprob).collect(),
            false => Vec::new(),
        },
    }
}

fn add(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}
