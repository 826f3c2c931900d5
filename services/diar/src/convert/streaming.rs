//! `StreamingDiarizationConfig`: the first message of a stream.

use std::time::Duration;

use polyphony_error::Fault;
use polyphony_proto::diar::v1 as pb;
use polyphony_wire::{Refusals, duration, wire_duration};

use super::request::{Asked, Plan};
use crate::domain::{EngineInfo, StreamOptions};

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);
const DEFAULT: Duration = Duration::from_secs(1);

/// A stream that is well asked for.
#[derive(Debug, Clone)]
pub(crate) struct AskedStream {
    pub(crate) asked: Asked,
    latency: Duration,
    revisions: bool,
}

/// A stream that an engine can honour.
#[derive(Debug, Clone)]
pub(crate) struct StreamPlan {
    pub(crate) plan: Plan,
    pub(crate) options: StreamOptions,
    pub(crate) effective: pb::StreamingDiarizationConfig,
}

// === impl AskedStream ===

impl AskedStream {
    pub(crate) fn parse(wire: pb::StreamingDiarizationConfig) -> Result<Self, Fault> {
        let mut refusals = Refusals::at("streaming_config.");
        let pb::StreamingDiarizationConfig {
            config,
            latency_duration,
            enable_revisions,
            start_time,
        } = wire;
        let given = config.clone().unwrap_or_default();
        if given.include_exclusive.unwrap_or(false) {
            refusals.add(
                "config.include_exclusive",
                "is not supported in a stream; use Diarize",
            );
        }
        if given.clustering != i32::from(pb::Clustering::Unspecified) {
            refusals.add(
                "config.clustering",
                "is not supported in a stream, which groups voices as they come",
            );
        }
        if start_time.is_some() {
            refusals.add("start_time", "is not supported: segments tell offsets alone");
        }
        let latency = latency_duration.map_or(DEFAULT, |given| duration(given).unwrap_or(Duration::MAX));
        if !(SHORTEST..=LONGEST).contains(&latency) {
            refusals.add("latency_duration", "must be 250 ms to 10 s");
        }
        refusals.finish()?;
        Ok(Self {
            asked: Asked::parse(config, "streaming_config.config.")?,
            latency,
            revisions: enable_revisions.unwrap_or(true),
        })
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<StreamPlan, Fault> {
        let mut plan = self.asked.fit(info)?;
        let most = info.stream_speakers;
        if plan.options.min_speakers > most {
            let mut refusals = Refusals::at("streaming_config.config.");
            refusals.add(
                "min_speakers",
                format!("must be at most {most} in a stream of {}", info.made.engine),
            );
            refusals.finish()?;
        }
        plan.options.max_speakers = plan.options.max_speakers.min(most);
        if plan.effective.max_speakers.is_some() {
            plan.effective.max_speakers = u32::try_from(plan.options.max_speakers).ok();
        }
        plan.effective.clustering = pb::Clustering::Unspecified.into();
        let options = StreamOptions {
            options: plan.options.clone(),
            latency: self.latency,
            revisions: self.revisions,
        };
        let effective = pb::StreamingDiarizationConfig {
            config: Some(plan.effective.clone()),
            latency_duration: Some(wire_duration(self.latency)),
            enable_revisions: Some(self.revisions),
            start_time: None,
        };
        Ok(StreamPlan {
            plan,
            options,
            effective,
        })
    }
}
