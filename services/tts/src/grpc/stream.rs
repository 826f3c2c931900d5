//! A stream of text: its first message becomes a worker, each later one a command.

use std::sync::{Arc, Mutex, PoisonError};

use polyphony_chassis::Caller;
use polyphony_chassis::duplex::{self, Idle};
use polyphony_chassis::places::StreamPlace;
use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::types::v1 as types;
use polyphony_wire::{another_config, marker, no_config};
use tonic::Streaming;

use super::Shared;
use super::worker::Worker;
use crate::convert::streaming::AskedStream;
use crate::domain::Cancel;

/// What the client reads.
pub(crate) type Replies = duplex::Replies<pb::StreamingSynthesizeResponse>;

/// What the client sent after its config.
#[derive(Debug)]
pub(super) enum Sent {
    Input(pb::StreamingSynthesisInput),
    Flush,
    Cancel,
    Marker(String),
}

/// Stops what is spoken now: for a cancel, or for good when the client is gone.
#[derive(Debug, Default)]
pub(super) struct Hush(Mutex<Now>);

#[derive(Debug, Default)]
struct Now {
    speech: Cancel,
    is_gone: bool,
}

/// Stops for good when dropped.
struct HushOnDrop(Arc<Hush>);

/// Opens a stream.
pub(super) fn open(
    shared: Arc<Shared>,
    place: StreamPlace,
    id: String,
    caller: Caller,
    requests: Streaming<pb::StreamingSynthesizeRequest>,
) -> Replies {
    let hush = Arc::new(Hush::default());
    let idle = Idle {
        after: shared.config.stream_idle.get(),
        key: "tts.stream_idle",
    };
    let guard = HushOnDrop(Arc::clone(&hush));
    duplex::open(
        requests,
        idle,
        guard,
        async move |first, outbox| {
            let AskedStream { asked, patience } = AskedStream::parse(config(first)?)?;
            let cast = shared.casting(&caller).cast(asked, false).await?;
            let most = shared.config.max_characters;
            let worker = Worker::new(cast, patience, most, id, place, outbox, hush)?;
            Ok(|commands| worker.run(commands))
        },
        sent,
    )
}

fn config(first: pb::StreamingSynthesizeRequest) -> Result<pb::StreamingSynthesisConfig, Fault> {
    use pb::streaming_synthesize_request::Request;
    match first.request {
        Some(Request::StreamingConfig(config)) => Ok(config),
        other => Err(no_config("streaming_config", other.is_none())),
    }
}

fn sent(message: pb::StreamingSynthesizeRequest) -> Result<Sent, Fault> {
    use pb::streaming_synthesize_request::Request;
    match message.request {
        Some(Request::Input(input)) => Ok(Sent::Input(input)),
        Some(Request::Flush(types::Flush {})) => Ok(Sent::Flush),
        Some(Request::Cancel(pb::CancelSpeech {})) => Ok(Sent::Cancel),
        Some(Request::Marker(id)) => marker(id).map(Sent::Marker),
        Some(Request::StreamingConfig(_)) => Err(another_config("streaming_config")),
        None => Err(Fault::invalid(
            "request",
            "must be input, flush, cancel or marker",
        )),
    }
}

// === impl Hush ===

impl Hush {
    /// A flag for the speech that begins now; set already if the client is gone.
    pub(super) fn begin(&self) -> Cancel {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.speech = Cancel::default();
        if now.is_gone {
            now.speech.cancel();
        }
        now.speech.clone()
    }

    fn stop(&self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.is_gone = true;
        now.speech.cancel();
    }
}

impl Drop for HushOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
