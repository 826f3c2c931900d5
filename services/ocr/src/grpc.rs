//! The adapter: convert, call, convert. What happens to a document is in [`job`](crate::job).

mod document;
mod image;

use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use polyphony_chassis::operations::LastingWork;
use polyphony_chassis::{Caller, RequestId};
use polyphony_error::Fault;
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::ocr::v1::ocr_service_server::OcrService;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{degradation, media};
use tonic::{Request, Response, Status};

use crate::batch::{self, Batch, Batches};
use crate::classify;
use crate::config::Config;
use crate::convert::pages::Ranges;
use crate::convert::request::{Asked, supported_fields};
use crate::document::MediaType;
use crate::engines::PresentEngine;
use crate::job::{Job, Tools};

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    tools: Tools,
    batches: Batches,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(config: Config, tools: Tools, batches: Batches) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                tools,
                batches,
            }),
        }
    }
}

#[tonic::async_trait]
impl OcrService for Service {
    async fn recognize_image(
        &self,
        request: Request<pb::RecognizeImageRequest>,
    ) -> Result<Response<pb::RecognizeImageResponse>, Status> {
        let call = RequestId::of_call(&request);
        let pb::RecognizeImageRequest { config, image } = request.into_inner();
        let job = Job {
            asked: Asked::parse(config, "config.")?,
            bytes: media::inline(image, "image", "the image")?,
            ranges: Ranges::default(),
            field: "image".to_owned(),
            call,
        };
        Ok(Response::new(
            image::recognise(job, self.shared.tools.clone()).await?,
        ))
    }

    type StreamDocumentStream = document::Replies;

    async fn stream_document(
        &self,
        request: Request<pb::StreamDocumentRequest>,
    ) -> Result<Response<Self::StreamDocumentStream>, Status> {
        let place = self.shared.tools.places.stream()?;
        let call = RequestId::of_call(&request);
        let pb::StreamDocumentRequest {
            config,
            document,
            pages,
        } = request.into_inner();
        let job = Job {
            asked: Asked::parse(config, "config.")?,
            bytes: media::inline(document, "document", "the document")?,
            ranges: Ranges::parse(pages)?,
            field: "document".to_owned(),
            call,
        };
        Ok(Response::new(document::stream(
            job,
            self.shared.tools.clone(),
            place,
        )))
    }

    async fn batch_process(
        &self,
        request: Request<pb::BatchProcessRequest>,
    ) -> Result<Response<Operation>, Status> {
        let call = RequestId::of_call(&request);
        let (caller, batches) = (Caller::of(&request), &self.shared.batches);
        let job = batch::submit(batches, request.into_inner(), &caller, &call).await?;
        Ok(Response::new(batches.operation(&job).await?))
    }

    type WatchBatchProcessStream = BoxStream<'static, Result<pb::WatchBatchProcessResponse, Status>>;

    async fn watch_batch_process(
        &self,
        request: Request<pb::WatchBatchProcessRequest>,
    ) -> Result<Response<Self::WatchBatchProcessStream>, Status> {
        let caller = Caller::of(&request);
        let pb::WatchBatchProcessRequest { name } = request.into_inner();
        let watched = self.shared.batches.watch(&name, &caller).await?;
        Ok(Response::new(Box::pin(stream::try_unfold(
            watched,
            |mut watched| async move {
                let job = watched.next().await.map_err(Fault::from)?;
                Ok(job.map(|job| {
                    let metadata = Some(Batch::metadata(&job));
                    (pb::WatchBatchProcessResponse { metadata }, watched)
                }))
            },
        ))))
    }

    async fn classify_document(
        &self,
        request: Request<pb::ClassifyDocumentRequest>,
    ) -> Result<Response<pb::ClassifyDocumentResponse>, Status> {
        let call = RequestId::of_call(&request);
        let wanted = classify::Wanted::parse(request.into_inner(), call)?;
        let response = classify::classify(wanted, self.shared.tools.clone()).await?;
        Ok(Response::new(response))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let Shared { config, tools, .. } = &*self.shared;
        let present = tools.engines.present().await?;
        Ok(Response::new(pb::GetCapabilitiesResponse {
            models: present.into_iter().map(capabilities).collect(),
            media_types: MediaType::ALL.map(|kind| kind.mime().to_owned()).to_vec(),
            output_formats: [
                pb::OutputFormat::Text,
                pb::OutputFormat::Markdown,
                pb::OutputFormat::Html,
                pb::OutputFormat::Hocr,
                pb::OutputFormat::Alto,
            ]
            .map(i32::from)
            .to_vec(),
            max_pixels: config.max_pixels,
            max_pages: config.max_pages,
            max_message_bytes: config.server.limits.receive().bytes(),
        }))
    }
}

/// What a model can do; only its name and its engine's where nothing else is known.
fn capabilities(present: PresentEngine) -> types::ModelCapabilities {
    let PresentEngine { model, engine, known } = present;
    types::ModelCapabilities {
        model: model.id.to_string(),
        engine,
        supported_fields: supported_fields(),
        degraded: known.as_ref().and_then(|info| degradation(&info.provenance)),
        language_codes: known.map(|info| info.languages).unwrap_or_default(),
    }
}

/// A fault in the middle of a stream as its status. Its cause is logged here, because nobody above sees it.
fn told(fault: Fault) -> Status {
    if fault.kind.is_ours() {
        tracing::error!(error = %polyphony_error::chain(&fault), "a stream failed");
    }
    fault.into()
}
