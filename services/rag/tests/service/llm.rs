//! A language model that says what a test wants it to, behind a real llm-proxy contract.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::chat_response::Event;
use polyphony_proto::llm::v1::llm_service_server::{LlmService, LlmServiceServer};
use polyphony_proto::types::v1 as types;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// What it says next.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// These words, and it is done.
    Words(&'static [&'static str]),
    /// These words, and it was stopped at its most tokens.
    Stopped(&'static [&'static str]),
    /// These words, and then the stream ends without an end.
    Silent(&'static [&'static str]),
    /// These words, and then it fails.
    Fails(&'static [&'static str]),
    /// A filter held it back.
    Filtered,
    /// It says nothing, for ever.
    Never,
    /// There is no model.
    Absent,
}

/// The model. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Llm {
    says: Arc<Mutex<VecDeque<Says>>>,
    asked: Arc<Mutex<Vec<pb::ChatRequest>>>,
}

// === impl Llm ===

impl Llm {
    /// Serves a model that says these one after another. Gives the setting that leads to it.
    pub(crate) async fn serve(says: impl IntoIterator<Item = Says>) -> (Self, String) {
        let llm = Self {
            says: Arc::new(Mutex::new(says.into_iter().collect())),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = LlmServiceServer::new(llm.clone());
        tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("serves");
        });
        (llm, format!("rag.llm_endpoint=http://{address}"))
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<pb::ChatRequest> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// All that was said to it in one question.
pub(crate) fn said(request: &pb::ChatRequest) -> String {
    let parts = request.messages.iter().flat_map(|message| &message.content);
    parts
        .filter_map(|part| match &part.part {
            Some(pb::content_part::Part::Text(text)) => Some(text.as_str()),
            _ => None,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

type Item = Result<pb::ChatResponse, Status>;

fn event(event: Event) -> Item {
    Ok(pb::ChatResponse { event: Some(event) })
}

fn deltas(words: &[&str]) -> Vec<Item> {
    let started = event(Event::Started(pb::ChatStarted::default()));
    let deltas = words.iter().map(|word| {
        event(Event::Delta(pb::ChatDelta {
            content: (*word).to_owned(),
            ..pb::ChatDelta::default()
        }))
    });
    std::iter::once(started).chain(deltas).collect()
}

fn completed(reason: pb::FinishReason) -> Item {
    event(Event::Completed(pb::ChatCompleted {
        choices: vec![pb::ChatChoice {
            finish_reason: reason.into(),
            ..pb::ChatChoice::default()
        }],
        usage: Some(pb::Usage {
            prompt_tokens: Some(321),
            completion_tokens: Some(12),
            ..pb::Usage::default()
        }),
        route: None,
        receipt: Some(types::Receipt {
            model: "scripted".to_owned(),
            engine: "test".to_owned(),
            ..types::Receipt::default()
        }),
    }))
}

#[tonic::async_trait]
impl LlmService for Llm {
    type ChatStream = BoxStream<'static, Item>;

    async fn chat(&self, request: Request<pb::ChatRequest>) -> Result<Response<Self::ChatStream>, Status> {
        self.asked.lock().expect("no panic").push(request.into_inner());
        let says = self.says.lock().expect("no panic").pop_front();
        let items = match says.unwrap_or(Says::Absent) {
            Says::Words(words) => [deltas(words), vec![completed(pb::FinishReason::Stop)]].concat_items(),
            Says::Stopped(words) => [deltas(words), vec![completed(pb::FinishReason::Length)]].concat_items(),
            Says::Silent(words) => deltas(words),
            Says::Fails(words) => [
                deltas(words),
                vec![Err(Status::unavailable("the upstream was reset"))],
            ]
            .concat_items(),
            Says::Filtered => vec![completed(pb::FinishReason::ContentFilter)],
            Says::Never => return Ok(Response::new(stream::pending().boxed())),
            Says::Absent => return Err(Status::unavailable("no upstream; add one to llm-proxy")),
        };
        Ok(Response::new(stream::iter(items).boxed()))
    }

    type ChatStreamStream = BoxStream<'static, Result<pb::ChatStreamResponse, Status>>;

    async fn chat_stream(
        &self,
        _: Request<Streaming<pb::ChatStreamRequest>>,
    ) -> Result<Response<Self::ChatStreamStream>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn embed(&self, _: Request<pb::EmbedRequest>) -> Result<Response<pb::EmbedResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn rerank(&self, _: Request<pb::RerankRequest>) -> Result<Response<pb::RerankResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn score(&self, _: Request<pb::ScoreRequest>) -> Result<Response<pb::ScoreResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn tokenize(
        &self,
        _: Request<pb::TokenizeRequest>,
    ) -> Result<Response<pb::TokenizeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn detokenize(
        &self,
        _: Request<pb::DetokenizeRequest>,
    ) -> Result<Response<pb::DetokenizeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_models(
        &self,
        _: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        Ok(Response::new(pb::ListModelsResponse {
            models: vec![pb::LanguageModel {
                model: "scripted".to_owned(),
                kinds: vec![pb::ModelKind::Chat.into()],
                upstreams: vec![pb::UpstreamStatus {
                    health: pb::UpstreamHealth::Healthy.into(),
                    ..pb::UpstreamStatus::default()
                }],
                ..pb::LanguageModel::default()
            }],
            next_page_token: String::new(),
        }))
    }

    async fn get_route(
        &self,
        _: Request<pb::GetRouteRequest>,
    ) -> Result<Response<pb::GetRouteResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}

/// Lists made one; a status cannot be cloned, as `concat` would.
trait Concat {
    fn concat_items(self) -> Vec<Item>;
}

impl Concat for [Vec<Item>; 2] {
    fn concat_items(self) -> Vec<Item> {
        self.into_iter().flatten().collect()
    }
}
