//! `StreamingSynthesisConfig`: how a stream is spoken.

use std::ops::RangeInclusive;
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_proto::tts::v1 as pb;
use polyphony_wire::duration as parse;

use super::audio::Delivery;
use super::request::Asked;

const PATIENCE: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(10);

/// A stream that is well asked for.
#[derive(Debug, Clone)]
pub(crate) struct AskedStream {
    pub(crate) asked: Asked,
    /// How long words wait for the end of their clause. None: until it ends.
    pub(crate) patience: Option<Duration>,
}

impl AskedStream {
    /// Parses the config of a stream.
    pub(crate) fn parse(wire: pb::StreamingSynthesisConfig) -> Result<Self, Fault> {
        let pb::StreamingSynthesisConfig {
            config,
            max_buffer_duration,
        } = wire;
        let patience = match max_buffer_duration.map(parse) {
            None => None,
            Some(Some(patience)) if PATIENCE.contains(&patience) => Some(patience),
            Some(_) => {
                let problem = "must be 50 ms to 10 s";
                return Err(Fault::invalid("streaming_config.max_buffer_duration", problem));
            }
        };
        Ok(Self {
            asked: Asked::parse(config, "streaming_config.config.", Delivery::Stream)?,
            patience,
        })
    }
}
