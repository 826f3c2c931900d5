//! The functions of libpocketsphinx 3 and libsphinxbase 3 (Debian's 0.8+5prealpha) that the engine calls, found at run
//! time, behind types that keep their rules. No search parameter and no meaning of a word is here.
//!
//! Not libpocketsphinx 5 of PyPI, whose functions have other signatures.

#![expect(
    unsafe_code,
    reason = "a C library that is opened at run time; each block says why it is sound"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

/// Frames that go through the search in one call: how often a cancelled caller is noticed, in units of 10 ms.
pub(super) const BLOCK: usize = 10;

/// What can go wrong between us and the library.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A library is not on this machine.
    #[error("{name} cannot be opened; `apt-get install libpocketsphinx3 pocketsphinx-en-us` brings it")]
    Missing {
        /// Its file name.
        name: &'static str,
        /// What the loader says.
        source: libloading::Error,
    },
    /// A library lacks a function, so it is another version.
    #[error("libpocketsphinx has no {function}; the engine needs Debian's libpocketsphinx3 0.8+5prealpha")]
    Version {
        /// The function.
        function: &'static str,
        /// What the loader says.
        source: libloading::Error,
    },
    /// A path or option has a NUL byte.
    #[error("an option has a NUL byte in it")]
    Nul(#[from] std::ffi::NulError),
    /// The decoder cannot be made of these files.
    #[error("the decoder refuses its model files; `polyphony models list` shows whether they are whole")]
    Model,
    /// A call failed in the middle of an utterance.
    #[error("{0} failed")]
    Call(&'static str),
}

/// The two libraries, open, and the functions in them.
pub(super) struct Sphinx {
    ps_args: unsafe extern "C" fn() -> *const c_void,
    ps_init: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    ps_free: unsafe extern "C" fn(*mut c_void) -> c_int,
    ps_get_config: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    ps_start_utt: unsafe extern "C" fn(*mut c_void) -> c_int,
    ps_process_cep: unsafe extern "C" fn(*mut c_void, *mut *mut f32, c_int, c_int, c_int) -> c_int,
    ps_end_utt: unsafe extern "C" fn(*mut c_void) -> c_int,
    ps_seg_iter: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    ps_seg_next: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    ps_seg_word: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    ps_seg_frames: unsafe extern "C" fn(*mut c_void, *mut c_int, *mut c_int),
    cmd_ln_parse_r:
        unsafe extern "C" fn(*mut c_void, *const c_void, i32, *mut *mut c_char, i32) -> *mut c_void,
    cmd_ln_free_r: unsafe extern "C" fn(*mut c_void) -> c_int,
    fe_init_auto_r: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    fe_free: unsafe extern "C" fn(*mut c_void) -> c_int,
    fe_get_output_size: unsafe extern "C" fn(*mut c_void) -> c_int,
    fe_start_stream: unsafe extern "C" fn(*mut c_void),
    fe_start_utt: unsafe extern "C" fn(*mut c_void) -> c_int,
    fe_process_frames: unsafe extern "C" fn(
        *mut c_void,
        *mut *const i16,
        *mut usize,
        *mut *mut f32,
        *mut i32,
        *mut i32,
    ) -> c_int,
    fe_end_utt: unsafe extern "C" fn(*mut c_void, *mut f32, *mut i32) -> c_int,
    // The functions live as long as these.
    _sphinx: Library,
    _base: Library,
}

/// A word of a hypothesis as the decoder tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawWord {
    /// With the decoder's marks in it: `<sil>`, `[NOISE]`, `the(2)`.
    pub(super) text: String,
    /// The first frame of 10 ms.
    pub(super) first: u64,
    /// The last frame.
    pub(super) last: u64,
}

/// One decoder and the front end that computes its features. Used by one thread at a time.
pub(super) struct Decoder {
    library: Arc<Sphinx>,
    decoder: NonNull<c_void>,
    front: NonNull<c_void>,
    width: usize,
    open: bool,
}

// SAFETY: the library keeps no thread-local state in a decoder or front end; `&mut self` keeps threads apart.
unsafe impl Send for Decoder {}

/// Making a front end writes to variables of the library (`fe_warp_*.c`), so it is done by one thread at a time.
static MAKING: Mutex<()> = Mutex::new(());

// === impl Sphinx ===

impl Sphinx {
    /// Opens both libraries and silences their log.
    pub(super) fn open() -> Result<Arc<Self>, Error> {
        let library = |name: &'static str| {
            // SAFETY: Debian's libraries run no code of note when opened, and nothing when closed.
            unsafe { Library::new(name) }.map_err(|source| Error::Missing { name, source })
        };
        let base = library("libsphinxbase.so.3")?;
        let sphinx = library("libpocketsphinx.so.3")?;
        /// Finds a function; its type is that of the field it goes to.
        macro_rules! function {
            ($library:ident, $name:literal) => {
                // SAFETY: the signature is the one of the header of this version.
                *unsafe { $library.get($name) }.map_err(|source| Error::Version {
                    function: $name,
                    source,
                })?
            };
        }
        let silence: unsafe extern "C" fn(*mut c_void) = function!(base, "err_set_logfp");
        // SAFETY: a null stream is how the header says to turn logging off.
        unsafe { silence(ptr::null_mut()) };
        Ok(Arc::new(Self {
            ps_args: function!(sphinx, "ps_args"),
            ps_init: function!(sphinx, "ps_init"),
            ps_free: function!(sphinx, "ps_free"),
            ps_get_config: function!(sphinx, "ps_get_config"),
            ps_start_utt: function!(sphinx, "ps_start_utt"),
            ps_process_cep: function!(sphinx, "ps_process_cep"),
            ps_end_utt: function!(sphinx, "ps_end_utt"),
            ps_seg_iter: function!(sphinx, "ps_seg_iter"),
            ps_seg_next: function!(sphinx, "ps_seg_next"),
            ps_seg_word: function!(sphinx, "ps_seg_word"),
            ps_seg_frames: function!(sphinx, "ps_seg_frames"),
            cmd_ln_parse_r: function!(base, "cmd_ln_parse_r"),
            cmd_ln_free_r: function!(base, "cmd_ln_free_r"),
            fe_init_auto_r: function!(base, "fe_init_auto_r"),
            fe_free: function!(base, "fe_free"),
            fe_get_output_size: function!(base, "fe_get_output_size"),
            fe_start_stream: function!(base, "fe_start_stream"),
            fe_start_utt: function!(base, "fe_start_utt"),
            fe_process_frames: function!(base, "fe_process_frames"),
            fe_end_utt: function!(base, "fe_end_utt"),
            _sphinx: sphinx,
            _base: base,
        }))
    }
}

// === impl Decoder ===

impl Decoder {
    /// A decoder with these options, as on the command line of `pocketsphinx_batch`. Reads the model: a quarter of a
    /// second and 94 MB for US English.
    pub(super) fn new(library: &Arc<Sphinx>, options: &[String]) -> Result<Self, Error> {
        let options = options
            .iter()
            .map(|option| CString::new(option.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*mut c_char> =
            options.iter().map(|option| option.as_ptr().cast_mut()).collect();
        let count = i32::try_from(pointers.len()).map_err(|_| Error::Call("cmd_ln_parse_r"))?;
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the strings outlive the call, which copies them; unknown options are skipped (strict = 0).
        let config = unsafe {
            (library.cmd_ln_parse_r)(
                ptr::null_mut(),
                (library.ps_args)(),
                count,
                pointers.as_mut_ptr(),
                0,
            )
        };
        if config.is_null() {
            return Err(Error::Model);
        }
        // SAFETY: `config` is valid; ps_init takes a reference of its own, so ours is given back.
        let decoder = unsafe {
            let decoder = (library.ps_init)(config);
            (library.cmd_ln_free_r)(config);
            decoder
        };
        let decoder = NonNull::new(decoder).ok_or(Error::Model)?;
        // SAFETY: the decoder and its options are valid; the front end takes a reference of its own to them.
        let front = unsafe { (library.fe_init_auto_r)((library.ps_get_config)(decoder.as_ptr())) };
        let Some(front) = NonNull::new(front) else {
            // SAFETY: valid, and not used again.
            unsafe { (library.ps_free)(decoder.as_ptr()) };
            return Err(Error::Model);
        };
        // SAFETY: the front end is valid.
        let width = unsafe { (library.fe_get_output_size)(front.as_ptr()) };
        Ok(Self {
            library: Arc::clone(library),
            decoder,
            front,
            width: usize::try_from(width).unwrap_or_default().max(1),
            open: false,
        })
    }

    /// Values in a frame of features.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Begins an utterance; nothing of the one before is left.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        // SAFETY: both are valid. Starting the stream anew forgets the noise that was tracked before.
        let (front, search) = unsafe {
            (self.library.fe_start_stream)(self.front.as_ptr());
            (
                (self.library.fe_start_utt)(self.front.as_ptr()),
                (self.library.ps_start_utt)(self.decoder.as_ptr()),
            )
        };
        if front < 0 || search < 0 {
            return Err(Error::Call("ps_start_utt"));
        }
        self.open = true;
        Ok(())
    }

    /// Computes features of the next samples and appends whole frames of [`width`](Self::width) values to `out`.
    pub(super) fn features(&mut self, samples: &[i16], out: &mut Vec<f32>) -> Result<(), Error> {
        let mut next = samples.as_ptr();
        let mut left = samples.len();
        let mut block = vec![0.0_f32; BLOCK * self.width];
        while left > 0 {
            let mut rows: Vec<*mut f32> = block
                .chunks_exact_mut(self.width)
                .map(<[f32]>::as_mut_ptr)
                .collect();
            let mut frames = BLOCK as i32;
            // SAFETY: `next` and `left` describe what is left of `samples`, which the call moves on in step; `rows`
            // holds BLOCK rows of `width` values, and `frames` says so.
            let result = unsafe {
                (self.library.fe_process_frames)(
                    self.front.as_ptr(),
                    &raw mut next,
                    &raw mut left,
                    rows.as_mut_ptr(),
                    &raw mut frames,
                    ptr::null_mut(),
                )
            };
            if result < 0 {
                return Err(Error::Call("fe_process_frames"));
            }
            let frames = usize::try_from(frames).unwrap_or_default().min(BLOCK);
            out.extend_from_slice(&block[..frames * self.width]);
            if frames == 0 {
                break; // What is left is less than a frame and was kept inside.
            }
        }
        Ok(())
    }

    /// Appends the last frame, if what was kept inside makes one.
    pub(super) fn last_features(&mut self, out: &mut Vec<f32>) -> Result<(), Error> {
        let mut row = vec![0.0_f32; self.width];
        let mut frames = 0_i32;
        // SAFETY: `row` holds one frame, which is the most that is written.
        let result =
            unsafe { (self.library.fe_end_utt)(self.front.as_ptr(), row.as_mut_ptr(), &raw mut frames) };
        if result < 0 {
            return Err(Error::Call("fe_end_utt"));
        }
        if frames > 0 {
            out.extend_from_slice(&row);
        }
        Ok(())
    }

    /// Searches on with whole frames of features.
    pub(super) fn search(&mut self, features: &mut [f32]) -> Result<(), Error> {
        let mut rows: Vec<*mut f32> = features
            .chunks_exact_mut(self.width)
            .map(<[f32]>::as_mut_ptr)
            .collect();
        let count = i32::try_from(rows.len()).map_err(|_| Error::Call("ps_process_cep"))?;
        // SAFETY: `rows` holds `count` rows of `width` values; the call reads them and keeps none.
        let result =
            unsafe { (self.library.ps_process_cep)(self.decoder.as_ptr(), rows.as_mut_ptr(), count, 0, 0) };
        if result < 0 {
            return Err(Error::Call("ps_process_cep"));
        }
        Ok(())
    }

    /// Ends the utterance: the second and third pass run here. Its words can be read until the next begins.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if !self.open {
            return Ok(());
        }
        self.open = false;
        // SAFETY: valid, and an utterance is open.
        if unsafe { (self.library.ps_end_utt)(self.decoder.as_ptr()) } < 0 {
            return Err(Error::Call("ps_end_utt"));
        }
        Ok(())
    }

    /// The words of the best hypothesis so far.
    pub(super) fn words(&mut self) -> Vec<RawWord> {
        let mut words = Vec::new();
        // SAFETY: valid; the iterator is null at the end, and `ps_seg_next` frees it when it gives null.
        unsafe {
            let mut segment = (self.library.ps_seg_iter)(self.decoder.as_ptr());
            while !segment.is_null() {
                let (mut first, mut last) = (0, 0);
                (self.library.ps_seg_frames)(segment, &raw mut first, &raw mut last);
                let text = (self.library.ps_seg_word)(segment);
                if !text.is_null() {
                    words.push(RawWord {
                        text: CStr::from_ptr(text).to_string_lossy().into_owned(),
                        first: u64::try_from(first).unwrap_or_default(),
                        last: u64::try_from(last).unwrap_or_default(),
                    });
                }
                segment = (self.library.ps_seg_next)(segment);
            }
        }
        words
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: both are valid and not used again. The front end holds its own reference to the options.
        unsafe {
            (self.library.fe_free)(self.front.as_ptr());
            (self.library.ps_free)(self.decoder.as_ptr());
        }
    }
}
