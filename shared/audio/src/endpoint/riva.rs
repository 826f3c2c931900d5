//! The endpointing vocabulary of NVIDIA Riva's `EndpointingConfig`, which our API speaks, as rules.
//!
//! Riva counts blank and non-blank outputs of its acoustic model in a window; we count frames of a voice activity
//! model, which is the same question asked of another judge:
//!
//! | Riva | here |
//! | --- | --- |
//! | `start_history`, `start_threshold` | [`Rules::start`]: that share of the window is speech |
//! | `stop_history`, `stop_threshold` | [`Rules::stop`]: that share of the window is not |
//! | `stop_history_eou`, `stop_threshold_eou` | [`Rules::early_stop`]: [`Event::SpeechPause`](super::Event::SpeechPause), on which a result of stability 1 may be sent; the utterance goes on until `stop` |
//! | (none) | `max_utterance`, `vad_threshold` |
//!
//! Riva's defaults of 300 ms / 0.2 and 800 ms / 0.98 suit a slow acoustic model; the begin is quicker here.

use std::time::Duration;

use crate::Error;
use crate::endpoint::{Rules, Stop, Vote};

/// The settings as a client gives them; `None` is the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpointing {
    /// Window in which speech must be found to begin. Default: 96 ms, three Silero frames.
    pub start_history: Option<Duration>,
    /// Share of it, above 0 to 1. Default: 0.5.
    pub start_threshold: Option<f32>,
    /// Window in which silence must be found to end. Default: 800 ms.
    pub stop_history: Option<Duration>,
    /// Share of it, above 0 to 1. Default: 0.98.
    pub stop_threshold: Option<f32>,
    /// Window for the early, revocable end. Default: off.
    pub stop_history_eou: Option<Duration>,
    /// Share of it, above 0 to 1. Default: as `stop_threshold`.
    pub stop_threshold_eou: Option<f32>,
    /// Longer utterances are cut, 1 s to 60 s. Default: 28 s, what fits into Whisper's 30 s with its padding.
    pub max_utterance: Option<Duration>,
    /// A frame at or above it is speech, 0 to 1. Default: 0.5.
    pub vad_threshold: Option<f32>,
}

// === impl Endpointing ===

impl Endpointing {
    /// Silero's rules with these settings over them.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the field out of range.
    pub fn rules(&self) -> Result<Rules, Error> {
        let stop_share = self.stop_threshold.unwrap_or(0.98);
        let silero = Rules::silero();
        let threshold = self.vad_threshold.unwrap_or(silero.threshold);
        let max_speech = self.max_utterance.unwrap_or(Duration::from_secs(28));
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&max_speech) {
            return Err(Error::setting("max_utterance_duration", "must be 1 s to 60 s"));
        }
        if self.stop_threshold_eou.is_some() && self.stop_history_eou.is_none() {
            return Err(Error::setting(
                "stop_threshold_eou",
                "needs stop_history_eou beside it",
            ));
        }
        let rules = Rules {
            threshold,
            neg_threshold: (threshold - 0.15).max(0.01).min(threshold),
            start: Vote {
                history: self.start_history.unwrap_or(Duration::from_millis(96)),
                share: self.start_threshold.unwrap_or(0.5),
            },
            stop: Stop::Vote(Vote {
                history: self.stop_history.unwrap_or(Duration::from_millis(800)),
                share: stop_share,
            }),
            early_stop: self.stop_history_eou.map(|history| {
                let share = self.stop_threshold_eou.unwrap_or(stop_share);
                Stop::Vote(Vote { history, share })
            }),
            max_speech: Some(max_speech),
            ..silero
        };
        rules.check()?;
        Ok(rules)
    }
}
