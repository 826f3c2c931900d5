//! What the compiler cannot check: opening LibTorch's CUDA half, mapping files of weights, and what LibTorch's allocator
//! tells. Everything here is safe to call; nothing here knows what a model is.

#![expect(
    unsafe_code,
    reason = "foreign libraries and mapped files; each block says why it is sound"
)]

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io;
use std::sync::Arc;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};
use memmap2::Mmap;
use tch::{Device, Kind, Tensor};

unsafe extern "C" {
    fn polyphony_device_memory(device: i8, now: *mut i64, peak: *mut i64) -> bool;
    fn polyphony_device_size(device: i8, free: *mut u64, total: *mut u64) -> bool;
    fn polyphony_reset_peak(device: i8);
    fn polyphony_empty_cache();
    fn polyphony_map_tensors(each: bool);
    fn polyphony_trim_heap();
}

/// Opens the half of LibTorch that computes on NVIDIA GPUs, if the dynamic linker finds it. It must come before anything
/// that asks for CUDA: LibTorch looks for this half once and remembers what it found.
///
/// # Errors
///
/// What the dynamic linker says when the library is not there or does not fit.
pub(crate) fn open_cuda() -> Result<(), libloading::Error> {
    // SAFETY: the library's initialisers register its kernels with the half that is linked; that is what it is made for.
    let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) }?;
    // Its kernels are registered for the life of the process, so it is never closed.
    std::mem::forget(library);
    Ok(())
}

/// The product name of a GPU, by its index among those that are visible; none where the driver does not say.
pub(crate) fn cuda_name(index: i32) -> Option<String> {
    type DeviceGet = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type DeviceGetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    // SAFETY: the driver's library is loaded already by LibTorch's CUDA half, so no initialiser runs.
    let driver = unsafe { Library::open(Some("libcuda.so.1"), RTLD_NOW) }.ok()?;
    // SAFETY: the signatures are those of the CUDA driver API, stable since its first version.
    let (get, get_name): (Symbol<DeviceGet>, Symbol<DeviceGetName>) = unsafe {
        (
            driver.get(b"cuDeviceGet\0").ok()?,
            driver.get(b"cuDeviceGetName\0").ok()?,
        )
    };
    let mut device = 0;
    let mut name = [0 as c_char; 256];
    // SAFETY: both write into buffers that live on, no more than the length that is told.
    let told = unsafe { get(&mut device, index) == 0 && get_name(name.as_mut_ptr(), 256, device) == 0 };
    let bytes: Vec<u8> = name
        .iter()
        .take_while(|c| **c != 0)
        .map(|c| c.to_ne_bytes()[0])
        .collect();
    told.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// What LibTorch's allocator holds of a GPU, in bytes: now, and at most since [`reset_peak`].
pub(crate) fn device_memory(index: i8) -> Option<(u64, u64)> {
    let (mut now, mut peak) = (0, 0);
    // SAFETY: the function writes the two numbers and keeps no pointer.
    let told = unsafe { polyphony_device_memory(index, &mut now, &mut peak) };
    told.then(|| (u64::try_from(now).unwrap_or(0), u64::try_from(peak).unwrap_or(0)))
}

/// How much of a GPU's memory is free, and how much there is, in bytes.
pub(crate) fn device_size(index: i8) -> Option<(u64, u64)> {
    let (mut free, mut total) = (0, 0);
    // SAFETY: the function writes the two numbers and keeps no pointer.
    let told = unsafe { polyphony_device_size(index, &mut free, &mut total) };
    told.then_some((free, total))
}

/// Counts the peak of [`device_memory`] from now.
pub(crate) fn reset_peak(index: i8) {
    // SAFETY: takes a number; does nothing without an allocator.
    unsafe { polyphony_reset_peak(index) }
}

/// Gives the GPU what LibTorch's allocator keeps and does not use.
pub(crate) fn empty_cache() {
    // SAFETY: takes nothing; does nothing without an allocator.
    unsafe { polyphony_empty_cache() }
}

/// Lets each tensor on the processor have pages of its own, which go back to the system when it is freed; or, with `false`, lie in
/// a heap that keeps them for the next ones. In a heap the gaps of a video take half as much memory again, and nobody can tell how
/// much before; new pages for each tensor cost a denoising step a third of its time. It holds for the whole process, from now on.
pub(crate) fn map_tensors(each: bool) {
    // SAFETY: takes a flag; sets parameters of the C library's allocator.
    unsafe { polyphony_map_tensors(each) }
}

/// Gives the system what the processor's heap keeps and does not use.
pub(crate) fn trim_heap() {
    // SAFETY: takes nothing; the C library's allocator locks itself.
    unsafe { polyphony_trim_heap() }
}

/// Maps a file to read it.
///
/// # Errors
///
/// The system's own.
pub(crate) fn map(file: &File) -> io::Result<Arc<Mmap>> {
    // SAFETY: nothing writes the map, and its bytes are taken as numbers of any value. A file that is shortened while it is
    // mapped ends this process by a signal, which its parent sees and tells as a crash; a model store does not shorten
    // files, it puts new ones in their place.
    unsafe { Mmap::map(file) }.map(Arc::new)
}

/// A tensor on the processor whose numbers are those of a mapped file, not a copy of them.
#[derive(Debug)]
pub(crate) struct Mapped {
    // Declared first, so that it is gone before what it points to.
    tensor: Tensor,
    map: Arc<Mmap>,
}

// === impl Mapped ===

impl Mapped {
    /// The bytes of a map as a tensor. None where they are not all within it, not of this size, or not at a multiple of a
    /// number's size, so that they cannot be one.
    pub(crate) fn new(
        map: Arc<Mmap>,
        bytes: std::ops::Range<usize>,
        shape: &[i64],
        kind: Kind,
    ) -> Option<Self> {
        let slice = map.get(bytes)?;
        let count = shape.iter().try_fold(1usize, |product, side| {
            product.checked_mul(usize::try_from(*side).ok()?)
        })?;
        let width = kind.elt_size_in_bytes();
        if count.checked_mul(width)? != slice.len() || slice.as_ptr().align_offset(width) != 0 {
            return None;
        }
        let mut strides = vec![1; shape.len()];
        for axis in (0..shape.len().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * shape[axis + 1].max(1);
        }
        // SAFETY: the memory holds exactly the numbers of this shape, is aligned, and is valid while `map` lives, which
        // this struct keeps longer than the tensor. It is mapped for reading only: a write would end the process, and
        // none of the operations that write in place is called on weights.
        let tensor =
            unsafe { Tensor::f_from_blob(slice.as_ptr(), shape, &strides, kind, Device::Cpu) }.ok()?;
        Some(Self { tensor, map })
    }

    /// The tensor itself. Who clones it keeps this, or the [`keeper`](Self::keeper), as long as the clone.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// What keeps the numbers in memory.
    pub(crate) fn keeper(&self) -> Arc<Mmap> {
        self.map.clone()
    }
}
