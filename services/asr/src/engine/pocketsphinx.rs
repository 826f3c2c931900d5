//! CMU Sphinx through Debian's libpocketsphinx: the recogniser that needs no neural model.
//!
//! It is small, quick and far from a neural model's accuracy, so every receipt says `degraded`. It knows US English
//! only, writes no punctuation and no capitals, and its confidences mean nothing, so it gives none. Words and their
//! times are real, also in interim results.
//!
//! Deliberately not here: the library's own detection of speech. It drops frames without telling, which shifts all
//! later times; where speech is, the voice activity model says.

mod ffi;
mod pool;
mod utterance;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs};

use polyphony_models::{Degradation, Provenance};

use crate::domain::{Cancel, Commit, DecodeOptions, EngineInfo, SAMPLE_RATE, Segment, Transcript, Word};
use crate::engine::{Engine, Utterance};
use crate::error::Error;
use crate::vad::VoiceActivity;
use pool::Pool;
use utterance::{Decoding, failed};

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "pocketsphinx";
/// A recording up to this length is one utterance; the decoder's memory grows with an utterance.
const WHOLE: usize = 30 * SAMPLE_RATE as usize;
/// A pause between words that begins a new segment.
const PAUSE: Duration = Duration::from_millis(800);
/// Where what was measured differs from the library's defaults.
const SEARCH: [&str; 4] = [
    // The mean is ours; see `utterance`.
    "-cmn",
    "none",
    // It shifts times; see above.
    "-remove_silence",
    "no",
];
/// Options of `feat.params` that are ours to set.
const OURS: [&str; 3] = ["-cmn", "-cmninit", "-remove_silence"];
/// The file is a dozen short lines.
const MOST_PARAMS: u64 = 64 << 10;

/// Where the parts of the model lie.
#[derive(Debug, Clone)]
pub struct Files {
    /// The folder of the acoustic model.
    pub acoustic_model: PathBuf,
    /// The language model.
    pub language_model: PathBuf,
    /// The pronunciation dictionary.
    pub dictionary: PathBuf,
}

/// How many decoders there may be.
#[derive(Debug, Clone, Copy)]
pub struct Decoders {
    /// At once.
    pub most: usize,
    /// Kept when idle.
    pub kept: usize,
}

/// The engine with its model.
pub struct PocketSphinx {
    info: EngineInfo,
    pool: Arc<Pool>,
    vad: Arc<dyn VoiceActivity>,
}

struct Live {
    decoding: Decoding,
    language: Option<String>,
    word_times: bool,
}

/// Whether the libraries are here and the right ones, without a model.
///
/// # Errors
/// [`Error::Engine`], whose source names the package that brings them.
pub fn probe() -> Result<(), Error> {
    ffi::Sphinx::open().map(drop).map_err(failed)
}

// === impl PocketSphinx ===

impl PocketSphinx {
    /// Opens the libraries and makes the first decoder.
    ///
    /// # Errors
    /// [`Error::Engine`] when the libraries are absent, which its source says how to mend, or the model is unusable.
    pub fn open(
        files: &Files,
        model: String,
        digest: String,
        decoders: Decoders,
        vad: Arc<dyn VoiceActivity>,
    ) -> Result<Self, Error> {
        let library = ffi::Sphinx::open().map_err(failed)?;
        let options = options(files)?;
        let pool = Pool::new(library, options, decoders.most, decoders.kept).map_err(failed)?;
        Ok(Self {
            info: info(model, digest),
            pool: Arc::new(pool),
            vad,
        })
    }

    fn begin(&self, whole: bool, cancel: &Cancel) -> Result<Decoding, Error> {
        let checkout = self
            .pool
            .check_out(cancel)
            .map_err(failed)?
            .ok_or(Error::Cancelled)?;
        Decoding::begin(checkout, whole, cancel)
    }

    fn language(&self) -> Option<String> {
        self.info.languages.first().cloned()
    }
}

impl Engine for PocketSphinx {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn recognize(
        &self,
        audio: &[f32],
        options: &DecodeOptions,
        cancel: &Cancel,
    ) -> Result<Transcript, Error> {
        let mut parts = self.vad.speech(audio, cancel)?;
        if let Some(first) = parts.first_mut()
            && audio.len() <= WHOLE
        {
            *first = 0..audio.len();
            parts.truncate(1);
        }
        let mut words = Vec::new();
        for part in parts {
            let offset = duration(part.start);
            let mut decoding = self.begin(true, cancel)?;
            decoding.accept(&audio[part])?;
            words.extend(decoding.finish()?.into_iter().map(|word| shifted(word, offset)));
        }
        Ok(Transcript {
            segments: segments(words, options.word_times),
            language: self.language(),
        })
    }

    fn utterance(&self, options: &DecodeOptions, cancel: &Cancel) -> Result<Box<dyn Utterance>, Error> {
        let decoding = self.begin(false, cancel)?;
        Ok(Box::new(Live {
            decoding,
            language: self.language(),
            word_times: options.word_times,
        }))
    }
}

impl fmt::Debug for PocketSphinx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PocketSphinx")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

// === impl Live ===

impl Utterance for Live {
    fn accept(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.decoding.accept(samples)
    }

    fn hypothesis(&mut self) -> Result<Transcript, Error> {
        let words = self.decoding.words()?;
        Ok(Transcript {
            segments: segments(words, self.word_times),
            language: self.language.clone(),
        })
    }

    fn finish(self: Box<Self>) -> Result<Transcript, Error> {
        let words = self.decoding.finish()?;
        Ok(Transcript {
            segments: segments(words, self.word_times),
            language: self.language,
        })
    }
}

/// The options of a decoder: the model's own, then where it lies, then ours.
///
/// The library would read `feat.params` by itself and let it overrule us, so it is read here.
fn options(files: &Files) -> Result<Vec<String>, Error> {
    let params = files.acoustic_model.join("feat.params");
    let unreadable = |problem: String| Error::engine(NAME, format!("{}: {problem}", params.display()));
    let size = fs::metadata(&params)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > MOST_PARAMS {
        return Err(unreadable("is not a list of parameters".to_owned()));
    }
    let params = fs::read_to_string(&params).map_err(|error| unreadable(error.to_string()))?;
    let mut options = Vec::new();
    let mut tokens = params.split_whitespace();
    while let (Some(name), Some(value)) = (tokens.next(), tokens.next()) {
        if !OURS.contains(&name) {
            options.extend([name.to_owned(), value.to_owned()]);
        }
    }
    let mut place = |name: &str, path: &Path| {
        let path = path
            .to_str()
            .ok_or_else(|| Error::engine(NAME, "a path of the model is not UTF-8"))?;
        options.extend([name.to_owned(), path.to_owned()]);
        Ok::<(), Error>(())
    };
    place("-hmm", &files.acoustic_model)?;
    place("-lm", &files.language_model)?;
    place("-dict", &files.dictionary)?;
    // Named, so that the library does not look for the file in the model's folder.
    place("-featparams", Path::new("/dev/null"))?;
    options.extend(SEARCH.map(str::to_owned));
    Ok(options)
}

/// What the engine is with this model.
pub fn info(model: String, digest: String) -> EngineInfo {
    EngineInfo {
        made: Provenance {
            engine: NAME,
            version: "libpocketsphinx 0.8+5prealpha".to_owned(),
            model,
            digest,
            device: "cpu".to_owned(),
            degraded: Some(Degradation {
                reason: "NO_NEURAL_MODEL",
                message: "recognised by CMU Sphinx, which makes several times the errors of a neural model; \
                          `polyphony models pull onnx-community/whisper-base.en` brings one"
                    .to_owned(),
            }),
        },
        languages: vec!["en-US".to_owned()],
        detects_language: false,
        translates: false,
        takes_prompt: false,
        word_confidence: false,
        commit: Commit::Native,
        partial_interval: Duration::from_millis(300),
    }
}

/// Words to segments, one for each stretch without a long pause.
fn segments(words: Vec<Word>, word_times: bool) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for word in words {
        match segments
            .last_mut()
            .filter(|segment| word.start.saturating_sub(segment.end) < PAUSE)
        {
            Some(segment) => {
                segment.text.push(' ');
                segment.text.push_str(&word.text);
                segment.end = word.end;
                segment.words.push(word);
            }
            None => segments.push(Segment {
                text: word.text.clone(),
                start: word.start,
                end: word.end,
                words: vec![word],
                ..Segment::default()
            }),
        }
    }
    if !word_times {
        segments.iter_mut().for_each(|segment| segment.words.clear());
    }
    segments
}

fn shifted(mut word: Word, offset: Duration) -> Word {
    word.start += offset;
    word.end += offset;
    word
}

fn duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / u64::from(SAMPLE_RATE))
}
