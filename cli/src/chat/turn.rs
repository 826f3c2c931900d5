//! One question and its answer, shown as it comes.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::chat_response::Event;
use polyphony_proto::llm::v1::llm_service_client::LlmServiceClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::args::Chat;
use crate::{client, output, wire};

/// What a turn needs.
pub(super) struct Turn<'a> {
    pub(super) client: LlmServiceClient<Channel>,
    pub(super) args: &'a Chat,
    pub(super) json: bool,
}

/// How a turn ended.
pub(super) enum Ended {
    /// With this answer.
    Complete(pb::ChatMessage),
    /// The person had enough.
    Interrupted,
}

// === impl Turn ===

impl Turn<'_> {
    /// Asks, and shows the answer.
    pub(super) async fn answer(&mut self, messages: Vec<pb::ChatMessage>) -> anyhow::Result<Ended> {
        let timeout = self.args.timeout;
        let answered = async {
            tokio::select! {
                ended = self.shown(messages) => ended,
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.context("cannot hear Ctrl-C")?;
                    // Dropping the call ends it all the way to the upstream.
                    output::remark("");
                    Ok(Ended::Interrupted)
                }
            }
        };
        client::within(timeout, answered).await
    }

    async fn shown(&mut self, messages: Vec<pb::ChatMessage>) -> anyhow::Result<Ended> {
        let request = pb::ChatRequest {
            model: self.args.model.clone().unwrap_or_default(),
            messages,
            sampling: Some(pb::SamplingParams {
                temperature: self.args.temperature,
                max_tokens: self.args.max_tokens,
                ..pb::SamplingParams::default()
            }),
            ..pb::ChatRequest::default()
        };
        let request = client::request(request, self.args.timeout);
        let mut replies = self.client.chat(request).await?.into_inner();
        while let Some(reply) = replies.message().await? {
            match reply.event {
                Some(Event::Queued(queue)) if output::is_watched() => {
                    output::remark(&format!("{} before us wait for the model", queue.position));
                }
                Some(Event::Delta(delta)) => self.show(&delta)?,
                Some(Event::Completed(completed)) => return self.finish(completed),
                Some(Event::Queued(_) | Event::Started(_)) | None => {}
            }
        }
        bail!("the answer broke off: the mesh ended it without saying how");
    }

    fn show(&self, delta: &pb::ChatDelta) -> anyhow::Result<()> {
        if self.json {
            let delta = json!({"content": delta.content, "reasoning": delta.reasoning_content, "refusal": delta.refusal});
            return output::object(&json!({"delta": delta}));
        }
        if output::is_watched() && !delta.reasoning_content.is_empty() {
            aside(
                &console::style(&delta.reasoning_content)
                    .dim()
                    .for_stderr()
                    .to_string(),
            );
        }
        piece(&delta.content)?;
        piece(&delta.refusal)
    }

    fn finish(&self, completed: pb::ChatCompleted) -> anyhow::Result<Ended> {
        let choice = completed.choices.into_iter().next();
        let choice = choice.context("the mesh gave no answer")?;
        let usage = completed.usage.unwrap_or_default();
        let route = completed.route.unwrap_or_default();
        let receipt = completed.receipt.unwrap_or_default();
        let reason = choice
            .finish_reason()
            .as_str_name()
            .trim_start_matches("FINISH_REASON_")
            .to_ascii_lowercase();
        if self.json {
            output::object(&json!({
                "finish_reason": reason,
                "model": receipt.model,
                "upstream": route.upstream,
                "usage": told(&usage),
                "first_token_seconds": route.first_token_duration.map(|time| wire::duration(Some(time)).as_secs_f64()),
            }))?;
        } else {
            output::line("")?;
            if let Some(remark) = wire::degraded(receipt.clone()) {
                output::remark(&remark);
            }
            if output::is_watched() {
                output::remark(&took(&receipt.model, &route, &usage, &reason));
            }
        }
        choice
            .message
            .context("the mesh gave no message")
            .map(Ended::Complete)
    }
}

/// A piece of the answer, at once.
fn piece(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(output::ClosedPipe))
        }
        other => Ok(other?),
    }
}

/// A piece of what is not the answer; where nobody can read it, that is not worth an end.
fn aside(text: &str) {
    let mut out = io::stderr().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

fn told(usage: &pb::Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    })
}

/// What an answer took, in a line.
fn took(model: &str, route: &pb::Route, usage: &pb::Usage, reason: &str) -> String {
    let mut parts = vec![format!("{model} on {}", route.upstream)];
    if let Some(time) = route.first_token_duration {
        parts.push(format!(
            "first token after {:.2} s",
            wire::duration(Some(time)).as_secs_f64()
        ));
    }
    if let (Some(prompt), Some(completion)) = (usage.prompt_tokens, usage.completion_tokens) {
        let decode = usage.decode_duration.map(|time| wire::duration(Some(time)));
        let speed = decode
            .filter(|time| *time > Duration::ZERO)
            .map(|time| f64::from(completion) / time.as_secs_f64());
        let speed = speed.map_or_else(String::new, |speed| format!(", {speed:.0} tokens/s"));
        parts.push(format!("{prompt} + {completion} tokens{speed}"));
    }
    if reason != "stop" {
        parts.push(format!("ended by {reason}"));
    }
    format!("[{}]", parts.join("; "))
}
