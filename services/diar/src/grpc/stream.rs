//! A stream of speech: its first message becomes a worker, each later one a command.

use std::sync::Arc;

use polyphony_chassis::duplex::{self, Idle, Replies};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_wire::{another_config, hearing, marker, no_config};
use tokio::task;
use tonic::Streaming;

use super::Shared;
use super::worker::{Sent, Worker};
use crate::convert::streaming::AskedStream;
use crate::domain::Cancel;
use crate::identify::Known;

/// Opens a stream.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    owner: String,
    requests: Streaming<pb::StreamingDiarizeRequest>,
) -> Replies<pb::StreamingDiarizeResponse> {
    let cancel = Cancel::default();
    let guard = cancel.on_drop();
    let idle = Idle {
        after: shared.config.stream_idle.get(),
        key: "diar.stream_idle",
    };
    let begin = async move |first, outbox| {
        let asked = AskedStream::parse(config(first)?)?;
        let diarizer = shared.diarizers.acquire(&asked.asked.model).await?;
        let plan = asked.fit(diarizer.info())?;
        let known = match asked.asked.identify.clone() {
            Some(candidates) => {
                let (speakers, info) = (shared.speakers.clone(), diarizer.info().clone());
                let known = task::spawn_blocking(move || Known::of(&speakers, &owner, &candidates, &info));
                Some(known.await.map_err(Fault::internal)??)
            }
            None => None,
        };
        let worker = Worker::new(
            diarizer,
            plan,
            asked.asked.format,
            known,
            &shared.config,
            id,
            place,
            outbox,
            &cancel,
        )?;
        Ok(|commands| worker.run(commands))
    };
    duplex::open(requests, idle, guard, begin, sent)
}

fn config(first: pb::StreamingDiarizeRequest) -> Result<pb::StreamingDiarizationConfig, Fault> {
    use pb::streaming_diarize_request::Request;
    match first.request {
        Some(Request::StreamingConfig(config)) => Ok(config),
        other => Err(no_config("streaming_config", other.is_none())),
    }
}

fn sent(message: pb::StreamingDiarizeRequest) -> Result<Sent, Fault> {
    use pb::streaming_diarize_request::Request;
    match message.request {
        Some(Request::Audio(bytes)) => hearing::piece(bytes).map(Sent::Audio),
        Some(Request::Marker(id)) => marker(id).map(Sent::Marker),
        Some(Request::StreamingConfig(_)) => Err(another_config("streaming_config")),
        None => Err(Fault::invalid("request", "must be audio or marker")),
    }
}
