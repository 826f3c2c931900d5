//! The nouns of speech synthesis: plain data, known to engines and adapters alike.
//!
//! Text has two places: in the [`Script`] that is spoken, and in the input it came from, which may be SSML or a stream.
//! Scripts keep the way back, so that a word can say where it stands in what the caller sent.

mod script;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use polyphony_inference::Cancel;
use polyphony_models::Provenance;

pub use script::{Mark, Saying, Script, Span};

/// The rates that can be asked for, as a share of the voice's own speed.
pub const RATES: RangeInclusive<f32> = 0.25..=4.0;
/// The changes of pitch that can be asked for, in semitones.
pub const PITCHES: RangeInclusive<f32> = -20.0..=20.0;
/// The changes of volume that can be asked for, in decibel.
pub const GAINS: RangeInclusive<f32> = -96.0..=16.0;
/// The lengths of pauses that can be asked for, as a share of the natural one.
pub const SILENCES: RangeInclusive<f32> = 0.0..=3.0;

/// Something to speak at once, in one voice: checked, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// What is said, in order.
    pub items: Vec<Item>,
    /// One of the engine's voices.
    pub voice: String,
    /// The language, as BCP-47, where it is not the voice's first.
    pub language: Option<String>,
    /// How it is said, for those that say nothing else.
    pub prosody: Prosody,
    /// The length of pauses, as a share of the natural one ([`SILENCES`]). Breaks that were asked for are not changed.
    pub silence_scale: f32,
    /// Makes the speech repeatable, for engines that use chance and can.
    pub seed: Option<u64>,
    /// Whether words need their times. Times of marks come without.
    pub word_times: bool,
    /// Whether words need their phones, with times.
    pub phone_times: bool,
}

/// A part of an utterance.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Text. Its prosody goes on top of the utterance's.
    Say(Script, Prosody),
    /// A pause that was asked for.
    Break(Duration),
}

/// How something is said. Two go together by [`Prosody::over`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prosody {
    /// How fast, as a share of the voice's own speed.
    pub rate: f32,
    /// How much higher, in semitones.
    pub pitch: f32,
    /// How much louder, in decibel. `f32::NEG_INFINITY` is silence.
    pub gain: f32,
}

/// Audio as it is made. Times count from the beginning of the utterance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Piece {
    /// Mono, at the engine's rate, -1 to 1; a gain may lead beyond, which the encoder cuts off.
    pub samples: Vec<f32>,
    /// Words that begin in these samples, in order.
    pub words: Vec<Word>,
    /// Marks that are passed in these samples or at their end, in order.
    pub marks: Vec<Passed>,
}

/// A word and when it is heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// As it stands in the script, without the punctuation around it.
    pub text: String,
    /// Where it stands in the input, in bytes.
    pub source: std::ops::Range<u64>,
    /// Its beginning.
    pub start: Duration,
    /// Its end, never before the beginning.
    pub end: Duration,
    /// How its times, and those of its phones, were found.
    pub timing: Timing,
    /// Its phones, empty unless they were asked for.
    pub phones: Vec<Phone>,
}

/// How times were found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Timing {
    /// The model says them.
    #[default]
    Model,
    /// The model does not say them: its audio is shared out among what is heard in it.
    Estimated,
}

/// A phone and when it is heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Phone {
    /// In IPA.
    pub symbol: String,
    /// Its beginning.
    pub start: Duration,
    /// Its end, never before the beginning.
    pub end: Duration,
}

/// A mark and when it is passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Its name.
    pub name: String,
    /// When.
    pub at: Duration,
}

/// What an engine with its model is, for receipts, lists and refusals.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineInfo {
    /// What does the work.
    pub made: Provenance,
    /// Samples a second of its audio.
    pub sample_rate: u32,
    /// Its voices, the default first; never empty.
    pub voices: Vec<Voice>,
    /// Voices that are there and cannot be spoken with: their ids, and why.
    pub unspoken: Vec<(String, String)>,
    /// What it can do besides speaking.
    pub abilities: Abilities,
}

/// What an engine can do besides speaking. Rate, pitch, volume, breaks and pauses every engine can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It knows when words are heard, or estimates it, so marks too.
    pub word_times: bool,
    /// It knows when phones are heard.
    pub phone_times: bool,
    /// It can be made to use the same chance twice, or uses none.
    pub seed: bool,
    /// It takes pronunciations in IPA.
    pub pronunciations: bool,
}

/// A voice of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// Names it among the engine's voices: letters, digits, `-` and `_`.
    pub id: String,
    /// For a person.
    pub title: String,
    /// The languages it speaks, as BCP-47, the first the closest; never empty.
    pub languages: Vec<String>,
    /// As what it is heard.
    pub gender: Gender,
}

/// As what a voice is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gender {
    /// Nobody says.
    Unknown,
    /// Male.
    Male,
    /// Female.
    Female,
}

// === impl Utterance ===

impl Utterance {
    /// A script in a voice, with nothing else asked for.
    pub fn new(voice: impl Into<String>, script: Script) -> Self {
        Self {
            items: vec![Item::Say(script, Prosody::NATURAL)],
            voice: voice.into(),
            language: None,
            prosody: Prosody::NATURAL,
            silence_scale: 1.0,
            seed: None,
            word_times: false,
            phone_times: false,
        }
    }
}

// === impl Prosody ===

impl Prosody {
    /// The voice's own.
    pub const NATURAL: Self = Self {
        rate: 1.0,
        pitch: 0.0,
        gain: 0.0,
    };

    /// This on top of another, as a `prosody` element in another, kept within what can be asked for.
    pub fn over(self, outer: Self) -> Self {
        Self {
            rate: (self.rate * outer.rate).clamp(*RATES.start(), *RATES.end()),
            pitch: (self.pitch + outer.pitch).clamp(*PITCHES.start(), *PITCHES.end()),
            gain: (self.gain + outer.gain).min(*GAINS.end()),
        }
    }

    /// By what samples are multiplied.
    pub fn amplitude(self) -> f32 {
        10.0_f32.powf(self.gain / 20.0)
    }
}

impl Default for Prosody {
    fn default() -> Self {
        Self::NATURAL
    }
}

// === impl EngineInfo ===

impl EngineInfo {
    /// The voice of an id.
    pub fn voice(&self, id: &str) -> Option<&Voice> {
        self.voices.iter().find(|voice| voice.id == id)
    }

    /// The first voice that speaks a language, a BCP-47 tag: the tag itself if one does, else what is left of it without
    /// its last subtags, else any that begins with that ("en" finds "en-US").
    pub fn voice_for(&self, language: &str) -> Option<&Voice> {
        let mut tag = language;
        loop {
            let speaks = |voice: &&Voice| voice.languages.iter().any(|own| own.eq_ignore_ascii_case(tag));
            if let Some(voice) = self.voices.iter().find(speaks) {
                return Some(voice);
            }
            match tag.rfind('-') {
                Some(cut) => tag = &tag[..cut],
                None => break,
            }
        }
        let begins = |own: &String| {
            own.split('-')
                .next()
                .is_some_and(|own| own.eq_ignore_ascii_case(tag))
        };
        self.voices
            .iter()
            .find(|voice| !tag.is_empty() && voice.languages.iter().any(begins))
    }

    /// The languages of its voices, the default's first, each once.
    pub fn languages(&self) -> Vec<&str> {
        let mut languages = Vec::new();
        for language in self.voices.iter().flat_map(|voice| &voice.languages) {
            if !languages.contains(&language.as_str()) {
                languages.push(language);
            }
        }
        languages
    }
}
