//! The library as its users see it: open it, ask it for voices, speech and phones. One caller at a time is let in.

use std::ffi::CStr;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ffi::{Library, Parameter};
use crate::ipa::Alphabets;
use crate::phonemes::{self, PhoneClause};
use crate::text::{self, Mnemonics, Part, Pronunciation};
use crate::voices::{self, Voice};
use crate::{Error, Speech};

/// espeak-ng, open. Cheap to clone; all clones are the one of the process.
#[derive(Clone)]
pub struct Espeak {
    inner: Arc<Inner>,
}

/// A text and how its words are said.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// At most 1 MiB; plain text, nothing in it is a command.
    pub text: &'a str,
    /// Stretches that are said in another way than they are written, in order and without overlap.
    pub pronunciations: &'a [Pronunciation],
}

/// How to speak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How fast, as a share of the voice's own speed. Honoured from 0.46 to 2.56 ([`Settings::RATES`]); what is beyond
    /// counts as the nearest.
    pub rate: f32,
    /// How much higher, in semitones, -12 to 12; what is beyond counts as the nearest.
    pub pitch: f32,
}

struct Inner {
    data: PathBuf,
    voices: Vec<Voice>,
    version: String,
    locked: Mutex<Locked>,
}

/// What only one caller at a time may use.
struct Locked {
    library: Library,
    alphabets: Alphabets,
}

/// The one of the process.
static OPEN: Mutex<Option<Espeak>> = Mutex::new(None);

/// The voice's own speed in words a minute, its slowest, and its fastest without another method of its own.
const WORDS_A_MINUTE: (f32, f32, f32) = (175.0, 80.0, 449.0);

// === impl Espeak ===

impl Espeak {
    /// Opens the library and the data of a folder that has both, as the wheel espeakng-loader (`libespeak-ng.so.1` or
    /// `libespeak-ng.so`, and `espeak-ng-data`). Opened once a process: a second call with the same folder is free.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Unusable`], [`Error::Data`]; [`Error::Elsewhere`] if another folder came first.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let names = ["libespeak-ng.so.1", "libespeak-ng.so", "libespeak-ng.dylib"];
        let library = names
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file());
        let library = library.ok_or_else(|| Error::Missing {
            tried: folder.display().to_string(),
        })?;
        Self::open_files(&library, folder)
    }

    /// Opens a library with the data in `folder/espeak-ng-data`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_files(library: &Path, folder: &Path) -> Result<Self, Error> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = open.as_ref() {
            return if opened.inner.data == folder {
                Ok(opened.clone())
            } else {
                Err(Error::Elsewhere {
                    path: opened.inner.data.clone(),
                })
            };
        }
        if !folder.join("espeak-ng-data/phontab").is_file() {
            return Err(Error::Data {
                path: folder.to_owned(),
                problem: "it has no espeak-ng-data/phontab",
            });
        }
        let library = Library::open(library, folder)?;
        let voices: Vec<Voice> = library.voices().into_iter().map(Voice::of).collect();
        tracing::info!(
            version = library.version,
            voices = voices.len(),
            "opened espeak-ng"
        );
        let inner = Inner {
            data: folder.to_owned(),
            version: library.version.clone(),
            voices,
            locked: Mutex::new(Locked {
                library,
                alphabets: Alphabets::default(),
            }),
        };
        let espeak = Self {
            inner: Arc::new(inner),
        };
        *open = Some(espeak.clone());
        Ok(espeak)
    }

    /// Its version, as "1.52.0".
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// Its voices, without variants.
    pub fn voices(&self) -> &[Voice] {
        &self.inner.voices
    }

    /// The voice of a name as the library knows it ("en-us", "gmw/en-US", "English (America)"), with one of
    /// [`VARIANTS`](crate::VARIANTS) behind a "+" or without.
    pub fn voice(&self, name: &str) -> Option<Voice> {
        voices::named(&self.inner.voices, name)
    }

    /// The voice that speaks a language, a BCP-47 tag: of the region if there is one, else of the language.
    pub fn voice_for(&self, language: &str) -> Option<&Voice> {
        voices::speaking(&self.inner.voices, language)
    }

    /// Speaks a text part by part: `each` gets about a sentence at a time, with byte ranges in the whole text and times
    /// from the beginning of its own audio, and stops it by breaking. Nothing is held while it runs.
    ///
    /// The same text does not give the same audio twice: the library lets the pitch flutter, from where it last stopped.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Voice`], [`Error::Pronunciation`], [`Error::Call`]; [`Error::Cancelled`] within 0.2 s
    /// of audio after `cancelled` says so.
    pub fn speak(
        &self,
        voice: &Voice,
        script: Script<'_>,
        settings: Settings,
        cancelled: &dyn Fn() -> bool,
        mut each: impl FnMut(Speech) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let text = checked(script.text)?;
        let said = self.mnemonics(voice, script)?;
        for range in text::parts(text, &said) {
            let part = Part::new(text, range, &said);
            let rendered = {
                let locked = self.lock();
                locked.library.set_voice(&voice.identifier)?;
                locked.library.set(Parameter::Rate, settings.words_a_minute())?;
                locked.library.set(Parameter::Pitch, settings.pitch_value())?;
                locked
                    .library
                    .synthesize(&part.spoken, part.with_phones, cancelled)?
            };
            if each(Speech::of(text, &part, rendered)).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Speaks a text whole: about 3 kB of audio a character. As [`speak`](Self::speak).
    ///
    /// # Errors
    /// As [`speak`](Self::speak).
    pub fn render(
        &self,
        voice: &Voice,
        script: Script<'_>,
        settings: Settings,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Speech, Error> {
        let mut whole = Speech::default();
        self.speak(voice, script, settings, cancelled, |part| {
            whole.append(part);
            ControlFlow::Continue(())
        })?;
        Ok(whole)
    }

    /// A text as phones, clause by clause. Every clause of the text is in it, also one that is not spoken. `tie`, if any, is
    /// put between the letters of phones that have several ("a^ɪ"), so that they are told from two phones.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Voice`], [`Error::Call`].
    pub fn phonemes(&self, voice: &Voice, text: &str, tie: Option<char>) -> Result<Vec<PhoneClause>, Error> {
        let text = checked(text)?;
        let mut clauses = Vec::new();
        for range in text::parts(text, &[]) {
            self.phonemes_of(voice, &Part::new(text, range, &[]), tie, &mut clauses)?;
        }
        Ok(clauses)
    }

    fn phonemes_of(
        &self,
        voice: &Voice,
        part: &Part,
        tie: Option<char>,
        clauses: &mut Vec<PhoneClause>,
    ) -> Result<(), Error> {
        // Nothing that was cleaned changed its number of characters, so they can be counted.
        let spoken = part.spoken.to_str().unwrap_or_default();
        let locked = self.lock();
        locked.library.set_voice(&voice.identifier)?;
        // What an earlier call read ahead is forgotten when a text begins to be spoken.
        locked.library.synthesize(c" ", false, &|| false)?;
        let bytes = part.spoken.as_bytes_with_nul();
        let (mut read, mut begin, mut done, mut idle) = (0, 0, false, 0);
        // Each call reads on; one may find all read and speak what the one before read ahead.
        while !done && idle < 2 {
            let rest = CStr::from_bytes_with_nul(&bytes[read..]).unwrap_or_default();
            let (ipa, count, last) = locked.library.phonemes(rest, tie)?;
            (done, idle) = (last, if count == 0 { idle + 1 } else { 0 });
            read = spoken.ceil_char_boundary(read + count);
            let ending = phonemes::ending(&spoken[begin..], read - begin, done);
            let end = begin + ending.end;
            let origin = |at: usize| part.origin(spoken[..at].chars().count());
            clauses.push(PhoneClause {
                ipa,
                range: origin(begin)..origin(end),
                terminator: ending.terminator,
                ends_sentence: ending.ends_sentence,
            });
            begin = end;
        }
        Ok(())
    }

    /// The pronunciations in the letters of the library.
    fn mnemonics(&self, voice: &Voice, script: Script<'_>) -> Result<Vec<Mnemonics>, Error> {
        let mut said = Vec::new();
        if script.pronunciations.is_empty() {
            return Ok(said);
        }
        let mut locked = self.lock();
        let Locked { library, alphabets } = &mut *locked;
        let alphabet = alphabets.of(library, &self.inner.data, voice)?;
        for pronunciation in script.pronunciations {
            let Range { start, end } = pronunciation.range;
            if script.text.get(start..end).is_none_or(str::is_empty) {
                continue;
            }
            let letters = alphabet
                .spell(&pronunciation.ipa)
                .map_err(|symbol| Error::Pronunciation {
                    voice: voice.identifier.clone(),
                    symbol,
                    pronunciation: pronunciation.ipa.clone(),
                })?;
            said.push(Mnemonics {
                range: start..end,
                letters,
            });
        }
        Ok(said)
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.inner.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Espeak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Espeak")
            .field("version", &self.inner.version)
            .field("data", &self.inner.data)
            .finish_non_exhaustive()
    }
}

fn checked(text: &str) -> Result<&str, Error> {
    if text.len() > text::LONGEST {
        return Err(Error::TooLong {
            bytes: text.len(),
            most: text::LONGEST,
        });
    }
    Ok(text)
}

// === impl Script ===

impl<'a> Script<'a> {
    /// A text that is said as it is written.
    pub const fn plain(text: &'a str) -> Self {
        Self {
            text,
            pronunciations: &[],
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The slowest and the fastest rate that are honoured.
    pub const RATES: (f32, f32) = (
        WORDS_A_MINUTE.1 / WORDS_A_MINUTE.0,
        WORDS_A_MINUTE.2 / WORDS_A_MINUTE.0,
    );

    fn words_a_minute(self) -> i32 {
        let (normal, slowest, fastest) = WORDS_A_MINUTE;
        (normal * self.rate).clamp(slowest, fastest).round() as i32
    }

    /// The library's scale doubles from 50 to 100, and halves to 0.
    fn pitch_value(self) -> i32 {
        (50.0 + self.pitch * 50.0 / 12.0).clamp(0.0, 99.0).round() as i32
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: 1.0,
            pitch: 0.0,
        }
    }
}
