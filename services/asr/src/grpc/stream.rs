//! A stream of speech: its first message becomes a worker, each later one a command.

use std::sync::Arc;

use polyphony_chassis::duplex::{self, Idle};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::marker;
use tonic::Streaming;

use super::Shared;
use super::worker::{Sent, Worker};
use crate::convert::streaming::AskedStream;
use crate::domain::Cancel;

/// The largest piece of audio.
const MOST_AUDIO: usize = 32 << 10;

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
        Some(_) => Err(Fault::invalid(
            "streaming_config",
            "must be the first message of a stream",
        )),
        None => Err(Fault::invalid(
            "streaming_config",
            "is missing; the first message of a stream is its config",
        )),
    }
}

fn sent(message: pb::StreamingRecognizeRequest) -> Result<Sent, Fault> {
    use pb::streaming_recognize_request::Request;
    match message.request {
        Some(Request::Audio(bytes)) if bytes.len() > MOST_AUDIO => Err(Fault::invalid(
            "audio",
            "must be at most 32 KiB in one message; send more, smaller ones",
        )),
        Some(Request::Audio(bytes)) => Ok(Sent::Audio(bytes)),
        Some(Request::Marker(id)) => marker(id).map(Sent::Marker),
        Some(Request::Flush(types::Flush {})) => Ok(Sent::Flush),
        Some(Request::StreamingConfig(_)) => Err(Fault::invalid(
            "streaming_config",
            "must be sent once; open another stream for another config",
        )),
        None => Err(Fault::invalid("request", "must be audio, marker or flush")),
    }
}
