//! The adapter: convert, call, convert. What happens to the audio is in `whole` and in the files below.

mod features;
mod pitch;
mod separate;
mod stems;

use std::sync::Arc;

use polyphony_audio::stream::Format;
use polyphony_chassis::RequestId;
use polyphony_chassis::duplex::{Idle, Replies};
use polyphony_chassis::places::Places;
use polyphony_error::Fault;
use polyphony_models::{Present, Provenance};
use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::analysis_service_server::AnalysisService;
use polyphony_proto::types::v1 as types;
use polyphony_wire::hearing::Hearing;
use polyphony_wire::{audio, degradation, media, wire_duration};
use tonic::{Request, Response, Status, Streaming};

use crate::analyzers::Analyzers;
use crate::config::Config;
use crate::convert;
use crate::features::Feature;
use crate::whole::{self, Call, FIELD};

/// What media is asked for in refusals.
const RECORDING: &str = "the recording";

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    analyzers: Analyzers,
    places: Places,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(config: Config, analyzers: Analyzers) -> Self {
        let places = Places::new("analysis", config.streams(), config.workers(), config.max_queue);
        Self {
            shared: Arc::new(Shared {
                config,
                analyzers,
                places,
            }),
        }
    }
}

impl Shared {
    fn call<'a>(&'a self, request_id: &'a str) -> Call<'a> {
        Call {
            places: &self.places,
            request_id,
            longest: self.config.max_audio_duration.get(),
            most_bytes: self.config.server.limits.max_send_message.bytes(),
        }
    }

    fn idle(&self) -> Idle {
        Idle {
            after: self.config.stream_idle.get(),
            key: "analysis.stream_idle",
        }
    }

    fn hearing(&self, format: Format) -> Result<Hearing, Fault> {
        let longest = self.config.max_stream_duration.get();
        Hearing::new(format, longest, "config.explicit_decoding")
    }
}

#[tonic::async_trait]
impl AnalysisService for Service {
    type StreamingPitchStream = Replies<pb::StreamingPitchResponse>;
    type SeparateStream = separate::Pieces;
    type StreamingSeparateStream = Replies<pb::StreamingSeparateResponse>;
    type StreamingFeaturesStream = Replies<pb::StreamingFeaturesResponse>;

    async fn pitch(&self, request: Request<pb::PitchRequest>) -> Result<Response<pb::PitchResponse>, Status> {
        let id = RequestId::of_call(&request);
        let pb::PitchRequest { config, audio } = request.into_inner();
        let asked = convert::pitch::Asked::parse(config)?;
        let bytes = media::inline(audio, FIELD, RECORDING)?;
        let shared = &*self.shared;
        // Boxed, for it holds all of the work.
        let work = Box::pin(whole::pitch(asked, bytes, &shared.analyzers, shared.call(&id)));
        Ok(Response::new(work.await?))
    }

    async fn streaming_pitch(
        &self,
        request: Request<Streaming<pb::StreamingPitchRequest>>,
    ) -> Result<Response<Self::StreamingPitchStream>, Status> {
        let place = self.shared.places.stream()?;
        let id = RequestId::of_call(&request);
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(pitch::open(
            shared,
            place,
            id,
            request.into_inner(),
        )))
    }

    async fn separate(
        &self,
        request: Request<pb::SeparateRequest>,
    ) -> Result<Response<Self::SeparateStream>, Status> {
        let id = RequestId::of_call(&request);
        let pb::SeparateRequest { config, audio } = request.into_inner();
        let asked = convert::separation::Asked::parse(config)?;
        let bytes = media::inline(audio, FIELD, "the mix")?;
        let shared = &*self.shared;
        let work = Box::pin(separate::whole(asked, bytes, &shared.analyzers, shared.call(&id)));
        Ok(Response::new(work.await?))
    }

    async fn streaming_separate(
        &self,
        request: Request<Streaming<pb::StreamingSeparateRequest>>,
    ) -> Result<Response<Self::StreamingSeparateStream>, Status> {
        let place = self.shared.places.stream()?;
        let id = RequestId::of_call(&request);
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(separate::open(
            shared,
            place,
            id,
            request.into_inner(),
        )))
    }

    async fn features(
        &self,
        request: Request<pb::FeaturesRequest>,
    ) -> Result<Response<pb::FeaturesResponse>, Status> {
        let id = RequestId::of_call(&request);
        let pb::FeaturesRequest { config, audio } = request.into_inner();
        let asked = convert::features::Asked::parse(config)?;
        let bytes = media::inline(audio, FIELD, RECORDING)?;
        let work = Box::pin(whole::measure(asked, bytes, self.shared.call(&id)));
        Ok(Response::new(work.await?))
    }

    async fn streaming_features(
        &self,
        request: Request<Streaming<pb::StreamingFeaturesRequest>>,
    ) -> Result<Response<Self::StreamingFeaturesStream>, Status> {
        let place = self.shared.places.stream()?;
        let id = RequestId::of_call(&request);
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(features::open(
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
            analyzers,
            places,
        } = &*self.shared;
        let (pitch, separation) = analyzers.present().await?;
        let pitch = pitch
            .into_iter()
            .map(|model| capabilities(model, &convert::pitch::FIELDS));
        let separation = separation
            .into_iter()
            .map(|model| capabilities(model, &convert::separation::FIELDS));
        let (most, _) = places.streams();
        Ok(Response::new(pb::GetCapabilitiesResponse {
            models: pitch.chain(separation).collect(),
            features: Feature::ALL
                .map(|feature| convert::features::kind(feature).into())
                .to_vec(),
            encodings: audio::ENCODINGS.into_iter().map(Into::into).collect(),
            max_streams: u32::try_from(most).unwrap_or(u32::MAX),
            max_audio_duration: Some(wire_duration(config.max_audio_duration.get())),
            max_message_bytes: config.server.limits.receive().bytes(),
        }))
    }
}

/// What a model can do.
fn capabilities(present: Present<Provenance>, fields: &[&str]) -> types::ModelCapabilities {
    let Present { model, engine, known } = present;
    types::ModelCapabilities {
        model: model.id.to_string(),
        engine,
        language_codes: Vec::new(),
        supported_fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        degraded: known.as_ref().and_then(degradation),
    }
}
