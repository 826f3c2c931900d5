//! Where speech begins and ends, from the probabilities that a voice activity model gives for each frame of audio.
//!
//! No model here: Silero gives one probability for 512 samples at 16 kHz; whoever has them pushes them into an
//! [`Endpointer`] and gets [`Event`]s with offsets in samples. [`segments`] does the same for a whole recording.
//!
//! With the rules of [`Rules::silero`] the boundaries are those of silero-vad 6 on the same probabilities:
//! [`Endpointer`] those of `VADIterator`, [`segments`] those of `get_speech_timestamps`. The difference between the two
//! is theirs: the iterator cannot know what comes, so it pads without looking ahead. Ours looks back: an utterance
//! never begins before the last one has ended.
//! [`Endpointing`] is the vocabulary of our API (NVIDIA Riva's `EndpointingConfig`) and makes rules of votes.

mod machine;
mod offline;
mod riva;

use std::time::Duration;

use crate::Error;
use crate::pcm::SampleRate;

use machine::{Machine, Turn};

pub use offline::segments;
pub use riva::Endpointing;

/// Samples in a Silero frame at 16 kHz.
pub const SILERO_FRAME: u32 = 512;

/// When speech begins and ends. All times are of audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The rate in which offsets count.
    pub rate: SampleRate,
    /// Samples in a frame.
    pub frame: u32,
    /// A frame at or above it is speech, 0 to 1.
    pub threshold: f32,
    /// A frame below it is silence; between the two a frame is what the one before was. 0 to `threshold`.
    pub neg_threshold: f32,
    /// How many frames decide that speech begins.
    pub start: Vote,
    /// How long a silence ends speech.
    pub stop: Stop,
    /// An earlier, revocable sign that speech may be over, while it is not yet by `stop`.
    pub early_stop: Option<Stop>,
    /// Speech that is not longer is not reported; [`Event::SpeechBegin`] waits for it.
    pub min_speech: Duration,
    /// Moves the beginning earlier.
    pub pad_before: Duration,
    /// Moves the end later.
    pub pad_after: Duration,
    /// Speech that lasts longer is cut, at its longest pause of more than 98 ms, else where it stands.
    pub max_speech: Option<Duration>,
}

/// A share of the frames in the last `history`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Rounded up to whole frames, at least one.
    pub history: Duration,
    /// Above 0, at most 1.
    pub share: f32,
}

/// When a silence is long enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stop {
    /// It has lasted so long and no frame of it was speech.
    Silence(Duration),
    /// So large a share of the history was not speech.
    Vote(Vote),
}

/// What happened. Offsets are in samples from the beginning of the stream and include the padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "the words of the API, beside others in an adapter"
)]
pub enum Event {
    /// Somebody speaks since `at`.
    SpeechBegin {
        /// The first sample.
        at: u64,
    },
    /// Perhaps the end: nobody has spoken since `at`. At most once for each pause.
    SpeechPause {
        /// Where the silence began.
        at: u64,
    },
    /// Nobody speaks since `at`.
    SpeechEnd {
        /// One past the last sample.
        at: u64,
        /// Why.
        reason: EndReason,
    },
}

/// Why an utterance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// A long enough pause.
    Silence,
    /// It was as long as is allowed; the next begins at once if somebody still speaks.
    MaxLength,
    /// The audio is over.
    EndOfAudio,
}

/// Finds utterances in a stream.
#[derive(Debug, Clone)]
pub struct Endpointer {
    machine: Machine,
    pad_before: u64,
    pad_after: u64,
    /// Where the last utterance ended, which the next may not overlap.
    floor: u64,
}

// === impl Rules ===

impl Rules {
    /// Those of silero-vad: threshold 0.5 with 0.15 of hysteresis, 100 ms of silence end speech, 30 ms of padding.
    pub fn silero() -> Self {
        Self {
            rate: SampleRate::SPEECH,
            frame: SILERO_FRAME,
            threshold: 0.5,
            neg_threshold: 0.35,
            start: Vote {
                history: Duration::ZERO,
                share: 1.0,
            },
            stop: Stop::Silence(Duration::from_millis(100)),
            early_stop: None,
            min_speech: Duration::ZERO,
            pad_before: Duration::from_millis(30),
            pad_after: Duration::from_millis(30),
            max_speech: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let unit = 0.0..=1.0;
        if !unit.contains(&self.threshold) {
            return Err(Error::setting("vad_threshold", "must be 0 to 1"));
        }
        if !(0.0..=self.threshold).contains(&self.neg_threshold) {
            return Err(Error::setting("vad_neg_threshold", "must be 0 to vad_threshold"));
        }
        if self.frame == 0 || self.frame > self.rate.hz() {
            return Err(Error::setting("frame", "must be 1 sample to 1 second"));
        }
        self.start.check("start_history", "start_threshold")?;
        self.stop.check("stop_history", "stop_threshold")?;
        if let Some(early) = &self.early_stop {
            early.check("stop_history_eou", "stop_threshold_eou")?;
        }
        let longest = Duration::from_secs(10);
        if self.pad_before > longest || self.pad_after > longest || self.min_speech > longest {
            return Err(Error::setting(
                "padding and minimum speech",
                "must be at most 10 s",
            ));
        }
        let least = self.pad_before + self.pad_after + self.min_speech + Duration::from_millis(500);
        if self.max_speech.is_some_and(|max| max < least) {
            return Err(Error::setting(
                "max_utterance_duration",
                "must be at least 500 ms longer than padding and minimum speech",
            ));
        }
        Ok(())
    }
}

// === impl Vote ===

impl Vote {
    fn check(&self, history: &'static str, share: &'static str) -> Result<(), Error> {
        if self.history > Duration::from_secs(10) {
            return Err(Error::setting(history, "must be at most 10 s"));
        }
        if !(self.share > 0.0 && self.share <= 1.0) {
            return Err(Error::setting(share, "must be above 0 and at most 1"));
        }
        Ok(())
    }
}

// === impl Stop ===

impl Stop {
    fn check(&self, history: &'static str, share: &'static str) -> Result<(), Error> {
        match self {
            Self::Vote(vote) => vote.check(history, share),
            Self::Silence(time) if *time > Duration::from_secs(10) => {
                Err(Error::setting(history, "must be at most 10 s"))
            }
            Self::Silence(_) => Ok(()),
        }
    }
}

// === impl Endpointer ===

impl Endpointer {
    /// An endpointer at the beginning of a stream.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the rule out of range.
    pub fn new(rules: &Rules) -> Result<Self, Error> {
        rules.check()?;
        Ok(Self {
            machine: Machine::new(rules),
            pad_before: rules.rate.frames(rules.pad_before),
            pad_after: rules.rate.frames(rules.pad_after),
            floor: 0,
        })
    }

    /// Takes the speech probability of the next frame and appends what follows from it to `events`.
    pub fn push(&mut self, probability: f32, events: &mut Vec<Event>) {
        self.machine.push(probability);
        while let Some(turn) = self.machine.next_turn() {
            events.push(self.pad(turn));
        }
    }

    /// The audio is over after `samples`; ends what is being said. The endpointer is then at its beginning again.
    pub fn finish(&mut self, samples: u64, events: &mut Vec<Event>) {
        self.machine.finish(samples);
        while let Some(turn) = self.machine.next_turn() {
            let event = match self.pad(turn) {
                Event::SpeechEnd { at, reason } => Event::SpeechEnd {
                    at: at.min(samples),
                    reason,
                },
                other => other,
            };
            events.push(event);
        }
        self.floor = 0;
    }

    /// Whether somebody speaks, as far as has been reported.
    pub const fn in_speech(&self) -> bool {
        self.machine.reported()
    }

    fn pad(&mut self, turn: Turn) -> Event {
        match turn {
            Turn::Begin(at) => Event::SpeechBegin {
                at: at.saturating_sub(self.pad_before).max(self.floor),
            },
            Turn::Pause(at) => Event::SpeechPause { at },
            // A cut between two utterances is not padded: the next one begins where this one ends, or later.
            Turn::End(at, reason) => {
                self.floor = match reason {
                    EndReason::MaxLength => at,
                    EndReason::Silence | EndReason::EndOfAudio => at + self.pad_after,
                };
                Event::SpeechEnd {
                    at: self.floor,
                    reason,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
