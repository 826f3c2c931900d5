//! The functions of libmp3lame 3.98 to 3.100 that are called, found at run time, behind a type that keeps their rules.
//! LGPL: opened, never linked.

#![expect(
    unsafe_code,
    reason = "a C library that is opened at run time; each block says why it is sound"
)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

use crate::encode::Error;

const LIBRARY: &str = "libmp3lame.so.0";
const PACKAGE: &str = "libmp3lame0";
/// `MONO` and `JOINT_STEREO` of `MPEG_mode`.
const MONO: c_int = 3;
const JOINT_STEREO: c_int = 1;
/// What a flush may give (`lame.h`): the rest of the input, a bit reservoir and a tag.
const FLUSH_BYTES: usize = 7_200 + 4 * 1_152;
/// The largest frame of MP3, 320 kbit/s at 32 kHz, and some; the tag is one frame.
const TAG_BYTES: usize = 2_880;

type Handle = *mut c_void;
/// A function for messages, which takes a `va_list`; only null is passed.
type Report = Option<unsafe extern "C" fn(*const c_char, *mut c_void)>;
type SetInt = unsafe extern "C" fn(Handle, c_int) -> c_int;
type SetReport = unsafe extern "C" fn(Handle, Report) -> c_int;

/// One encoder. Used by one thread at a time.
pub(super) struct Lame {
    handle: NonNull<c_void>,
    functions: Arc<Functions>,
}

/// The library, open, and the functions in it.
pub(super) struct Functions {
    init: unsafe extern "C" fn() -> Handle,
    close: unsafe extern "C" fn(Handle) -> c_int,
    set_errorf: SetReport,
    set_debugf: SetReport,
    set_msgf: SetReport,
    set_num_channels: SetInt,
    set_in_samplerate: SetInt,
    set_out_samplerate: SetInt,
    set_brate: SetInt,
    set_mode: SetInt,
    set_tag: SetInt,
    init_params: unsafe extern "C" fn(Handle) -> c_int,
    encode: unsafe extern "C" fn(Handle, *const f32, *const f32, c_int, *mut u8, c_int) -> c_int,
    flush: unsafe extern "C" fn(Handle, *mut u8, c_int) -> c_int,
    tag: unsafe extern "C" fn(Handle, *mut u8, usize) -> usize,
    // The functions live as long as this.
    _library: Library,
}

// SAFETY: an encoder has no thread-local state; `&mut self` keeps threads apart.
unsafe impl Send for Lame {}

/// The library, once it could be opened.
static OPENED: Mutex<Option<Arc<Functions>>> = Mutex::new(None);
/// Encoders are made by one thread at a time.
static MAKING: Mutex<()> = Mutex::new(());

// === impl Functions ===

impl Functions {
    fn open(library: &'static str) -> Result<Self, Error> {
        let missing = |source| Error::Missing {
            library,
            package: PACKAGE,
            source,
        };
        // SAFETY: libmp3lame runs no code when it is opened or closed.
        let library = unsafe { Library::new(library) }.map_err(missing)?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the types are those of `lame.h`, which has not changed them since 3.98.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }.map_err(missing)?
            };
        }
        Ok(Self {
            init: function!("lame_init"),
            close: function!("lame_close"),
            set_errorf: function!("lame_set_errorf"),
            set_debugf: function!("lame_set_debugf"),
            set_msgf: function!("lame_set_msgf"),
            set_num_channels: function!("lame_set_num_channels"),
            set_in_samplerate: function!("lame_set_in_samplerate"),
            set_out_samplerate: function!("lame_set_out_samplerate"),
            set_brate: function!("lame_set_brate"),
            set_mode: function!("lame_set_mode"),
            set_tag: function!("lame_set_bWriteVbrTag"),
            init_params: function!("lame_init_params"),
            encode: function!("lame_encode_buffer_ieee_float"),
            flush: function!("lame_encode_flush"),
            tag: function!("lame_get_lametag_frame"),
            _library: library,
        })
    }
}

// === impl Lame ===

impl Lame {
    /// The library, opened once it is there: what is missing now may be installed later.
    pub(super) fn library() -> Result<Arc<Functions>, Error> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(functions) = &*opened {
            return Ok(Arc::clone(functions));
        }
        Ok(Arc::clone(opened.insert(Arc::new(Functions::open(LIBRARY)?))))
    }

    /// An encoder of `kilobits` a second with a tag.
    pub(super) fn open(rate: u32, channels: usize, kilobits: u32) -> Result<Self, Error> {
        let functions = Self::library()?;
        // The library fills tables that all encoders share.
        let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: takes nothing; null means no memory.
        let handle = NonNull::new(unsafe { (functions.init)() })
            .ok_or_else(|| Error::failed("lame_init gives no encoder"))?;
        let lame = Self { handle, functions };
        lame.configure(rate, channels, kilobits)?;
        Ok(lame)
    }

    fn configure(&self, rate: u32, channels: usize, kilobits: u32) -> Result<(), Error> {
        let (functions, handle) = (&*self.functions, self.handle.as_ptr());
        for set in [functions.set_errorf, functions.set_debugf, functions.set_msgf] {
            // SAFETY: the handle is live; null silences what would go to stderr.
            unsafe { set(handle, None) };
        }
        let mode = if channels == 1 { MONO } else { JOINT_STEREO };
        for (set, value) in [
            (functions.set_num_channels, channels as c_int),
            (functions.set_in_samplerate, rate as c_int),
            (functions.set_out_samplerate, rate as c_int),
            (functions.set_brate, kilobits as c_int),
            (functions.set_mode, mode),
            (functions.set_tag, 1),
        ] {
            // SAFETY: the handle is live and not in use yet.
            if unsafe { set(handle, value) } < 0 {
                return Err(Error::failed(format!("libmp3lame refuses the setting {value}")));
            }
        }
        // SAFETY: as above; called once, after all settings.
        match unsafe { (functions.init_params)(handle) } {
            ..0 => Err(Error::failed("lame_init_params refuses the settings")),
            0.. => Ok(()),
        }
    }

    /// Takes as many samples of the left as of the right side, of which mono has the left alone.
    pub(super) fn encode(&mut self, left: &[f32], right: &[f32], out: &mut Vec<u8>) -> Result<(), Error> {
        let frames = left.len().min(right.len());
        // What `lame.h` says is enough in the worst case.
        let room = frames + frames / 4 + 7_200;
        self.append(out, room, |functions, handle, at, room| {
            // SAFETY: both sides have `frames` samples and `at` has `room` bytes.
            unsafe {
                (functions.encode)(
                    handle,
                    left.as_ptr(),
                    right.as_ptr(),
                    frames as c_int,
                    at,
                    room as c_int,
                )
            }
        })
    }

    /// Appends all that is held back.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.append(out, FLUSH_BYTES, |functions, handle, at, room| {
            // SAFETY: `at` has `room` bytes.
            unsafe { (functions.flush)(handle, at, room as c_int) }
        })
    }

    /// The first frame, after the flush.
    pub(super) fn tag(&mut self) -> Result<Vec<u8>, Error> {
        let mut tag = vec![0; TAG_BYTES];
        // SAFETY: the handle is live and flushed, and the buffer has the bytes that are said.
        let len = unsafe { (self.functions.tag)(self.handle.as_ptr(), tag.as_mut_ptr(), tag.len()) };
        if len == 0 || len > tag.len() {
            return Err(Error::failed("libmp3lame gives no tag"));
        }
        tag.truncate(len);
        Ok(tag)
    }

    fn append(
        &mut self,
        out: &mut Vec<u8>,
        room: usize,
        call: impl FnOnce(&Functions, Handle, *mut u8, usize) -> c_int,
    ) -> Result<(), Error> {
        let start = out.len();
        out.resize(start + room, 0);
        let wrote = call(
            &self.functions,
            self.handle.as_ptr(),
            out[start..].as_mut_ptr(),
            room,
        );
        let wrote = usize::try_from(wrote).map_err(|_| Error::failed(format!("libmp3lame says {wrote}")));
        out.truncate(start + wrote.as_ref().map_or(0, |wrote| (*wrote).min(room)));
        wrote.map(drop)
    }
}

impl Drop for Lame {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nothing uses it after.
        unsafe { (self.functions.close)(self.handle.as_ptr()) };
    }
}

impl std::fmt::Debug for Lame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lame").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_the_error_says_how_to_get_it() {
        let error = Functions::open("libmp3lame.so.none")
            .err()
            .expect("there is no such library");
        assert_eq!(
            error.to_string(),
            "libmp3lame.so.none cannot be opened; `apt-get install libmp3lame0` brings it"
        );
    }
}
