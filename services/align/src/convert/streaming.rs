//! `StreamingAlignmentConfig` and the messages after it.

use std::time::Duration;

use polyphony_error::Fault;
use polyphony_proto::align::v1 as pb;
use polyphony_wire::{Refusals, duration, marker, wire_duration};
use prost::bytes::Bytes;

use super::request::{Asked, Piece, Plan};
use crate::domain::EngineInfo;
use crate::session::LOOKAHEAD;

/// The most audio in one message, and the most characters.
const MOST_AUDIO: usize = 32 << 10;
const MOST_TEXT: usize = 10_000;
const DEFAULT_LOOKAHEAD: Duration = Duration::from_secs(10);

/// A stream that is well asked for.
#[derive(Debug, Clone)]
pub(crate) struct AskedStream {
    pub(crate) asked: Asked,
    lookahead: Duration,
}

/// A stream that an engine can honour.
#[derive(Debug, Clone)]
pub(crate) struct StreamPlan {
    pub(crate) plan: Plan,
    pub(crate) lookahead: Duration,
    pub(crate) effective: pb::StreamingAlignmentConfig,
}

/// A message after the first.
#[derive(Debug)]
pub(crate) enum Sent {
    Audio(Bytes),
    Text(Piece),
    Marker(String),
}

// === impl AskedStream ===

impl AskedStream {
    /// Parses the first message of a stream.
    pub(crate) fn parse(first: pb::StreamingAlignRequest) -> Result<Self, Fault> {
        let pb::StreamingAlignRequest { request } = first;
        let Some(pb::streaming_align_request::Request::StreamingConfig(wire)) = request else {
            let message = "is missing; the first message of a stream is its config";
            return Err(Fault::invalid("streaming_config", message));
        };
        let pb::StreamingAlignmentConfig {
            config,
            lookahead_duration,
        } = wire;
        let asked = Asked::parse(config, "streaming_config.config.")?;
        let mut refusals = Refusals::at("streaming_config.");
        let lookahead = lookahead_duration.map_or(Some(DEFAULT_LOOKAHEAD), duration);
        let (least, most) = LOOKAHEAD;
        let lookahead = lookahead.filter(|lookahead| (least..=most).contains(lookahead));
        if lookahead.is_none() {
            refusals.add("lookahead_duration", "must be 1 s to 60 s");
        }
        refusals.finish()?;
        Ok(Self {
            asked,
            lookahead: lookahead.unwrap_or(DEFAULT_LOOKAHEAD),
        })
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<StreamPlan, Fault> {
        let plan = self.asked.fit(info)?;
        let effective = pb::StreamingAlignmentConfig {
            config: Some(plan.effective.clone()),
            lookahead_duration: Some(wire_duration(self.lookahead)),
        };
        Ok(StreamPlan {
            plan,
            lookahead: self.lookahead,
            effective,
        })
    }
}

/// Parses a message after the first.
pub(crate) fn sent(message: pb::StreamingAlignRequest) -> Result<Sent, Fault> {
    use pb::streaming_align_request::Request;
    let pb::StreamingAlignRequest { request } = message;
    match request {
        None => Err(Fault::invalid("request", "must be audio, transcript or marker")),
        Some(Request::StreamingConfig(_)) => Err(Fault::invalid(
            "streaming_config",
            "came a second time; only the first message of a stream is its config",
        )),
        Some(Request::Audio(bytes)) if bytes.len() > MOST_AUDIO => {
            Err(Fault::invalid("audio", "must be at most 32 KiB in one message"))
        }
        Some(Request::Audio(bytes)) => Ok(Sent::Audio(bytes)),
        Some(Request::Transcript(segment)) => {
            Piece::parse(segment, "transcript.".to_owned(), MOST_TEXT).map(Sent::Text)
        }
        Some(Request::Marker(id)) => marker(id).map(Sent::Marker),
    }
}
