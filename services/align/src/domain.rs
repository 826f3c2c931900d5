//! The nouns of alignment: plain data, known to engines and adapters alike.
//!
//! All audio is mono at [`SAMPLE_RATE`]; all times count from the first sample of the recording or stream; all places in
//! the text are bytes of the text that was given.

use std::ops::Range;
use std::time::Duration;

use polyphony_models::Provenance;

pub use polyphony_inference::Cancel;

/// Samples a second of all audio that an engine sees.
pub const SAMPLE_RATE: u32 = 16_000;

/// How a text is to be aligned: what the caller asked for, checked, defaults filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// A language of the engine, as the engine names it; none where it knows but one.
    pub language: Option<String>,
    /// Whether the characters of each word need their times.
    pub characters: bool,
    /// Whether the phones of each word need their times.
    pub phones: bool,
    /// What to do with words that cannot be matched.
    pub unaligned: Unaligned,
    /// How the audio comes.
    pub pace: Pace,
}

/// How the audio comes, which is not for the caller to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All of it at once, after all of the text.
    Whole {
        /// How long it is, in samples.
        samples: usize,
    },
    /// As it is spoken.
    Live {
        /// The most that may be held back to decide on a word.
        lookahead: Duration,
    },
}

/// What to do with a word that cannot be matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unaligned {
    /// Spread it between its neighbours.
    Interpolate,
    /// Let it match any sound.
    #[default]
    Wildcard,
    /// Leave it out of the words.
    Omit,
    /// Join it to the word before it, or to the one after where there is none.
    Merge,
}

/// When each word is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alignment {
    /// In the order of the text.
    pub words: Vec<Word>,
    /// How well text and audio agree, 0 to 1.
    pub quality: f32,
    /// What has no counterpart.
    pub loose: Vec<Loose>,
}

/// A word with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The word as it stands in the text, with its punctuation.
    pub text: String,
    /// Where it stands in the text.
    pub range: Range<usize>,
    /// Who says it, as the text has it.
    pub speaker: String,
    /// When it is said.
    pub time: Range<Duration>,
    /// How well it fits, 0 to 1.
    pub score: f32,
    /// The mean natural logarithm of the probability of its frames, where the engine has one.
    pub log_prob: Option<f32>,
    /// Where the time comes from.
    pub timing: TimingSource,
    /// Its characters, when they were asked for.
    pub characters: Vec<Unit>,
    /// Its phones, when they were asked for.
    pub phones: Vec<Unit>,
}

/// A character or phone with its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The character, or the phone in IPA.
    pub text: String,
    /// When it is said.
    pub time: Range<Duration>,
    /// How well it fits, 0 to 1.
    pub score: f32,
    /// Where the time comes from.
    pub timing: TimingSource,
}

/// Where a time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingSource {
    /// It was matched with the sound.
    Aligned,
    /// It matched any sound, between neighbours that were matched.
    Wildcard,
    /// Nobody measured it: it lies between its neighbours.
    Interpolated,
}

/// What has no counterpart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loose {
    /// Text for which no audio was found.
    Text(Range<usize>),
    /// Speech for which no text was given.
    Time(Range<Duration>),
}

/// What an engine is, for receipts and capabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// With what results are made.
    pub made: Provenance,
    /// The languages it knows, the default first; none where nothing says which language a model was trained on.
    pub languages: Vec<String>,
    /// Whether a request must say which language it means.
    pub needs_language: bool,
    /// Whether it knows phones.
    pub phones: bool,
    /// Whether it speaks numbers and symbols; else they match any sound.
    pub spoken_form: bool,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self::Live {
            lookahead: Duration::from_secs(10),
        }
    }
}

/// The time of a number of samples.
pub fn time(samples: u64) -> Duration {
    Duration::from_micros(samples * 1_000_000 / u64::from(SAMPLE_RATE))
}
