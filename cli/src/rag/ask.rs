//! `polyphony rag ask`: the answer as it is written, then where it comes from.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::answer_response::Event;
use serde_json::{Value, json};

use super::place::Places;
use super::{Client, connect, filter, search};
use crate::args::{Ask, Mesh};
use crate::{client, output, wire};

pub(super) async fn run(mesh: &Mesh, json: bool, space: String, args: Ask) -> anyhow::Result<ExitCode> {
    let Ask {
        question,
        model,
        extractive,
        related,
        fresh,
        only,
        timeout,
    } = args;
    client::within(timeout, async {
        let mut rag = connect(mesh).await?;
        let mode = if extractive {
            pb::AnswerMode::Extractive
        } else {
            pb::AnswerMode::Auto
        };
        let cache = if fresh {
            pb::CacheMode::Refresh
        } else {
            pb::CacheMode::ReadWrite
        };
        let request = pb::AnswerRequest {
            space,
            query: question,
            filter: filter(only),
            generation: Some(pb::GenerationConfig {
                model: model.unwrap_or_default(),
                mode: mode.into(),
                ..pb::GenerationConfig::default()
            }),
            cache_mode: cache.into(),
            include_related_questions: related.then_some(true),
            ..pb::AnswerRequest::default()
        };
        let mut events = rag.answer(client::request(request, timeout)).await?.into_inner();
        let (mut citations, mut completed) = (pb::Citations::default(), None);
        while let Some(response) = events.message().await? {
            let Some(event) = response.event else { continue };
            if json {
                output::object(&object(&event))?;
            }
            match event {
                Event::Delta(delta) if !json => say(&delta.text)?,
                Event::Citations(found) => citations = found,
                Event::Completed(ended) => completed = Some(ended),
                Event::Retrieved(_) | Event::Delta(_) => {}
            }
        }
        let Some(completed) = completed else {
            bail!("the answer broke off: the mesh ended it without saying how");
        };
        if !json {
            conclude(&mut rag, &citations, completed).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// Words as they come.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(output::ClosedPipe))
        }
        other => Ok(other?),
    }
}

/// What is said after an answer.
async fn conclude(
    rag: &mut Client,
    citations: &pb::Citations,
    completed: pb::AnswerCompleted,
) -> anyhow::Result<()> {
    if !completed.answer.is_empty() {
        output::line("")?;
    }
    if let Some(reason) = completed.answer_skipped_reasons().next() {
        output::line(skipped(reason))?;
    }
    let mut places = Places::default();
    let mut told: Vec<(String, String)> = Vec::new();
    for citation in &citations.citations {
        for source in &citation.sources {
            let place = places.tell(rag, &source.document, source.anchor.as_ref()).await;
            let quote = source.quote.split_whitespace().collect::<Vec<_>>().join(" ");
            let mark = if citation.verified { "" } else { " (not verified)" };
            let line = (place, format!("\"{quote}\"{mark}"));
            if !told.contains(&line) {
                told.push(line);
            }
        }
    }
    if !told.is_empty() {
        output::line("")?;
    }
    for (number, (place, quote)) in (1..).zip(&told) {
        output::line(&format!("[{number}] {place}: {quote}"))?;
    }
    for question in &completed.related_questions {
        output::line(&format!("? {question}"))?;
    }
    if completed.cache.is_some_and(|cache| cache.hit) {
        let age = wire::duration(completed.cache.and_then(|cache| cache.age_duration));
        output::remark(&format!("note: from the cache, {} s old", age.as_secs()));
    }
    if let Some(remark) = completed.receipt.and_then(wire::degraded) {
        output::remark(&remark);
    }
    Ok(())
}

/// Why there is no answer, for a person.
const fn skipped(reason: pb::AnswerSkippedReason) -> &'static str {
    match reason {
        pb::AnswerSkippedReason::NoRelevantContent => "No answer: nothing that fits was found.",
        pb::AnswerSkippedReason::NotAnswerable => "No answer: the documents do not say.",
        pb::AnswerSkippedReason::LowGrounding => {
            "No answer: the documents do not bear out what the model wrote."
        }
        pb::AnswerSkippedReason::ContentFilter => "No answer: a filter of the model held it back.",
        pb::AnswerSkippedReason::Unspecified => "No answer.",
    }
}

fn object(event: &Event) -> Value {
    match event {
        Event::Retrieved(retrieved) => json!({ "retrieved": {
            "hits": retrieved.hits.iter().map(search::object).collect::<Vec<_>>(),
            "effectiveQuery": retrieved.effective_query,
            "indexEpoch": retrieved.index_epoch,
        }}),
        Event::Delta(delta) => json!({ "delta": delta.text }),
        Event::Citations(citations) => {
            json!({ "citations": citations.citations.iter().map(citation).collect::<Vec<_>>() })
        }
        Event::Completed(completed) => {
            let reasons = completed.answer_skipped_reasons();
            let reasons: Vec<String> = reasons
                .map(|reason| {
                    let name = reason.as_str_name().trim_start_matches("ANSWER_SKIPPED_REASON_");
                    name.to_ascii_lowercase()
                })
                .collect();
            let receipt = completed.receipt.clone().unwrap_or_default();
            json!({ "completed": {
                "answer": completed.answer,
                "mode": completed.mode().as_str_name().trim_start_matches("ANSWER_MODE_").to_ascii_lowercase(),
                "skippedReasons": reasons,
                "groundingScore": completed.grounding_score,
                "relatedQuestions": completed.related_questions,
                "cacheHit": completed.cache.as_ref().is_some_and(|cache| cache.hit),
                "model": receipt.model,
                "degraded": receipt.degraded.map(|degraded| degraded.reason),
            }})
        }
    }
}

fn citation(citation: &pb::Citation) -> Value {
    let range = citation.answer_range.unwrap_or_default();
    let source = |source: &pb::CitationSource| {
        json!({
            "hitIndex": source.hit_index,
            "document": source.document,
            "anchor": source.anchor.as_ref().map(search::anchor),
            "quote": source.quote,
        })
    };
    json!({
        "startByte": range.start_byte,
        "endByte": range.end_byte,
        "sources": citation.sources.iter().map(source).collect::<Vec<_>>(),
        "groundingScore": citation.grounding_score,
        "verified": citation.verified,
    })
}
