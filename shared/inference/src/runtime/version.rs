//! Asks the library for its version: the one call that the binding does not offer.
#![expect(unsafe_code, reason = "a call into the library through its C entry point")]

use std::ffi::CStr;
use std::path::Path;

use ort::sys::OrtApiBase;

/// The version of a library that is open already.
pub(super) fn of(path: &Path) -> Result<String, libloading::Error> {
    // SAFETY: the library is open already, so this only counts a reference and runs no initialiser.
    let library = unsafe { libloading::Library::new(path) }?;
    // SAFETY: `OrtGetApiBase` has this signature in every release (onnxruntime_c_api.h).
    let entry = unsafe { library.get::<unsafe extern "C" fn() -> *const OrtApiBase>(b"OrtGetApiBase\0") }?;
    // SAFETY: it takes nothing and returns a pointer to a static, never null.
    let base = unsafe { &*entry() };
    // SAFETY: returns a pointer to a static string that ends in NUL.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) };
    Ok(version.to_string_lossy().into_owned())
}
