//! The adapter: convert, call, convert.

mod enrol;
mod recording;
mod stream;
mod worker;

use std::sync::Arc;

use polyphony_chassis::duplex::Replies;
use polyphony_chassis::places::Places;
use polyphony_chassis::{Caller, RequestId};
use polyphony_error::{Fault, Kind};
use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::diar_service_server::DiarService;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{audio, degradation, wire_duration};
use tokio::task;
use tonic::{Request, Response, Status, Streaming};

use crate::config::Config;
use crate::convert::request::supported_fields;
use crate::convert::speaker;
use crate::diarizers::{Diarizers, PresentDiarizer};
use crate::speakers::Speakers;

/// A page of speakers where the caller does not say, and at most.
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1_000;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) diarizers: Diarizers,
    pub(crate) speakers: Speakers,
    pub(crate) places: Places,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(config: Config, diarizers: Diarizers, speakers: Speakers) -> Self {
        let places = Places::new("diar", config.streams(), config.workers(), config.max_queue);
        let shared = Shared {
            config,
            diarizers,
            speakers,
            places,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Does work that touches the disk.
    async fn with_speakers<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Speakers) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let speakers = self.shared.speakers.clone();
        task::spawn_blocking(move || work(&speakers))
            .await
            .map_err(Fault::internal)?
    }
}

#[tonic::async_trait]
impl DiarService for Service {
    type StreamingDiarizeStream = Replies<pb::StreamingDiarizeResponse>;

    async fn diarize(
        &self,
        request: Request<pb::DiarizeRequest>,
    ) -> Result<Response<pb::DiarizeResponse>, Status> {
        let (id, owner) = (RequestId::of_call(&request), owner(&request)?);
        // Boxed, for it holds all of the work.
        let work = Box::pin(recording::diarize(&self.shared, request.into_inner(), id, owner));
        Ok(Response::new(work.await?))
    }

    async fn streaming_diarize(
        &self,
        request: Request<Streaming<pb::StreamingDiarizeRequest>>,
    ) -> Result<Response<Self::StreamingDiarizeStream>, Status> {
        let place = self.shared.places.stream()?;
        let (id, owner) = (RequestId::of_call(&request), owner(&request)?);
        let shared = Arc::clone(&self.shared);
        Ok(Response::new(stream::open(
            shared,
            place,
            id,
            owner,
            request.into_inner(),
        )))
    }

    async fn identify_speakers(
        &self,
        request: Request<pb::IdentifySpeakersRequest>,
    ) -> Result<Response<pb::IdentifySpeakersResponse>, Status> {
        let (id, owner) = (RequestId::of_call(&request), owner(&request)?);
        let work = Box::pin(enrol::identify(&self.shared, request.into_inner(), id, owner));
        Ok(Response::new(work.await?))
    }

    async fn create_speaker(
        &self,
        request: Request<pb::CreateSpeakerRequest>,
    ) -> Result<Response<pb::Speaker>, Status> {
        let owner = owner(&request)?;
        let work = Box::pin(enrol::create(&self.shared, request.into_inner(), owner));
        Ok(Response::new(speaker::wire(work.await?)))
    }

    async fn get_speaker(
        &self,
        request: Request<pb::GetSpeakerRequest>,
    ) -> Result<Response<pb::Speaker>, Status> {
        let owner = owner(&request)?;
        let pb::GetSpeakerRequest { name } = request.into_inner();
        let id = speaker::named(&name, "name")?;
        let record = self
            .with_speakers(move |speakers| speakers.get(&owner, &id))
            .await?;
        Ok(Response::new(speaker::wire(record)))
    }

    async fn list_speakers(
        &self,
        request: Request<pb::ListSpeakersRequest>,
    ) -> Result<Response<pb::ListSpeakersResponse>, Status> {
        let owner = owner(&request)?;
        let pb::ListSpeakersRequest {
            page_size,
            page_token,
        } = request.into_inner();
        if page_size > LONGEST_PAGE {
            return Err(Fault::invalid("page_size", "must be at most 1000").into());
        }
        let size = if page_size == 0 { PAGE } else { page_size } as usize;
        let all = self.with_speakers(move |speakers| speakers.list(&owner)).await?;
        // A token is the id after which the next page begins, so what is enrolled meanwhile moves no page.
        let mut rest = all
            .into_iter()
            .skip_while(|record| !page_token.is_empty() && record.id <= page_token);
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let more = rest.next().is_some();
        let next_page_token = page.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Response::new(pb::ListSpeakersResponse {
            speakers: page.into_iter().map(speaker::wire).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn update_speaker(
        &self,
        request: Request<pb::UpdateSpeakerRequest>,
    ) -> Result<Response<pb::Speaker>, Status> {
        let owner = owner(&request)?;
        let pb::UpdateSpeakerRequest { speaker, update_mask } = request.into_inner();
        let wanted = speaker.unwrap_or_default();
        let (id, etag) = (speaker::named(&wanted.name, "speaker.name")?, wanted.etag.clone());
        let said = speaker::changes(wanted, update_mask)?;
        let change = move |speakers: &Speakers| {
            speakers.update(&owner, &id, &etag, |record| {
                record.display_name = said
                    .display_name
                    .unwrap_or_else(|| std::mem::take(&mut record.display_name));
                record.consent = said
                    .consent
                    .unwrap_or_else(|| std::mem::take(&mut record.consent));
                record.expire = said.expire.unwrap_or(record.expire);
            })
        };
        let record = self.with_speakers(change).await?;
        Ok(Response::new(speaker::wire(record)))
    }

    async fn delete_speaker(
        &self,
        request: Request<pb::DeleteSpeakerRequest>,
    ) -> Result<Response<()>, Status> {
        let owner = owner(&request)?;
        let pb::DeleteSpeakerRequest { name, etag } = request.into_inner();
        let id = speaker::named(&name, "name")?;
        self.with_speakers(move |speakers| speakers.delete(&owner, &id, &etag))
            .await?;
        Ok(Response::new(()))
    }

    async fn get_capabilities(
        &self,
        _: Request<pb::GetCapabilitiesRequest>,
    ) -> Result<Response<pb::GetCapabilitiesResponse>, Status> {
        let Shared {
            config,
            diarizers,
            places,
            ..
        } = &*self.shared;
        let present = diarizers.present().await?;
        let known = present.iter().filter_map(|present| present.known.as_ref());
        let most = known.map(|info| info.stream_speakers).max().unwrap_or_default();
        Ok(Response::new(pb::GetCapabilitiesResponse {
            models: present.into_iter().map(capabilities).collect(),
            encodings: audio::ENCODINGS.into_iter().map(Into::into).collect(),
            max_streams: u32::try_from(places.streams().0).unwrap_or(u32::MAX),
            max_audio_duration: Some(wire_duration(config.max_diarize_duration.get())),
            max_streaming_speakers: u32::try_from(most).unwrap_or(u32::MAX),
            max_message_bytes: config.server.limits.receive().bytes(),
        }))
    }
}

/// What a model can do; only its name and its engine's where nothing else is known.
fn capabilities(present: PresentDiarizer) -> types::ModelCapabilities {
    let PresentDiarizer { model, engine, known } = present;
    types::ModelCapabilities {
        model: model.id.to_string(),
        engine,
        language_codes: Vec::new(),
        supported_fields: supported_fields(),
        degraded: known.as_ref().and_then(|info| degradation(&info.made)),
    }
}

/// Whose speakers a call is about.
fn owner<T>(request: &Request<T>) -> Result<String, Fault> {
    Caller::of(request).owner().map(str::to_owned).ok_or_else(|| {
        let message = "the client's certificate has no name, so it can own nothing; use one with a DNS name or SPIFFE id";
        Fault::new(Kind::PermissionDenied, "NAMELESS_CALLER", message)
    })
}
