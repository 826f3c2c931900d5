//! A language model behind llm-proxy, as the words it writes.
//!
//! An answer that breaks off is an error and never an end: only what llm-proxy calls completed is.

use std::time::Duration;

use http::Uri;
use polyphony_chassis::config::{ChannelConfig, LimitsConfig};
use polyphony_chassis::{Deadline, connect};
use polyphony_error::{Fault, Kind};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::chat_response::Event;
use polyphony_proto::llm::v1::llm_service_client::LlmServiceClient;
use polyphony_proto::types::v1 as types;
use polyphony_wire::duration;
use tokio::time::timeout;
use tonic::{Request, Streaming};

use super::{channel, fault};
use crate::answer::prompt::{Message, Speaker};

/// The language models. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Llm {
    client: LlmServiceClient<connect::Client>,
    /// How long the first word is waited for.
    patience: Duration,
}

/// What a model is asked.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The model; empty: llm-proxy's default.
    pub(crate) model: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: u32,
    pub(crate) temperature: f32,
}

/// An answer that is being written.
#[derive(Debug)]
pub(crate) struct Writing {
    pieces: Streaming<pb::ChatResponse>,
    /// The first words, which have come.
    first: Option<Piece>,
}

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    /// More words.
    Words(String),
    /// It is complete.
    Done(Box<Done>),
}

/// How an answer ended.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) end: End,
    /// With what it was done, as llm-proxy says.
    pub(crate) receipt: types::Receipt,
    /// None: the upstream does not say.
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    pub(crate) decode: Option<Duration>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// The model was done.
    #[default]
    Done,
    /// It had as many tokens as were asked for.
    Length,
    /// A filter held it back.
    Filtered,
}

const SERVICE: &str = "llm-proxy";
const KEY: &str = "rag.llm_endpoint";

/// Who only wants to know whether there is a model waits no longer.
const LOOK: Duration = Duration::from_secs(2);

fn is_usable(upstream: &pb::UpstreamStatus) -> bool {
    matches!(
        upstream.health(),
        pb::UpstreamHealth::Healthy | pb::UpstreamHealth::Unspecified
    )
}

// === impl Llm ===

impl Llm {
    pub(crate) fn new(
        endpoint: &Uri,
        config: &ChannelConfig,
        patience: Duration,
    ) -> Result<Self, connect::Error> {
        let limits = LimitsConfig::default();
        let client = LlmServiceClient::new(channel(endpoint, config)?);
        Ok(Self {
            client: polyphony_chassis::client!(client, &limits),
            patience,
        })
    }

    /// Asks a model; returns when its first words have come. Until then nothing was said, so another may answer instead.
    ///
    /// # Errors
    /// When no model answers, or not in time.
    pub(crate) async fn ask(&self, wanted: Wanted, deadline: Option<Deadline>) -> Result<Writing, Fault> {
        let mut request = Request::new(wanted.wire());
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let mut client = self.client.clone();
        let begin = async {
            let reply = client.chat(request).await;
            let pieces = reply.map_err(|status| fault(SERVICE, KEY, &status))?.into_inner();
            let mut writing = Writing { pieces, first: None };
            writing.first = Some(writing.next().await?);
            Ok(writing)
        };
        timeout(self.patience, begin).await.unwrap_or_else(|_| {
            let text = format!(
                "{SERVICE} ({KEY}): no word came within {:?} (rag.answer.first_word_timeout)",
                self.patience
            );
            Err(Fault::new(Kind::DeadlineExceeded, "LLM_TOO_SLOW", text))
        })
    }

    /// Whether there is a model that chats.
    pub(crate) async fn is_up(&self) -> bool {
        let mut client = self.client.clone();
        let models = client.list_models(pb::ListModelsRequest {
            page_size: 1_000,
            page_token: String::new(),
        });
        let Ok(Ok(models)) = timeout(LOOK, models).await else {
            return false;
        };
        let chat = i32::from(pb::ModelKind::Chat);
        let mut models = models.into_inner().models.into_iter();
        models.any(|model| model.kinds.contains(&chat) && model.upstreams.iter().any(is_usable))
    }

    /// Asks a model for a short text and waits for all of it.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and when it breaks off.
    pub(crate) async fn ask_whole(
        &self,
        wanted: Wanted,
        deadline: Option<Deadline>,
    ) -> Result<String, Fault> {
        let whole = async {
            let mut writing = self.ask(wanted, deadline).await?;
            let mut text = String::new();
            loop {
                match writing.next().await? {
                    Piece::Words(words) => text.push_str(&words),
                    Piece::Done(_) => return Ok(text),
                }
            }
        };
        timeout(self.patience, whole).await.unwrap_or_else(|_| {
            Err(Fault::new(
                Kind::DeadlineExceeded,
                "LLM_TOO_SLOW",
                "no reply in time",
            ))
        })
    }
}

// === impl Writing ===

impl Writing {
    /// What comes next.
    ///
    /// # Errors
    /// When the answer breaks off.
    pub(crate) async fn next(&mut self) -> Result<Piece, Fault> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let piece = self.pieces.message().await;
            let piece = piece.map_err(|status| fault(SERVICE, KEY, &status))?;
            let Some(pb::ChatResponse { event }) = piece else {
                let text = format!("{SERVICE} ({KEY}): the answer broke off");
                return Err(Fault::unavailable("ANSWER_CUT", text));
            };
            match event {
                Some(Event::Delta(delta)) if delta.index == 0 && !delta.content.is_empty() => {
                    return Ok(Piece::Words(delta.content));
                }
                Some(Event::Completed(completed)) => {
                    return Ok(Piece::Done(Box::new(Done::parse(completed)?)));
                }
                // Reasoning, refusals' own words and news of the queue are not part of an answer.
                Some(Event::Queued(_) | Event::Started(_) | Event::Delta(_)) | None => {}
            }
        }
    }
}

// === impl Wanted ===

impl Wanted {
    fn wire(self) -> pb::ChatRequest {
        let message = |Message { speaker, text }| pb::ChatMessage {
            role: match speaker {
                Speaker::System => pb::Role::System,
                Speaker::User => pb::Role::User,
                Speaker::Assistant => pb::Role::Assistant,
            }
            .into(),
            content: vec![pb::ContentPart {
                part: Some(pb::content_part::Part::Text(text)),
            }],
            ..pb::ChatMessage::default()
        };
        pb::ChatRequest {
            model: self.model,
            messages: self.messages.into_iter().map(message).collect(),
            sampling: Some(pb::SamplingParams {
                temperature: Some(self.temperature),
                max_tokens: Some(self.max_tokens),
                ..pb::SamplingParams::default()
            }),
            ..pb::ChatRequest::default()
        }
    }
}

// === impl Done ===

impl Done {
    fn parse(completed: pb::ChatCompleted) -> Result<Self, Fault> {
        let pb::ChatCompleted {
            choices,
            usage,
            route: _,
            receipt,
        } = completed;
        let reason = choices.first().map(|choice| choice.finish_reason());
        let end = match reason {
            Some(pb::FinishReason::Length) => End::Length,
            Some(pb::FinishReason::ContentFilter) => End::Filtered,
            Some(pb::FinishReason::Cancelled) => {
                let text = format!("{SERVICE} ({KEY}): the answer was cancelled");
                return Err(Fault::unavailable("ANSWER_CUT", text));
            }
            Some(pb::FinishReason::Stop | pb::FinishReason::ToolCalls | pb::FinishReason::Unspecified)
            | None => End::Done,
        };
        let usage = usage.unwrap_or_default();
        Ok(Self {
            end,
            receipt: receipt.unwrap_or_default(),
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            decode: usage.decode_duration.and_then(duration),
        })
    }
}
