//! The way back to the client of a stream: numbered, and gone when nobody reads any more.

use std::time::{Duration, Instant};

use polyphony_chassis::duplex::{Outbox, Stop};
use polyphony_proto::tts::v1 as pb;
use polyphony_proto::tts::v1::streaming_synthesize_response::Event;
use tonic::Status;

/// Sends replies. Blocks while the client is behind.
pub(super) struct Reply {
    outbox: Outbox<pb::StreamingSynthesizeResponse>,
    id: String,
    sequence: u64,
    waited: Duration,
}

impl Reply {
    pub(super) fn new(outbox: Outbox<pb::StreamingSynthesizeResponse>, id: String) -> Self {
        Self {
            outbox,
            id,
            sequence: 0,
            waited: Duration::ZERO,
        }
    }

    /// The id of the stream.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// How long the client was waited for, in all.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    pub(super) fn send(&mut self, event: Event) -> Result<(), Stop> {
        self.sequence += 1;
        let began = Instant::now();
        let sent = self.outbox.send(pb::StreamingSynthesizeResponse {
            sequence: self.sequence,
            event: Some(event),
        });
        self.waited += began.elapsed();
        Ok(sent?)
    }

    pub(super) fn fail(&self, status: Status) {
        self.outbox.fail(status);
    }
}
