//! The adapter: convert, call, convert. What happens to a conversation is in `chat`, to texts in `texts`.

mod chat;
mod converse;
mod models;
mod texts;

use std::sync::Arc;

use polyphony_chassis::{Caller, Deadline, RequestId};
use polyphony_proto::llm::v1 as pb;
use polyphony_proto::llm::v1::llm_service_server::LlmService;
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use crate::join::Joins;
use crate::keys::Who;
use crate::proxy::Proxy;
use chat::Replies;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Llm {
    pub(crate) proxy: Arc<Proxy>,
    joins: Arc<Joins>,
}

/// What is known of a call besides its message.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) who: Who,
    /// The caller's own.
    own_deadline: Option<Instant>,
    /// That of the first answer.
    pub(crate) deadline: Instant,
}

// === impl Llm ===

impl Llm {
    pub(crate) fn new(proxy: Arc<Proxy>) -> Self {
        Self {
            proxy,
            joins: Arc::default(),
        }
    }

    fn call<T>(&self, request: &Request<T>) -> Call {
        let own = request
            .extensions()
            .get::<Deadline>()
            .map(|deadline| deadline.instant());
        Call {
            id: RequestId::of_call(request),
            who: self.proxy.keys.of_caller(&Caller::of(request)),
            own_deadline: own,
            deadline: self.proxy.deadline(own),
        }
    }
}

#[tonic::async_trait]
impl LlmService for Llm {
    type ChatStream = Replies<pb::ChatResponse>;
    type ChatStreamStream = Replies<pb::ChatStreamResponse>;

    async fn chat(&self, request: Request<pb::ChatRequest>) -> Result<Response<Self::ChatStream>, Status> {
        let call = self.call(&request);
        Ok(Response::new(chat::open(self, call, request.into_inner())?))
    }

    async fn chat_stream(
        &self,
        request: Request<Streaming<pb::ChatStreamRequest>>,
    ) -> Result<Response<Self::ChatStreamStream>, Status> {
        let call = self.call(&request);
        Ok(Response::new(converse::open(self, call, request.into_inner())))
    }

    async fn embed(&self, request: Request<pb::EmbedRequest>) -> Result<Response<pb::EmbedResponse>, Status> {
        let call = self.call(&request);
        let work = Box::pin(texts::embed(&self.proxy, call, request.into_inner()));
        Ok(Response::new(work.await?))
    }

    async fn rerank(
        &self,
        request: Request<pb::RerankRequest>,
    ) -> Result<Response<pb::RerankResponse>, Status> {
        let call = self.call(&request);
        let work = Box::pin(texts::rerank(&self.proxy, call, request.into_inner()));
        Ok(Response::new(work.await?))
    }

    async fn score(&self, request: Request<pb::ScoreRequest>) -> Result<Response<pb::ScoreResponse>, Status> {
        let call = self.call(&request);
        let work = Box::pin(texts::score(&self.proxy, call, request.into_inner()));
        Ok(Response::new(work.await?))
    }

    async fn tokenize(
        &self,
        request: Request<pb::TokenizeRequest>,
    ) -> Result<Response<pb::TokenizeResponse>, Status> {
        let call = self.call(&request);
        let work = Box::pin(texts::tokenize(&self.proxy, call, request.into_inner()));
        Ok(Response::new(work.await?))
    }

    async fn detokenize(
        &self,
        request: Request<pb::DetokenizeRequest>,
    ) -> Result<Response<pb::DetokenizeResponse>, Status> {
        let call = self.call(&request);
        let work = Box::pin(texts::detokenize(&self.proxy, call, request.into_inner()));
        Ok(Response::new(work.await?))
    }

    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        Ok(Response::new(
            models::list(&self.proxy, request.into_inner()).await?,
        ))
    }

    async fn get_route(
        &self,
        request: Request<pb::GetRouteRequest>,
    ) -> Result<Response<pb::GetRouteResponse>, Status> {
        Ok(Response::new(models::route(&self.proxy, request.into_inner())?))
    }

    async fn get_capabilities(
        &self,
        request: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let pb::GetCapabilitiesRequest {} = request.into_inner();
        Ok(Response::new(models::capabilities(&self.proxy).await?))
    }
}
