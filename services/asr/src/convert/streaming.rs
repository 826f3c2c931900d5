//! `StreamingRecognitionConfig`: the state machine's settings, and what of its events the client sees.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use polyphony_audio::endpoint::Endpointing;
use polyphony_audio::stream::Format;
use polyphony_error::Fault;
use polyphony_proto::asr::v1 as pb;
use polyphony_wire::{Clock, Refusals, duration as parse, wire_duration};

use super::request::{Asked, Plan, Shown};
use crate::domain::{Commit, EngineInfo};
use crate::session::Settings;

const PATH: &str = "streaming_config.";
const DEFAULT_MAX_UTTERANCE: Duration = Duration::from_secs(28);

/// A stream that is well asked for.
#[derive(Debug, Clone)]
pub(crate) struct AskedStream {
    pub(crate) asked: Asked,
    endpointing: Endpointing,
    partial_interval: Option<Duration>,
    commit: pb::CommitPolicy,
    speech_start_timeout: Option<Duration>,
    speech_end_timeout: Option<Duration>,
    clock: Option<Clock>,
    wire: pb::StreamingRecognitionConfig,
}

/// A stream that an engine can honour.
#[derive(Debug, Clone)]
pub(crate) struct StreamPlan {
    pub(crate) settings: Settings,
    pub(crate) format: Format,
    pub(crate) view: View,
    pub(crate) effective: pb::StreamingRecognitionConfig,
}

/// What of the events the client sees, and how.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) shown: Shown,
    pub(crate) activity: bool,
    pub(crate) clock: Option<Clock>,
}

// === impl AskedStream ===

impl AskedStream {
    /// Parses the first message of a stream.
    pub(crate) fn parse(wire: pb::StreamingRecognitionConfig) -> Result<Self, Fault> {
        let mut refusals = Refusals::at(PATH);
        let pb::StreamingRecognitionConfig {
            config,
            interim_results: _,
            enable_voice_activity_events: _,
            voice_activity_timeout,
            endpointing,
            single_utterance: _,
            partial_interval,
            commit_policy,
            start_time,
        } = &wire;
        let asked = Asked::parse(config.clone(), "streaming_config.config.")?;
        let pb::VoiceActivityTimeout {
            speech_start_timeout,
            speech_end_timeout,
        } = voice_activity_timeout.unwrap_or_default();
        let mut within =
            |field: &str, duration: Option<prost_types::Duration>, range: RangeInclusive<u64>| {
                let millis = duration.map(|duration| parse(duration).unwrap_or(Duration::MAX))?;
                let (least, most) = (*range.start(), *range.end());
                if !(Duration::from_millis(least)..=Duration::from_millis(most)).contains(&millis) {
                    refusals.add(field, format!("must be {least} ms to {most} ms"));
                    return None;
                }
                Some(millis)
            };
        let speech_start_timeout = within(
            "voice_activity_timeout.speech_start_timeout",
            speech_start_timeout,
            500..=60_000,
        );
        let speech_end_timeout = within(
            "voice_activity_timeout.speech_end_timeout",
            speech_end_timeout,
            500..=60_000,
        );
        let partial_interval = within("partial_interval", *partial_interval, 100..=10_000);
        let pb::EndpointingConfig {
            start_history,
            start_threshold,
            stop_history,
            stop_threshold,
            stop_history_eou,
            stop_threshold_eou,
            max_utterance_duration,
            vad_threshold,
        } = endpointing.unwrap_or_default();
        let endpointing = Endpointing {
            start_history: within("endpointing.start_history", start_history, 0..=10_000),
            start_threshold,
            stop_history: within("endpointing.stop_history", stop_history, 0..=10_000),
            stop_threshold,
            stop_history_eou: within("endpointing.stop_history_eou", stop_history_eou, 0..=10_000),
            stop_threshold_eou,
            max_utterance: within(
                "endpointing.max_utterance_duration",
                max_utterance_duration,
                1_000..=60_000,
            ),
            vad_threshold,
        };
        if let Err(polyphony_audio::Error::Setting { name, problem }) = endpointing.rules() {
            refusals.add(&format!("endpointing.{name}"), problem);
        }
        let commit = pb::CommitPolicy::try_from(*commit_policy).unwrap_or_else(|_| {
            refusals.add("commit_policy", "must be one of CommitPolicy");
            pb::CommitPolicy::Unspecified
        });
        let clock = start_time.and_then(|time| {
            let clock = Clock::new(time);
            if clock.is_none() {
                refusals.add(
                    "start_time",
                    "must lie in the years 1 to 9999, with nanos from 0 to 999999999",
                );
            }
            clock
        });
        refusals.finish()?;
        Ok(Self {
            asked,
            endpointing,
            partial_interval,
            commit,
            speech_start_timeout,
            speech_end_timeout,
            clock,
            wire,
        })
    }

    /// Whether this engine can do all of it.
    pub(crate) fn fit(&self, info: &EngineInfo) -> Result<StreamPlan, Fault> {
        let Plan {
            options,
            shown,
            effective,
        } = self.asked.fit(info)?;
        let mut refusals = Refusals::at(PATH);
        let native = info.commit == Commit::Native;
        let commit = match self.commit {
            pb::CommitPolicy::Unspecified if native => pb::CommitPolicy::Native,
            pb::CommitPolicy::Unspecified => pb::CommitPolicy::LocalAgreement,
            // Words of engines that decode as they go are held until two results agree on them as well.
            pb::CommitPolicy::LocalAgreement => pb::CommitPolicy::LocalAgreement,
            pb::CommitPolicy::Native if native => pb::CommitPolicy::Native,
            pb::CommitPolicy::Native => {
                refusals.add(
                    "commit_policy",
                    format!("NATIVE is not supported by {}: it decodes anew", info.made.engine),
                );
                pb::CommitPolicy::LocalAgreement
            }
            pb::CommitPolicy::AlignAtt => {
                refusals.add(
                    "commit_policy",
                    "ALIGN_ATT is not supported yet; use LOCAL_AGREEMENT",
                );
                pb::CommitPolicy::LocalAgreement
            }
        };
        refusals.finish()?;
        // Checked when it was parsed.
        let rules = self.endpointing.rules().map_err(Fault::internal)?;
        let settings = Settings {
            options,
            rules,
            interim: self.wire.interim_results.unwrap_or(false),
            partial_interval: self.partial_interval.unwrap_or(info.partial_interval),
            max_utterance: self.endpointing.max_utterance.unwrap_or(DEFAULT_MAX_UTTERANCE),
            single_utterance: self.wire.single_utterance.unwrap_or(false),
            speech_start_timeout: self.speech_start_timeout,
            speech_end_timeout: self.speech_end_timeout,
            clock: Instant::now,
        };
        let view = View {
            shown,
            activity: self.wire.enable_voice_activity_events.unwrap_or(false),
            clock: self.clock,
        };
        let effective = pb::StreamingRecognitionConfig {
            config: Some(effective),
            interim_results: Some(settings.interim),
            enable_voice_activity_events: Some(view.activity),
            voice_activity_timeout: self.wire.voice_activity_timeout,
            endpointing: Some(self.effective_endpointing(&settings)),
            single_utterance: Some(settings.single_utterance),
            partial_interval: Some(wire_duration(settings.partial_interval)),
            commit_policy: commit.into(),
            start_time: self.clock.map(Clock::wire),
        };
        Ok(StreamPlan {
            settings,
            format: self.asked.format,
            view,
            effective,
        })
    }

    fn effective_endpointing(&self, settings: &Settings) -> pb::EndpointingConfig {
        let asked = &self.endpointing;
        let stop_threshold = asked.stop_threshold.unwrap_or(0.98);
        pb::EndpointingConfig {
            start_history: Some(wire_duration(settings.rules.start.history)),
            start_threshold: Some(settings.rules.start.share),
            stop_history: Some(wire_duration(
                asked.stop_history.unwrap_or(Duration::from_millis(800)),
            )),
            stop_threshold: Some(stop_threshold),
            stop_history_eou: asked.stop_history_eou.map(wire_duration),
            stop_threshold_eou: asked
                .stop_history_eou
                .map(|_| asked.stop_threshold_eou.unwrap_or(stop_threshold)),
            max_utterance_duration: Some(wire_duration(settings.max_utterance)),
            vad_threshold: Some(settings.rules.threshold),
        }
    }
}
