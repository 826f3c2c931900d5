//! The adapter: convert, call, convert. What happens to a document or a query is the store's; how an answer is written is
//! in [`answer`](self::answer).

mod answer;
mod archive;
mod capabilities;
mod ingest;
mod rerank;

use std::sync::Arc;

use futures_util::stream::{BoxStream, try_unfold};
use polyphony_chassis::places::{Patience, Places};
use polyphony_chassis::{Caller, Deadline, RequestId};
use polyphony_error::{Fault, Kind};
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::rag::v1 as pb;
use polyphony_proto::rag::v1::rag_service_server::RagService;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{Spent, receipt};
use tokio::time::Instant;
use tonic::{Request, Response, Status, Streaming};

use crate::answer::cache::Cache;
use crate::clients::Llm;
use crate::config::Config;
use crate::convert::{self, data, document, names, search, space};
use crate::encoders::Encoders;
use crate::fetch::Fetcher;
use crate::ingestions::{self, Ingestions};
use crate::store::DocumentListing;
use crate::{Scope, Store};

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

/// What every call may need.
#[derive(Debug)]
struct Shared {
    config: Config,
    store: Store,
    encoders: Encoders,
    llm: Llm,
    fetcher: Fetcher,
    cache: Cache<answer::Kept>,
    places: Places,
    ingestions: Ingestions,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(
        config: Config,
        store: Store,
        encoders: Encoders,
        llm: Llm,
        fetcher: Fetcher,
        ingestions: Ingestions,
    ) -> Self {
        let places = Places::new("rag", config.max_streams, config.searches(), config.max_queue);
        Self {
            shared: Arc::new(Shared {
                cache: Cache::new(config.answer.cache_size.as_usize(), config.answer.cache_ttl.get()),
                places,
                ingestions,
                config,
                store,
                encoders,
                llm,
                fetcher,
            }),
        }
    }

    fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The caller's key to one of its spaces.
    async fn scope(&self, caller: &Caller, space: &str) -> Result<Scope, Fault> {
        Ok(self.store().scope(caller, space).await?)
    }
}

#[tonic::async_trait]
impl RagService for Service {
    async fn ingest(
        &self,
        request: Request<Streaming<pb::IngestRequest>>,
    ) -> Result<Response<Operation>, Status> {
        let _place = self.shared.places.stream()?;
        let caller = Caller::of(&request);
        let job = ingest::ingest(&self.shared, &caller, request.into_inner()).await?;
        Ok(Response::new(self.shared.ingestions.operation(&job).await?))
    }

    type WatchIngestStream = BoxStream<'static, Result<pb::WatchIngestResponse, Status>>;

    async fn watch_ingest(
        &self,
        request: Request<pb::WatchIngestRequest>,
    ) -> Result<Response<Self::WatchIngestStream>, Status> {
        let caller = Caller::of(&request);
        let pb::WatchIngestRequest { name } = request.into_inner();
        let ingestions = self.shared.ingestions.clone();
        let watched = ingestions.watch(&name, &caller).await?;
        Ok(Response::new(Box::pin(try_unfold(
            (watched, ingestions),
            |(mut watched, ingestions)| async move {
                let Some(job) = watched.next().await.map_err(Fault::from)? else {
                    return Ok(None);
                };
                let now = ingestions::news(&ingestions, &job).await?;
                Ok(Some((now, (watched, ingestions))))
            },
        ))))
    }

    async fn search(
        &self,
        request: Request<pb::SearchRequest>,
    ) -> Result<Response<pb::SearchResponse>, Status> {
        let (caller, call, began) = (Caller::of(&request), RequestId::of_call(&request), Instant::now());
        let convert::search::Search { space, query } = search::search(request.into_inner())?;
        let scope = self.scope(&caller, &space).await?;
        let place = self.shared.places.worker(Patience::Queue).await?;
        let found = self.store().search(&scope, &query).await.map_err(Fault::from)?;
        let spent = Spent {
            queue: Some(place.waited),
            total: Some(began.elapsed()),
            ..Spent::default()
        };
        let receipt = self.shared.found_by(&call, &found, spent).await?;
        Ok(Response::new(search::found(&space, found, receipt)))
    }

    type AnswerStream = answer::Replies;

    async fn answer(
        &self,
        request: Request<pb::AnswerRequest>,
    ) -> Result<Response<Self::AnswerStream>, Status> {
        let place = self.shared.places.stream()?;
        let (caller, call) = (Caller::of(&request), RequestId::of_call(&request));
        let deadline = request.extensions().get::<Deadline>().copied();
        let asked = convert::answer::asked(request.into_inner())?;
        let scope = self.scope(&caller, &asked.space).await?;
        let job = answer::Job {
            asked,
            scope,
            call,
            deadline,
        };
        Ok(Response::new(answer::stream(
            Arc::clone(&self.shared),
            job,
            place,
        )))
    }

    async fn rerank(
        &self,
        request: Request<pb::RerankRequest>,
    ) -> Result<Response<pb::RerankResponse>, Status> {
        let call = RequestId::of_call(&request);
        let asked = convert::rerank::rerank(request.into_inner())?;
        Ok(Response::new(rerank::rerank(&self.shared, &call, asked).await?))
    }

    async fn get_document(
        &self,
        request: Request<pb::GetDocumentRequest>,
    ) -> Result<Response<pb::Document>, Status> {
        let caller = Caller::of(&request);
        let pb::GetDocumentRequest { name } = request.into_inner();
        let (space, id) = names::document(&name, "name")?;
        let scope = self.scope(&caller, &space).await?;
        let found = self.store().document(&scope, &id).await.map_err(Fault::from)?;
        Ok(Response::new(document::wire(&space, found)))
    }

    async fn list_documents(
        &self,
        request: Request<pb::ListDocumentsRequest>,
    ) -> Result<Response<pb::ListDocumentsResponse>, Status> {
        let caller = Caller::of(&request);
        let document::List {
            space,
            state,
            tags,
            page_size,
            page,
        } = document::list(request.into_inner())?;
        let scope = self.scope(&caller, &space).await?;
        let listing = DocumentListing {
            state,
            tags,
            after: data::after(&page, names::is_document_id)?,
            most: page_size + 1,
        };
        let mut found = self
            .store()
            .list_documents(&scope, &listing)
            .await
            .map_err(Fault::from)?;
        let more = found.len() > page_size;
        found.truncate(page_size);
        let last = found.last().filter(|_| more).map(|document| document.id.clone());
        Ok(Response::new(pb::ListDocumentsResponse {
            documents: found
                .into_iter()
                .map(|found| document::wire(&space, found))
                .collect(),
            next_page_token: last.unwrap_or_default(),
        }))
    }

    async fn delete_document(
        &self,
        request: Request<pb::DeleteDocumentRequest>,
    ) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request);
        let pb::DeleteDocumentRequest { name } = request.into_inner();
        let (space, id) = names::document(&name, "name")?;
        let scope = self.scope(&caller, &space).await?;
        let deleted = self.store().delete_document(&scope, &id).await;
        Ok(Response::new(deleted.map_err(Fault::from)?))
    }

    async fn create_space(
        &self,
        request: Request<pb::CreateSpaceRequest>,
    ) -> Result<Response<pb::Space>, Status> {
        let caller = Caller::of(&request);
        let space::Create { new, request_id } = space::create(request.into_inner())?;
        let made = self.store().create_space(&caller, new, &request_id).await;
        Ok(Response::new(space::wire(made.map_err(Fault::from)?)))
    }

    async fn get_space(&self, request: Request<pb::GetSpaceRequest>) -> Result<Response<pb::Space>, Status> {
        let caller = Caller::of(&request);
        let pb::GetSpaceRequest { name } = request.into_inner();
        let scope = self.scope(&caller, &names::space(&name, "name")?).await?;
        let found = self.store().space(&scope).await.map_err(Fault::from)?;
        Ok(Response::new(space::wire(found)))
    }

    async fn list_spaces(
        &self,
        request: Request<pb::ListSpacesRequest>,
    ) -> Result<Response<pb::ListSpacesResponse>, Status> {
        let caller = Caller::of(&request);
        let pb::ListSpacesRequest {
            page_size,
            page_token,
        } = request.into_inner();
        let most = space::page_size(page_size)?;
        let after = data::after(&page_token, names::is_space_id)?;
        let found = self.store().list_spaces(&caller, &after, most + 1).await;
        let mut found = found.map_err(Fault::from)?;
        let more = found.len() > most;
        found.truncate(most);
        let last = found.last().filter(|_| more).map(|space| space.id.clone());
        Ok(Response::new(pb::ListSpacesResponse {
            spaces: found.into_iter().map(space::wire).collect(),
            next_page_token: last.unwrap_or_default(),
        }))
    }

    async fn update_space(
        &self,
        request: Request<pb::UpdateSpaceRequest>,
    ) -> Result<Response<pb::Space>, Status> {
        let caller = Caller::of(&request);
        let update = space::Update::parse(request.into_inner())?;
        let scope = self.scope(&caller, &update.space).await?;
        let change = update.change(scope.chunking())?;
        let changed = self.store().update_space(&scope, change).await;
        Ok(Response::new(space::wire(changed.map_err(Fault::from)?)))
    }

    async fn delete_space(&self, request: Request<pb::DeleteSpaceRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request);
        let pb::DeleteSpaceRequest { name, force, etag } = request.into_inner();
        let scope = self.scope(&caller, &names::space(&name, "name")?).await?;
        let deleted = self.store().delete_space(&scope, force, &etag).await;
        Ok(Response::new(deleted.map_err(Fault::from)?))
    }

    type ExportSpaceStream = archive::Replies;

    async fn export_space(
        &self,
        request: Request<pb::ExportSpaceRequest>,
    ) -> Result<Response<Self::ExportSpaceStream>, Status> {
        let place = self.shared.places.stream()?;
        let caller = Caller::of(&request);
        let wanted = convert::archive::export(request.into_inner())?;
        let scope = self.scope(&caller, &wanted.space).await?;
        let patience = self.shared.config.stream_idle.get();
        let replies =
            archive::export(self.store().clone(), scope, wanted.with_vectors, patience, place).await?;
        Ok(Response::new(replies))
    }

    async fn import_space(
        &self,
        request: Request<Streaming<pb::ImportSpaceRequest>>,
    ) -> Result<Response<pb::ImportSpaceResponse>, Status> {
        let _place = self.shared.places.stream()?;
        let caller = Caller::of(&request);
        let made = archive::import(&self.shared, &caller, request.into_inner()).await?;
        Ok(Response::new(pb::ImportSpaceResponse {
            space: Some(space::wire(made)),
        }))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        Ok(Response::new(capabilities::tell(&self.shared).await?))
    }
}

// === impl Shared ===

impl Shared {
    /// With what passages were found: the embedding model, or no model at all.
    async fn found_by(
        &self,
        call: &str,
        found: &crate::domain::Found,
        spent: Spent,
    ) -> Result<types::Receipt, Fault> {
        match &found.embedding_model {
            Some(model) => Ok(receipt(call, &self.encoders.embedded_by(model).await?, spent)),
            None => Ok(lexical(call, spent)),
        }
    }
}

/// A receipt for what was done with words alone.
fn lexical(call: &str, spent: Spent) -> types::Receipt {
    let made = polyphony_models::Provenance {
        engine: "bm25",
        version: format!("tantivy {}", tantivy::version_string()),
        model: String::new(),
        digest: String::new(),
        device: "cpu".to_owned(),
        degraded: None,
    };
    receipt(call, &made, spent)
}

/// A fault in the middle of a stream as its status. Its cause is logged here, because nobody above sees it.
fn told(fault: Fault) -> Status {
    polyphony_chassis::duplex::told(fault)
}

/// What a client sent too much of, too late or in the wrong order.
fn out_of_order(field: &'static str, problem: &'static str) -> Fault {
    Fault::invalid(field, problem)
}

/// A client that sends nothing.
fn idle(key: &'static str, after: std::time::Duration) -> Fault {
    let text = format!("the client sent nothing for {after:?} ({key}); send something to keep a stream open");
    Fault::new(Kind::DeadlineExceeded, "STREAM_IDLE", text)
}
