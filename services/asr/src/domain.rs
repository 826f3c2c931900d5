//! The nouns of speech recognition: plain data, known to engines and adapters alike.
//!
//! All audio is mono at [`SAMPLE_RATE`]; all times count from the first sample of the recording or stream.

use std::time::Duration;

pub use polyphony_inference::Cancel;
use polyphony_models::Provenance;

/// Samples a second of all audio that an engine sees.
pub const SAMPLE_RATE: u32 = 16_000;

/// How an utterance is to be decoded: what the caller asked for, checked, defaults filled in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DecodeOptions {
    /// A language that the model knows, or none to let it find out.
    pub language: Option<String>,
    /// Transcribe or translate.
    pub task: Task,
    /// Whether each word needs its time.
    pub word_times: bool,
    /// Text that came before, to continue its style. Empty: none.
    pub initial_prompt: String,
    /// Leave out segments that look invented.
    pub hallucination_filter: bool,
}

/// What to do with the speech.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Task {
    /// Write it down in its own language.
    #[default]
    Transcribe,
    /// Write it down in English.
    Translate,
}

/// What was said in a stretch of audio.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcript {
    /// In order of time, without overlap.
    pub segments: Vec<Segment>,
    /// The language, as the model names it ("en").
    pub language: Option<String>,
}

/// A stretch of speech.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    /// The text, without surrounding spaces.
    pub text: String,
    /// Its beginning.
    pub start: Duration,
    /// Its end, never before the beginning.
    pub end: Duration,
    /// The words, empty unless their times were asked for.
    pub words: Vec<Word>,
    /// How sure the engine is, 0 to 1.
    pub confidence: Option<f32>,
    /// The mean log-probability of its tokens.
    pub avg_log_prob: Option<f32>,
    /// The probability that nobody speaks, 0 to 1.
    pub no_speech_prob: Option<f32>,
}

/// A word and when it was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word, without surrounding spaces.
    pub text: String,
    /// Its beginning.
    pub start: Duration,
    /// Its end, never before the beginning.
    pub end: Duration,
    /// How sure the engine is, 0 to 1.
    pub confidence: Option<f32>,
    /// The natural logarithm of its probability.
    pub log_prob: Option<f32>,
    /// Where the time comes from.
    pub timing: TimingSource,
}

/// Where the time of a word comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingSource {
    /// The recogniser itself.
    Model,
    /// An aligner.
    Aligned,
    /// Between its neighbours.
    Interpolated,
}

/// What an engine is, for receipts and capabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// What does the work.
    pub made: Provenance,
    /// The languages it knows, the default first.
    pub languages: Vec<String>,
    /// Whether it can find out the language by itself.
    pub detects_language: bool,
    /// Whether it can translate into English.
    pub translates: bool,
    /// Whether it takes a text that came before.
    pub takes_prompt: bool,
    /// Whether it gives words a confidence.
    pub word_confidence: bool,
    /// How its interim words become stable.
    pub commit: Commit,
    /// The audio between two interim results that suits it.
    pub partial_interval: Duration,
}

/// How interim words become stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The engine re-decodes; words on which two successive decodings agree are stable.
    LocalAgreement,
    /// The engine decodes as it goes; its words are still held until two results agree on them.
    Native,
}
