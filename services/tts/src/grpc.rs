//! The adapter: convert, call, convert. What happens to a text is in `whole` and in `grpc::stream`.

mod frames;
mod progress;
mod reply;
mod stream;
mod voices;
mod worker;

use std::sync::Arc;

use polyphony_chassis::places::Places;
use polyphony_chassis::{Caller, RequestId};
use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::tts_service_server::TtsService;
use polyphony_proto::types::v1 as types;
use polyphony_wire::degradation;
use tonic::{Request, Response, Status, Streaming};

use crate::casting::Casting;
use crate::config::Config;
use crate::convert::audio::{Delivery, encodings};
use crate::convert::input::{Input, Limit};
use crate::convert::request::{Asked, supported_fields};
use crate::ssml;
use crate::synthesizers::{Present, Synthesizers};
use crate::voices::Voices;
use crate::whole::{self, INPUT, Wanted};

pub(crate) use stream::Replies;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) synthesizers: Synthesizers,
    pub(crate) voices: Voices,
    pub(crate) places: Places,
}

// === impl Tts ===

impl Tts {
    pub(crate) fn new(config: Config, synthesizers: Synthesizers, voices: Voices) -> Self {
        let places = Places::new("tts", config.streams(), config.workers(), config.max_queue);
        Self {
            shared: Arc::new(Shared {
                config,
                synthesizers,
                voices,
                places,
            }),
        }
    }
}

impl Shared {
    fn casting<'a>(&'a self, caller: &'a Caller) -> Casting<'a> {
        Casting {
            synthesizers: &self.synthesizers,
            voices: &self.voices,
            caller,
        }
    }
}

#[tonic::async_trait]
impl TtsService for Tts {
    type StreamingSynthesizeStream = Replies;

    async fn synthesize(
        &self,
        request: Request<pb::SynthesizeRequest>,
    ) -> Result<Response<pb::SynthesizeResponse>, Status> {
        let (id, caller) = (RequestId::of_call(&request), Caller::of(&request));
        let pb::SynthesizeRequest { config, input } = request.into_inner();
        let shared = &*self.shared;
        let limit = Limit {
            path: INPUT,
            most: shared.config.max_characters,
        };
        let wanted = Wanted {
            asked: Asked::parse(config, "config.", Delivery::Whole)?,
            input: Input::parse(input, limit)?,
            most_bytes: shared.config.server.limits.max_send_message.bytes(),
        };
        // Boxed, for it holds all of the work.
        let work = Box::pin(whole::speak(wanted, shared.casting(&caller), &shared.places, &id));
        Ok(Response::new(work.await?))
    }

    async fn streaming_synthesize(
        &self,
        request: Request<Streaming<pb::StreamingSynthesizeRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let place = self.shared.places.stream()?;
        let (id, caller) = (RequestId::of_call(&request), Caller::of(&request));
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(stream::open(
            shared,
            place,
            id,
            caller,
            request.into_inner(),
        )))
    }

    async fn convert(&self, _: Request<pb::ConvertRequest>) -> Result<Response<pb::ConvertResponse>, Status> {
        let message =
            "Convert: no engine here says a recording again in another voice; Synthesize speaks text";
        Err(Fault::unimplemented("CONVERSION_ENGINE_ABSENT", message).into())
    }

    async fn list_voices(
        &self,
        request: Request<pb::ListVoicesRequest>,
    ) -> Result<Response<pb::ListVoicesResponse>, Status> {
        let caller = Caller::of(&request);
        let page = Box::pin(voices::list(&self.shared, &caller, request.into_inner()));
        Ok(Response::new(page.await?))
    }

    async fn get_voice(&self, request: Request<pb::GetVoiceRequest>) -> Result<Response<pb::Voice>, Status> {
        let caller = Caller::of(&request);
        let pb::GetVoiceRequest { name } = request.into_inner();
        let voice = Box::pin(voices::get(&self.shared, &caller, &name));
        Ok(Response::new(voice.await?))
    }

    async fn create_voice(
        &self,
        request: Request<pb::CreateVoiceRequest>,
    ) -> Result<Response<pb::Voice>, Status> {
        let never = Box::pin(voices::create(&self.shared, request.into_inner()));
        match never.await? {}
    }

    async fn update_voice(
        &self,
        request: Request<pb::UpdateVoiceRequest>,
    ) -> Result<Response<pb::Voice>, Status> {
        let caller = Caller::of(&request);
        let voice = Box::pin(voices::update(&self.shared, &caller, request.into_inner()));
        Ok(Response::new(voice.await?))
    }

    async fn delete_voice(&self, request: Request<pb::DeleteVoiceRequest>) -> Result<Response<()>, Status> {
        let caller = Caller::of(&request);
        Box::pin(voices::delete(&self.shared, &caller, request.into_inner())).await?;
        Ok(Response::new(()))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let Shared {
            config,
            synthesizers,
            places,
            ..
        } = &*self.shared;
        let models = synthesizers.present().await?;
        let (most, _) = places.streams();
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Response::new(pb::GetCapabilitiesResponse {
            models: models.into_iter().map(capabilities).collect(),
            encodings: encodings().map(Into::into).collect(),
            ssml_elements: ssml::ELEMENTS.map(str::to_owned).to_vec(),
            max_streams: number(most),
            max_characters: number(config.max_characters),
            voice_cloning: false,
        }))
    }
}

/// What a model can do; only its name and its engine's where nothing else is known.
fn capabilities(present: Present) -> types::ModelCapabilities {
    let Present { model, engine, known } = present;
    let languages = known
        .as_ref()
        .map(|info| info.languages().into_iter().map(str::to_owned).collect());
    types::ModelCapabilities {
        model: model.id.to_string(),
        engine,
        supported_fields: known.as_ref().map(supported_fields).unwrap_or_default(),
        degraded: known.as_ref().and_then(|info| degradation(&info.made)),
        language_codes: languages.unwrap_or_default(),
    }
}
