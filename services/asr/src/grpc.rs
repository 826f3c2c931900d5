//! The adapter: convert, call, convert. What happens to the audio is in `whole` and in `grpc::stream`.

mod stream;
mod worker;

use std::sync::Arc;

use futures_util::stream::{BoxStream, try_unfold};
use polyphony_chassis::operations::LastingWork;
use polyphony_chassis::places::{Patience, Places};
use polyphony_chassis::{Caller, RequestId};
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::asr_service_server::AsrService;
use polyphony_proto::google::longrunning::Operation;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{audio as wire_audio, degradation, media, wire_duration};
use tonic::{Request, Response, Status, Streaming};

use crate::batch::{self, Batch, Batches, Tools};
use crate::config::Config;
use crate::convert::request::{Asked, supported_fields};
use crate::domain::Cancel;
use crate::recognizers::{Present, Recognizers};
use crate::whole::{self, Recording};

pub(crate) use stream::Replies;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Asr {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) recognizers: Recognizers,
    pub(crate) places: Places,
    pub(crate) batches: Batches,
}

// === impl Asr ===

impl Asr {
    pub(crate) fn new(config: Config, tools: Tools, batches: Batches) -> Self {
        let Tools {
            recognizers, places, ..
        } = tools;
        Self {
            shared: Arc::new(Shared {
                config,
                recognizers,
                places,
                batches,
            }),
        }
    }
}

#[tonic::async_trait]
impl AsrService for Asr {
    type StreamingRecognizeStream = Replies;

    async fn recognize(
        &self,
        request: Request<pb::RecognizeRequest>,
    ) -> Result<Response<pb::RecognizeResponse>, Status> {
        let id = RequestId::of_call(&request);
        let pb::RecognizeRequest { config, audio } = request.into_inner();
        let recording = Recording {
            asked: Asked::parse(config, "config.")?,
            bytes: media::inline(audio, "audio", "the recording")?,
            field: "audio".to_owned(),
            longest: self.shared.config.max_recognize_duration.get(),
            patience: Patience::Queue,
        };
        let Shared {
            recognizers, places, ..
        } = &*self.shared;
        let cancel = Cancel::default();
        // Boxed, for it holds all of the work.
        let work = Box::pin(whole::recognise(
            recording,
            recognizers,
            places,
            &id,
            &cancel,
            |_| {},
        ));
        Ok(Response::new(work.await?.response))
    }

    async fn streaming_recognize(
        &self,
        request: Request<Streaming<pb::StreamingRecognizeRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let place = self.shared.places.stream()?;
        let id = RequestId::of_call(&request);
        Ok(Response::new(stream::open(
            Arc::clone(&self.shared),
            place,
            id,
            request.into_inner(),
        )))
    }

    async fn batch_recognize(
        &self,
        request: Request<pb::BatchRecognizeRequest>,
    ) -> Result<Response<Operation>, Status> {
        let id = RequestId::of_call(&request);
        let Shared { config, batches, .. } = &*self.shared;
        let (caller, longest) = (Caller::of(&request), config.max_batch_duration.get());
        let job = batch::submit(batches, request.into_inner(), &caller, &id, longest).await?;
        Ok(Response::new(batches.operation(&job).await?))
    }

    type WatchBatchRecognizeStream = BoxStream<'static, Result<pb::WatchBatchRecognizeResponse, Status>>;

    async fn watch_batch_recognize(
        &self,
        request: Request<pb::WatchBatchRecognizeRequest>,
    ) -> Result<Response<Self::WatchBatchRecognizeStream>, Status> {
        let caller = Caller::of(&request);
        let pb::WatchBatchRecognizeRequest { name } = request.into_inner();
        let watched = self.shared.batches.watch(&name, &caller).await?;
        Ok(Response::new(Box::pin(try_unfold(
            watched,
            |mut watched| async move {
                let job = watched.next().await.map_err(Fault::from)?;
                Ok(job.map(|job| {
                    let metadata = Some(Batch::metadata(&job));
                    (pb::WatchBatchRecognizeResponse { metadata }, watched)
                }))
            },
        ))))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let Shared {
            config,
            recognizers,
            places,
            ..
        } = &*self.shared;
        let models = recognizers
            .present()
            .await?
            .into_iter()
            .map(capabilities)
            .collect();
        let (most, open) = places.streams();
        let longest_stream = Some(config.max_stream_duration.get()).filter(|longest| !longest.is_zero());
        Ok(Response::new(pb::GetCapabilitiesResponse {
            models,
            encodings: wire_audio::ENCODINGS.into_iter().map(Into::into).collect(),
            max_streams: u32::try_from(most).unwrap_or(u32::MAX),
            open_streams: u32::try_from(open).unwrap_or(u32::MAX),
            max_recognize_duration: Some(wire_duration(config.max_recognize_duration.get())),
            max_batch_duration: Some(wire_duration(config.max_batch_duration.get())),
            max_stream_duration: longest_stream.map(wire_duration),
            max_message_bytes: config.server.limits.receive().bytes(),
        }))
    }
}

/// What a model can do; only its name and its engine's where nothing else is known.
fn capabilities(present: Present) -> types::ModelCapabilities {
    let Present {
        model,
        engine,
        known: info,
    } = present;
    types::ModelCapabilities {
        model: model.id.to_string(),
        engine,
        supported_fields: info.as_ref().map(supported_fields).unwrap_or_default(),
        degraded: info.as_ref().and_then(|info| degradation(&info.made)),
        language_codes: info.map(|info| info.languages).unwrap_or_default(),
    }
}
