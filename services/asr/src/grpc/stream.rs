//! A stream of speech: its first message becomes a worker, each later one a command.

use std::sync::Arc;

use polyphony_chassis::duplex::{self, Idle};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{another_config, hearing, marker, no_config};
use tonic::Streaming;

use super::Shared;
use super::worker::{Sent, Worker};
use crate::convert::streaming::AskedStream;
use crate::domain::Cancel;

/// What the client reads.
pub(crate) type Replies = duplex::Replies<pb::StreamingRecognizeResponse>;

/// Opens a stream.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    requests: Streaming<pb::StreamingRecognizeRequest>,
) -> Replies {
    let cancel = Cancel::default();
    let idle = Idle {
        after: shared.config.stream_idle.get(),
        key: "asr.stream_idle",
    };
    let guard = cancel.on_drop();
    duplex::open(
        requests,
        idle,
        guard,
        async move |first, outbox| {
            let asked = AskedStream::parse(config(first)?)?;
            let recognizer = shared.recognizers.acquire(&asked.asked.model).await?;
            let plan = asked.fit(recognizer.engine.info())?;
            let worker = Worker::new(recognizer, plan, &shared.config, id, place, outbox, &cancel)?;
            Ok(|commands| worker.run(commands))
        },
        sent,
    )
}

fn config(first: pb::StreamingRecognizeRequest) -> Result<pb::StreamingRecognitionConfig, Fault> {
    use pb::streaming_recognize_request::Request;
    match first.request {
        Some(Request::StreamingConfig(config)) => Ok(config),
        other => Err(no_config("streaming_config", other.is_none())),
    }
}

fn sent(message: pb::StreamingRecognizeRequest) -> Result<Sent, Fault> {
    use pb::streaming_recognize_request::Request;
    match message.request {
        Some(Request::Audio(bytes)) => hearing::piece(bytes).map(Sent::Audio),
        Some(Request::Marker(id)) => marker(id).map(Sent::Marker),
        Some(Request::Flush(types::Flush {})) => Ok(Sent::Flush),
        Some(Request::StreamingConfig(_)) => Err(another_config("streaming_config")),
        None => Err(Fault::invalid("request", "must be audio, marker or flush")),
    }
}
