//! The adapter: convert, call, convert. What happens to the audio is in `whole` and in `grpc::worker`.

mod stream;
mod worker;

use std::sync::Arc;

use polyphony_chassis::RequestId;
use polyphony_chassis::duplex::Replies;
use polyphony_chassis::places::Places;
use polyphony_proto::align::v1 as pb;
use polyphony_proto::align::v1::align_service_server::AlignService;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{audio, degradation, media, wire_duration};
use tonic::{Request, Response, Status, Streaming};

use crate::aligners::{Aligners, Present};
use crate::config::Config;
use crate::convert::request::{self, Asked, supported_fields};
use crate::whole::{self, Recording};

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) aligners: Aligners,
    pub(crate) places: Places,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(config: Config, aligners: Aligners) -> Self {
        let places = Places::new("align", config.streams(), config.workers(), config.max_queue);
        let shared = Shared {
            config,
            aligners,
            places,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

#[tonic::async_trait]
impl AlignService for Service {
    type StreamingAlignStream = Replies<pb::StreamingAlignResponse>;

    async fn align(&self, request: Request<pb::AlignRequest>) -> Result<Response<pb::AlignResponse>, Status> {
        let id = RequestId::of_call(&request);
        let pb::AlignRequest {
            config,
            audio,
            transcript,
        } = request.into_inner();
        let Shared {
            config: own,
            aligners,
            places,
        } = &*self.shared;
        let recording = Recording {
            asked: Asked::parse(config, "config.")?,
            text: request::text(transcript)?,
            bytes: media::inline(audio, "audio", "the recording")?,
            longest: own.max_align_duration.get(),
        };
        // Boxed, for it holds all of the work.
        let work = Box::pin(whole::align(recording, aligners, places, &id));
        Ok(Response::new(work.await?))
    }

    async fn streaming_align(
        &self,
        request: Request<Streaming<pb::StreamingAlignRequest>>,
    ) -> Result<Response<Self::StreamingAlignStream>, Status> {
        let place = self.shared.places.stream()?;
        let id = RequestId::of_call(&request);
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(stream::open(
            shared,
            place,
            id,
            request.into_inner(),
        )))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let Shared {
            config,
            aligners,
            places,
        } = &*self.shared;
        let present = aligners.present().await?;
        Ok(Response::new(pb::GetCapabilitiesResponse {
            models: present.into_iter().map(capabilities).collect(),
            encodings: audio::ENCODINGS.into_iter().map(Into::into).collect(),
            max_streams: u32::try_from(places.streams().0).unwrap_or(u32::MAX),
            max_audio_duration: Some(wire_duration(config.max_align_duration.get())),
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
