//! The functions of libespeak-ng that are called, found at run time, and the audio and events that it hands back.
//!
//! The library keeps one state a process and is not safe to use from two threads: a [`Library`] is used by who holds the
//! lock of [`Espeak`](crate::Espeak) only. No meaning of a text or an event is here.

#![expect(
    unsafe_code,
    reason = "a C library that is opened at run time; each block says why it is sound"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_short, c_uint, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

use crate::Error;

/// Samples a second of all its audio.
pub(crate) const SAMPLE_RATE: u32 = 22_050;

/// Returns when the work is done, and calls back with audio meanwhile.
const AUDIO_OUTPUT_SYNCHRONOUS: c_int = 2;
/// The audio of a call back: how often a cancelled caller is noticed. It also bounds the events of one call back.
const BUFFER_MS: c_int = 200;
/// Events for phones, their names in IPA, and no `exit` when the data is not there.
const OPTIONS: c_int = 0x0001 | 0x0002 | 0x8000;
const CHARS_UTF8: c_uint = 1;
/// `[[` begins phones.
const PHONEMES: c_uint = 0x100;
const IPA: c_int = 2;
/// A character stands between the letters of a phone that has several: that in bits 8 to 23.
const TIE: c_int = 0x80;
/// Speaking stopped because the call back said so.
const STOPPED: c_int = 0x1000_0EFF;
/// The library's own buffer for the path of its data.
const LONGEST_PATH: usize = 140;

/// `espeak_PARAMETER`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parameter {
    /// Words a minute, 80 to 449 without a change of method.
    Rate = 1,
    /// 0 to 99, 50 is the voice's own.
    Pitch = 3,
}

/// `espeak_EVENT`, since revision 7.
#[repr(C)]
struct RawEvent {
    kind: c_int,
    _identifier: c_uint,
    /// Characters since the beginning of the text, from 1.
    position: c_int,
    length: c_int,
    _audio_ms: c_int,
    sample: c_int,
    user: *mut c_void,
    /// A number, a pointer or the name of a phone.
    id: [u8; 8],
}

/// `espeak_VOICE`.
#[repr(C)]
struct RawVoice {
    name: *const c_char,
    languages: *const c_char,
    identifier: *const c_char,
    gender: u8,
    age: u8,
    variant: u8,
    _internal: u8,
    _score: c_int,
    _spare: *mut c_void,
}

/// A voice as the library tells it.
#[derive(Debug, Clone)]
pub(crate) struct ListedVoice {
    pub(crate) name: String,
    pub(crate) identifier: String,
    /// With their priority; lower is better.
    pub(crate) languages: Vec<(u8, String)>,
    /// 1 male, 2 female.
    pub(crate) gender: u8,
}

/// What happens in the audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// Characters since the beginning of the text, from 0.
    pub(crate) character: usize,
    /// Samples since the beginning of the audio.
    pub(crate) sample: usize,
}

/// Kinds of events; the others are of no use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// A word begins.
    Word,
    /// A phone begins; an empty name is a pause.
    Phone(String),
    /// A clause is over.
    End,
}

/// All audio of a call and what happens in it.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) samples: Vec<i16>,
    pub(crate) events: Vec<Event>,
}

type Callback = unsafe extern "C" fn(*mut c_short, c_int, *mut RawEvent) -> c_int;

/// libespeak-ng, open, with its data loaded. It is never closed.
pub(crate) struct Library {
    pub(crate) version: String,
    list_voices: unsafe extern "C" fn(*mut RawVoice) -> *const *const RawVoice,
    set_voice: unsafe extern "C" fn(*const c_char) -> c_int,
    set_parameter: unsafe extern "C" fn(c_int, c_int, c_int) -> c_int,
    synth: unsafe extern "C" fn(
        *const c_void,
        usize,
        c_uint,
        c_int,
        c_uint,
        c_uint,
        *mut c_uint,
        *mut c_void,
    ) -> c_int,
    text_to_phonemes: unsafe extern "C" fn(*mut *const c_void, c_int, c_int) -> *const c_char,
    // The functions live as long as this.
    _library: libloading::Library,
}

/// What the call back fills.
struct Collector<'a> {
    rendered: Rendered,
    cancelled: &'a dyn Fn() -> bool,
}

// === impl Library ===

impl Library {
    /// Opens the library and loads its data. Once a process.
    pub(crate) fn open(path: &Path, data: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Unusable {
            path: path.to_owned(),
            source,
        };
        // SAFETY: the library runs no code of note when opened, and is never closed.
        let library = unsafe { libloading::Library::new(path) }.map_err(unusable)?;
        /// Finds a function; its type is that of what it goes to.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the signature is the one of speak_lib.h since revision 9.
                *unsafe { library.get($name) }.map_err(unusable)?
            };
        }
        let info: unsafe extern "C" fn(*mut *const c_char) -> *const c_char = function!("espeak_Info");
        let initialize: unsafe extern "C" fn(c_int, c_int, *const c_char, c_int) -> c_int =
            function!("espeak_Initialize");
        let set_callback: unsafe extern "C" fn(Callback) = function!("espeak_SetSynthCallback");
        let opened = Self {
            // SAFETY: a null pointer says that the path of the data is not wanted; the text is static.
            version: unsafe { text(info(ptr::null_mut())) },
            list_voices: function!("espeak_ListVoices"),
            set_voice: function!("espeak_SetVoiceByName"),
            set_parameter: function!("espeak_SetParameter"),
            synth: function!("espeak_Synth"),
            text_to_phonemes: function!("espeak_TextToPhonemes"),
            _library: library,
        };
        let folder = c_path(data)?;
        // SAFETY: the path is a string that outlives the call; nothing of the library runs yet.
        let rate = unsafe { initialize(AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MS, folder.as_ptr(), OPTIONS) };
        if rate != SAMPLE_RATE as c_int {
            return Err(Error::Data {
                path: data.to_owned(),
                problem: "its phones could not be loaded, or are of another version",
            });
        }
        // SAFETY: the function has the type of `t_espeak_callback` and lives for ever.
        unsafe { set_callback(collect) };
        Ok(opened)
    }

    /// The voices, without variants and those of MBROLA.
    pub(crate) fn voices(&self) -> Vec<ListedVoice> {
        // SAFETY: a null pointer asks for all; the list ends with a null pointer and lives until the next call.
        unsafe {
            let mut list = Vec::new();
            let mut next = (self.list_voices)(ptr::null_mut());
            while !next.is_null() && !(*next).is_null() {
                list.push(listed(&**next));
                next = next.add(1);
            }
            list
        }
    }

    /// Speaks with this voice from now on. `name` must be one of [`voices`](Self::voices), with `+` and a variant of
    /// its data or without: after a name that it does not know, the library may crash.
    pub(crate) fn set_voice(&self, name: &str) -> Result<(), Error> {
        let c_name = CString::new(name).map_err(|_| Error::Voice(name.to_owned()))?;
        // SAFETY: the string outlives the call, which copies it.
        match unsafe { (self.set_voice)(c_name.as_ptr()) } {
            0 => Ok(()),
            _ => Err(Error::Voice(name.to_owned())),
        }
    }

    /// Sets a parameter from now on; a change of voice keeps it.
    pub(crate) fn set(&self, parameter: Parameter, value: i32) -> Result<(), Error> {
        // SAFETY: plain numbers, in the range of the parameter.
        called("espeak_SetParameter", unsafe {
            (self.set_parameter)(parameter as c_int, value, 0)
        })
    }

    /// Speaks a text with the voice that was set.
    pub(crate) fn synthesize(
        &self,
        text: &CStr,
        with_phones: bool,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Rendered, Error> {
        let mut collector = Collector {
            rendered: Rendered::default(),
            cancelled,
        };
        let flags = CHARS_UTF8 | if with_phones { PHONEMES } else { 0 };
        // SAFETY: the text and the collector outlive the call, which returns when it has called back for the last time;
        // only the call back uses the collector meanwhile.
        let code = unsafe {
            (self.synth)(
                text.as_ptr().cast(),
                text.count_bytes() + 1,
                0,
                1,
                0,
                flags,
                ptr::null_mut(),
                (&raw mut collector).cast(),
            )
        };
        if cancelled() {
            return Err(Error::Cancelled);
        }
        // espeak_Synth tells all faults as -1, the stop among them.
        if code != 0 && code != STOPPED {
            return Err(Error::Call {
                function: "espeak_Synth",
                code,
            });
        }
        Ok(collector.rendered)
    }

    /// The phones of the next clause of a text in IPA, how many bytes were read, and whether that was all. The clause may
    /// begin before the text, with the character that the call before read ahead; and end before what was read. `tie` is put between the letters of a
    /// phone that has several.
    pub(crate) fn phonemes(&self, rest: &CStr, tie: Option<char>) -> Result<(String, usize, bool), Error> {
        let mode = tie.map_or(IPA, |tie| IPA | TIE | ((tie as c_int) << 8));
        let begin: *const c_void = rest.as_ptr().cast();
        let mut next = begin;
        // SAFETY: the text outlives the call, which moves `next` on within it, or makes it null at its end; the result
        // lives until the next call.
        let ipa = unsafe {
            let phonemes = (self.text_to_phonemes)(&raw mut next, CHARS_UTF8 as c_int, mode);
            if phonemes.is_null() {
                return Err(Error::Call {
                    function: "espeak_TextToPhonemes",
                    code: -1,
                });
            }
            text(phonemes)
        };
        let all = rest.count_bytes();
        if next.is_null() {
            return Ok((ipa, all, true));
        }
        let read = (next as usize).wrapping_sub(begin as usize);
        if read > all {
            return Err(Error::Call {
                function: "espeak_TextToPhonemes",
                code: -2,
            });
        }
        Ok((ipa, read, false))
    }
}

/// Takes the audio and events of a part. 1 stops.
unsafe extern "C" fn collect(wav: *mut c_short, count: c_int, events: *mut RawEvent) -> c_int {
    if events.is_null() {
        return 0;
    }
    let mut next = events;
    // SAFETY: the list of events ends with one of kind 0, and each names what was given to `espeak_Synth`: a collector
    // that lives until that call returns, and that nothing else uses meanwhile.
    let collector = unsafe {
        let user = (*next).user.cast::<Collector<'_>>();
        let Some(collector) = user.as_mut() else {
            return 1;
        };
        while (*next).kind != 0 {
            if let Some(event) = told(&*next) {
                collector.rendered.events.push(event);
            }
            next = next.add(1);
        }
        collector
    };
    let count = usize::try_from(count).unwrap_or_default();
    if !wav.is_null() && count > 0 {
        // SAFETY: the library says that there are `count` samples.
        let samples = unsafe { std::slice::from_raw_parts(wav, count) };
        collector.rendered.samples.extend_from_slice(samples);
    }
    c_int::from((collector.cancelled)())
}

fn told(raw: &RawEvent) -> Option<Event> {
    let kind = match raw.kind {
        1 => EventKind::Word,
        5 => EventKind::End,
        7 => EventKind::Phone(symbol(&raw.id)),
        _ => return None,
    };
    Some(Event {
        kind,
        character: usize::try_from(raw.position)
            .unwrap_or_default()
            .saturating_sub(1),
        sample: usize::try_from(raw.sample).unwrap_or_default(),
    })
}

/// The name of a phone: up to eight bytes, or to a zero. A longer one may be cut in the middle of a letter.
fn symbol(bytes: &[u8; 8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let name = match std::str::from_utf8(&bytes[..end]) {
        Ok(name) => name,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    name.trim().to_owned()
}

/// # Safety
/// The voice must be one of a list that is still valid.
unsafe fn listed(voice: &RawVoice) -> ListedVoice {
    let mut languages = Vec::new();
    let mut next = voice.languages.cast::<u8>();
    // SAFETY: pairs of a priority and a string, ended by a priority of 0.
    unsafe {
        while !next.is_null() && *next != 0 {
            let name = CStr::from_ptr(next.add(1).cast());
            languages.push((*next, name.to_string_lossy().into_owned()));
            next = next.add(1 + name.count_bytes() + 1);
        }
    }
    ListedVoice {
        // SAFETY: strings of the list.
        name: unsafe { text(voice.name) },
        // SAFETY: as above.
        identifier: unsafe { text(voice.identifier) },
        languages,
        gender: voice.gender,
    }
}

/// # Safety
/// Null, or a string that is valid for the call.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's word.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

fn called(function: &'static str, code: c_int) -> Result<(), Error> {
    if code == 0 {
        Ok(())
    } else {
        Err(Error::Call { function, code })
    }
}

/// The folder that holds `espeak-ng-data`, as the library wants it.
fn c_path(data: &Path) -> Result<CString, Error> {
    let problem = |problem| Error::Data {
        path: PathBuf::from(data),
        problem,
    };
    let bytes = data.as_os_str().as_encoded_bytes();
    if bytes.len() > LONGEST_PATH {
        return Err(problem(
            "the path is longer than the 140 bytes that the library can keep",
        ));
    }
    CString::new(bytes).map_err(|_| problem("the path has a NUL byte in it"))
}
