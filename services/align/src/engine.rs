//! The verbs of alignment: what every engine can do. One file an engine in `engine/`.
//!
//! An engine knows nothing of gRPC. It is blocking and CPU-bound: callers run it on a blocking thread. What it does is a
//! state machine fed with samples and text ([`Matching`]), so a stream is tested without a socket; a recording is the
//! same fed at once ([`align`]).

pub mod ctc;
pub mod dtw;
mod loose;
mod script;
mod words;

use std::ops::Range;
use std::time::Duration;

use crate::Error;
use crate::domain::{Alignment, Cancel, EngineInfo, Options, Pace, Unit};
use crate::text::Text;

pub use crate::trellis::End;
pub use words::Words;

/// An aligner with its model loaded; shared by all requests.
pub trait Engine: Send + Sync {
    /// What it is.
    fn info(&self) -> &EngineInfo;

    /// Begins a recording or stream.
    ///
    /// # Errors
    /// [`Error::Request`] for options that it cannot honour.
    fn begin(&self, options: &Options, cancel: &Cancel) -> Result<Box<dyn Matching>, Error>;
}

/// A recording or stream that is being matched with its text. Dropping it frees what it holds.
pub trait Matching: Send {
    /// Takes the next samples, mono at 16 kHz, -1 to 1.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Engine`].
    fn hear(&mut self, samples: &[f32]) -> Result<(), Error>;

    /// No more samples come.
    ///
    /// # Errors
    /// As [`hear`](Self::hear).
    fn silence(&mut self) -> Result<(), Error>;

    /// Takes the next words of the text; those before were taken.
    ///
    /// # Errors
    /// [`Error::Misfit`] as soon as the words cannot be said within a recording whose length is known; else as
    /// [`hear`](Self::hear).
    fn read(&mut self, text: &Text, words: Range<usize>) -> Result<(), Error>;

    /// How far it has heard: what was fed later cannot be matched yet.
    fn heard(&self) -> Duration;

    /// Matches all audio that is kept with all words that are kept.
    ///
    /// # Errors
    /// [`Error::Misfit`] if the words cannot be said within the audio; else as [`hear`](Self::hear).
    fn align(&mut self, text: &Text, end: End) -> Result<Match, Error>;

    /// Forgets so many of the words that are kept, and the audio before `until`.
    fn forget(&mut self, words: usize, until: Duration);
}

/// What was matched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// Each word that was reached, in order; the rest of the text was not.
    pub words: Vec<Heard>,
    /// Speech between words.
    pub speech: Vec<Range<Duration>>,
    /// How well text and audio agree, 0 to 1.
    pub quality: f32,
}

/// A word as an engine found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Its number in the text.
    pub word: usize,
    /// When it is said; none for a word that has no sound for the engine.
    pub time: Option<Range<Duration>>,
    /// Whether it was let match any sound.
    pub wild: bool,
    /// How well it fits, 0 to 1.
    pub score: f32,
    /// The mean natural logarithm of the probability of its frames.
    pub log_prob: Option<f32>,
    /// Its characters, where the engine matches characters.
    pub characters: Vec<Unit>,
    /// Its phones, where the engine matches phones.
    pub phones: Vec<Unit>,
}

/// Aligns a whole recording, mono at 16 kHz, -1 to 1, with its text.
///
/// # Errors
/// [`Error::Misfit`] if the text cannot be said within the audio or its segments, [`Error::Cancelled`] soon after
/// `cancel`, [`Error::Request`] for options that the engine cannot honour, [`Error::Engine`] when it fails.
pub fn align(
    engine: &dyn Engine,
    audio: &[f32],
    text: &Text,
    options: &Options,
    cancel: &Cancel,
) -> Result<Alignment, Error> {
    let options = Options {
        pace: Pace::Whole { samples: audio.len() },
        ..options.clone()
    };
    let mut matching = engine.begin(&options, cancel)?;
    // First what is cheap and may already show that the text does not fit.
    matching.read(text, 0..text.words())?;
    for block in audio.chunks(BLOCK) {
        matching.hear(block)?;
    }
    matching.silence()?;
    let length = crate::domain::time(audio.len() as u64);
    let found = matching.align(text, End::Last)?;
    let quality = found.quality;
    let mut words = Words::new(options);
    let mut loose = Vec::new();
    let mut done = words.push(text, found.words, &mut loose);
    words.finish(text, length, &mut done, &mut loose);
    loose.extend(found.speech.into_iter().map(crate::domain::Loose::Time));
    Ok(Alignment {
        words: done,
        quality,
        loose,
    })
}

/// Samples that are fed at once: a minute.
const BLOCK: usize = 960_000;
