//! `Answer`: what was retrieved, the answer token by token, its citations, and the end.
//!
//! A task does it and is stopped when the client goes away, and with it the model. What is answered from the cache is sent
//! as it was, and says so.

mod write;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::Stream;
use polyphony_chassis::Deadline;
use polyphony_chassis::duplex::{Stop, caught};
use polyphony_chassis::places::{Patience, StreamPlace};
use polyphony_error::Fault;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::answer_response::Event;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, wire_duration};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::Shared;
use crate::answer::context::{self, Budget};
use crate::answer::{Citation, Source, follow_up};
use crate::clients::llm::Wanted;
use crate::convert::answer::{Asked, Mode};
use crate::convert::{answer as convert, hits, search};
use crate::domain::{Found, Hit, Query};
use crate::{Scope, metrics};
use write::{Draft, Written};

/// A question on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) asked: Asked,
    pub(super) scope: Scope,
    pub(super) call: String,
    pub(super) deadline: Option<Deadline>,
}

/// What the client reads. When it goes away, the work stops.
#[derive(Debug)]
pub(crate) struct Replies {
    replies: mpsc::Receiver<Result<pb::AnswerResponse, Status>>,
    _work: AbortOnDropHandle<()>,
}

/// A good answer, as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    retrieved: pb::Retrieved,
    citations: pb::Citations,
    completed: pb::AnswerCompleted,
}

/// Where events go.
#[derive(Debug, Clone)]
struct Outbox(mpsc::Sender<Result<pb::AnswerResponse, Status>>);

/// Stages of an answer, and how long each took.
#[derive(Debug, Default)]
struct Stages(Vec<(&'static str, Duration)>);

/// Events that wait for a client who is slow to take them.
const AHEAD: usize = 32;
/// The most tokens of a question that is made of a conversation, and of questions that may come next.
const SHORT: u32 = 128;

/// Answers a question.
pub(super) fn stream(shared: Arc<Shared>, job: Job, place: StreamPlace) -> Replies {
    let (outbox, replies) = mpsc::channel(AHEAD);
    let work = tokio::spawn(async move {
        let _place = place;
        let outbox = Outbox(outbox);
        match caught(Box::pin(answer(&shared, job, &outbox))).await {
            Ok(()) | Err(Stop::Gone) => {}
            // If nobody reads any more, nobody needs to know.
            Err(Stop::Failed(status)) => drop(outbox.0.send(Err(status)).await),
        }
    });
    Replies {
        replies,
        _work: AbortOnDropHandle::new(work),
    }
}

async fn answer(shared: &Shared, job: Job, outbox: &Outbox) -> Result<(), Stop> {
    let began = Instant::now();
    let Job {
        asked,
        scope,
        call,
        deadline,
    } = &job;
    // The number of a space is never given twice, so neither is its key.
    let owner = format!("{} {}", scope.owner(), scope.key().number());
    let key = asked.key(&owner, scope.epoch(), &shared.config.answer.model);
    if asked.cache.read {
        let kept = shared.cache.get(&key, Instant::now());
        metrics::cache_asked(kept.is_some());
        if let Some((kept, age)) = kept {
            return replay(&kept, age, call, began, outbox).await;
        }
    }
    let mut stages = Stages::default();
    let query = stand_alone(shared, asked, *deadline, &mut stages).await;
    let wanted = Query {
        text: query.clone(),
        filter: asked.filter.clone(),
        retrieval: asked.retrieval.clone(),
        page_size: asked.top_k,
        page: String::new(),
    };
    let place = shared.places.worker(Patience::Queue).await?;
    let found = shared.store.search(scope, &wanted).await.map_err(Fault::from)?;
    let queued = place.waited;
    drop(place);
    stages.found(&found);
    let hits = chosen(shared, asked, &query, &found);
    let retrieved = pb::Retrieved {
        hits: hits.iter().map(|hit| hits::hit(&asked.space, hit)).collect(),
        effective_query: if query == asked.query {
            String::new()
        } else {
            query.clone()
        },
        index_epoch: found.epoch,
    };
    outbox.send(Event::Retrieved(retrieved.clone())).await?;
    let spent = |stages: &Stages| Spent {
        queue: Some(queued),
        inference: Some(stages.inference()),
        total: Some(began.elapsed()),
        ..Spent::default()
    };
    let sources: Vec<Source> = hits.iter().map(convert::source).collect();
    let draft = Draft {
        shared,
        job: &job,
        query: &query,
        sources: &sources,
        found: &found,
        outbox,
    };
    let Written {
        answer,
        citations,
        mode,
        skipped,
        grounding,
        usage,
        related,
        mut receipt,
        is_good,
    } = draft.write(&mut stages).await?;
    receipt.request_id.clone_from(call);
    receipt.timings = Some(timings(spent(&stages)));
    let citations = convert::citations(&asked.space, &hits, &citations);
    outbox.send(Event::Citations(citations.clone())).await?;
    stages.told();
    let completed = pb::AnswerCompleted {
        answer,
        mode: mode.into(),
        answer_skipped_reasons: skipped.iter().map(|reason| i32::from(*reason)).collect(),
        grounding_score: grounding,
        related_questions: related,
        cache: Some(pb::CacheInfo {
            hit: false,
            age_duration: None,
            index_epoch: found.epoch,
        }),
        usage: Some(usage),
        timings: stages.wire(),
        receipt: Some(receipt),
    };
    let outcome = skipped.first().map_or("answered", |reason| label(*reason));
    let by = if mode == pb::AnswerMode::Generative {
        "generative"
    } else {
        "extractive"
    };
    metrics::answered(by, outcome, usage.prompt_tokens, usage.tokens_per_second);
    // Of another epoch than its key says, it is the answer to another question.
    if is_good && asked.cache.write && found.epoch == scope.epoch() {
        let kept = Kept {
            retrieved,
            citations,
            completed: completed.clone(),
        };
        let bytes = kept.bytes();
        shared.cache.put(key, kept, bytes, Instant::now());
    }
    outbox.send(Event::Completed(completed)).await
}

/// Sends an answer that was given before.
async fn replay(kept: &Kept, age: Duration, call: &str, began: Instant, outbox: &Outbox) -> Result<(), Stop> {
    let Kept {
        retrieved,
        citations,
        completed,
    } = kept;
    outbox.send(Event::Retrieved(retrieved.clone())).await?;
    let text = completed.answer.clone();
    outbox.send(Event::Delta(pb::AnswerDelta { text })).await?;
    outbox.send(Event::Citations(citations.clone())).await?;
    let mut completed = completed.clone();
    completed.cache = Some(pb::CacheInfo {
        hit: true,
        age_duration: Some(wire_duration(age)),
        index_epoch: retrieved.index_epoch,
    });
    completed.timings = vec![search::stage("cache", began.elapsed())];
    if let Some(receipt) = &mut completed.receipt {
        call.clone_into(&mut receipt.request_id);
        receipt.timings = Some(timings(Spent {
            total: Some(began.elapsed()),
            ..Spent::default()
        }));
    }
    outbox.send(Event::Completed(completed)).await
}

/// The question as it stands alone: by a model where there is one, else with the question before it.
async fn stand_alone(
    shared: &Shared,
    asked: &Asked,
    deadline: Option<Deadline>,
    stages: &mut Stages,
) -> String {
    if asked.history.is_empty() {
        return asked.query.clone();
    }
    let joined = || follow_up::joined(&asked.history, &asked.query);
    if asked.mode == Mode::Extractive {
        return joined();
    }
    let began = Instant::now();
    let wanted = Wanted {
        model: model(shared, asked),
        messages: follow_up::condense(&asked.history, &asked.query),
        max_tokens: SHORT,
        temperature: 0.0,
    };
    let condensed = shared.llm.ask_whole(wanted, deadline).await;
    stages.add("condense", began.elapsed());
    match condensed {
        Ok(reply) => follow_up::condensed(&reply).unwrap_or_else(joined),
        Err(fault) => {
            // What becomes of the answer itself says it to the client; `effective_query` shows what was searched.
            tracing::debug!(error = %polyphony_error::chain(&fault), "a conversation is not condensed");
            joined()
        }
    }
}

/// The hits that an answer is written from.
fn chosen(shared: &Shared, asked: &Asked, query: &str, found: &Found) -> Vec<Hit> {
    let sources: Vec<Source> = found.hits.iter().map(convert::source).collect();
    let budget = Budget {
        passages: asked.chunks,
        tokens: shared.config.answer.context_tokens,
    };
    let kept = context::select(query, &sources, budget).into_iter();
    kept.map(|kept| found.hits[kept.source].clone()).collect()
}

/// The language model that answers; empty: llm-proxy's default.
fn model(shared: &Shared, asked: &Asked) -> String {
    if asked.model.is_empty() {
        shared.config.answer.model.clone()
    } else {
        asked.model.clone()
    }
}

/// Why there is no answer, as a label.
const fn label(reason: pb::AnswerSkippedReason) -> &'static str {
    match reason {
        pb::AnswerSkippedReason::Unspecified => "unspecified",
        pb::AnswerSkippedReason::NoRelevantContent => "no_relevant_content",
        pb::AnswerSkippedReason::NotAnswerable => "not_answerable",
        pb::AnswerSkippedReason::LowGrounding => "low_grounding",
        pb::AnswerSkippedReason::ContentFilter => "content_filter",
    }
}

fn timings(spent: Spent) -> types::Timings {
    types::Timings {
        queue_duration: spent.queue.map(wire_duration),
        load_duration: spent.load.map(wire_duration),
        inference_duration: spent.inference.map(wire_duration),
        total_duration: spent.total.map(wire_duration),
    }
}

// === impl Outbox ===

impl Outbox {
    /// Sends an event; waits while the client is behind.
    async fn send(&self, event: Event) -> Result<(), Stop> {
        let message = pb::AnswerResponse { event: Some(event) };
        self.0.send(Ok(message)).await.map_err(|_| Stop::Gone)
    }
}

// === impl Stages ===

impl Stages {
    fn add(&mut self, stage: &'static str, took: Duration) {
        self.0.push((stage, took));
    }

    fn found(&mut self, found: &Found) {
        for timing in &found.timings {
            self.add(timing.stage, timing.duration);
        }
    }

    /// What models worked.
    fn inference(&self) -> Duration {
        let of_models = |stage: &str| {
            matches!(
                stage,
                "embed" | "rerank" | "condense" | "prefill" | "decode" | "extract" | "relate"
            )
        };
        let stages = self.0.iter().filter(|(stage, _)| of_models(stage));
        stages.map(|(_, took)| *took).sum()
    }

    /// Counts those that are not the search's own, which counts its own.
    fn told(&self) {
        for (stage, took) in &self.0 {
            if matches!(
                *stage,
                "condense" | "prefill" | "decode" | "extract" | "ground" | "relate"
            ) {
                metrics::answer_stage(stage, *took);
            }
        }
    }

    fn wire(&self) -> Vec<pb::StageTiming> {
        self.0
            .iter()
            .map(|(stage, took)| search::stage(stage, *took))
            .collect()
    }
}

// === impl Kept ===

impl Kept {
    /// What it takes, about.
    fn bytes(&self) -> usize {
        let Self {
            retrieved,
            citations,
            completed,
        } = self;
        2 * (retrieved.encoded_len() + citations.encoded_len() + completed.encoded_len())
    }
}

// === impl Replies ===

impl Stream for Replies {
    type Item = Result<pb::AnswerResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.replies.poll_recv(cx)
    }
}

/// What a citation is of, for whoever writes.
type Citations = Vec<Citation>;
