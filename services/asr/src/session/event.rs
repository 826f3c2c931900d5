//! What a stream tells. Plain data.

use crate::domain::Word;

/// What happened. Offsets are in samples from the beginning of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody speaks since this sample.
    SpeechBegin {
        /// The first sample of speech.
        at: u64,
    },
    /// The speaker has paused.
    SpeechEnd {
        /// One past the last sample of speech.
        at: u64,
    },
    /// The only utterance of the stream is over.
    EndOfSingleUtterance {
        /// One past its last sample.
        at: u64,
    },
    /// What was said, so far or at last.
    Result(Box<Hypothesis>),
    /// All audio before this marker has gone through.
    Marker(String),
    /// The last event.
    Ended(EndReason),
}

/// What was said in one utterance.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Counts utterances from 1.
    pub segment_id: u32,
    /// Counts results of the utterance from 1.
    pub revision: u32,
    /// The text.
    pub text: String,
    /// How many bytes of it will never change.
    pub stable_len: usize,
    /// How sure it is that none of it will change, 0 to 1.
    pub stability: f32,
    /// Its words, with times from the beginning of the stream.
    pub words: Vec<Word>,
    /// The language.
    pub language: Option<String>,
    /// The first sample of the utterance.
    pub start: u64,
    /// One past the last sample that was heard for it.
    pub end: u64,
    /// Whether it is the last of the utterance.
    pub is_final: bool,
    /// How sure the engine is, 0 to 1; of a final result.
    pub confidence: Option<f32>,
}

/// Why a stream ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The audio was over.
    Closed,
    /// After the only utterance.
    SingleUtterance,
    /// Nobody began to speak.
    SpeechStartTimeout,
    /// Nobody went on.
    SpeechEndTimeout,
}
