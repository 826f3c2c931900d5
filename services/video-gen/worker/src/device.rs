//! The one device of a worker: which it is, what it holds, and what it computes in.

use std::error::Error as _;
use std::fmt;
use std::fs;

use tch::{Cuda, Device as TorchDevice, Kind};

use crate::error::{Error, Result};
use crate::ffi;
use crate::protocol::Precision;
use crate::share;

/// The device, and the numbers of transformers on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    torch: TorchDevice,
    precision: Precision,
}

/// What kernels take of a processor's memory with a video of a new size: the machine code that oneDNN makes for each
/// convolution of that size, pages of LibTorch and of the encoder that were not used before, and tensors that are too small
/// to be mapped. 5 to 8 MiB were measured, whatever the size.
pub const KERNEL_BYTES: u64 = 8 << 20;

// === impl Device ===

impl Device {
    /// Finds a device by its name: "auto", "cpu", "cuda", "cuda:N". `precision` is what was asked for; by default bfloat16 on
    /// a GPU and FP32 on a processor, which is slower in anything narrower.
    ///
    /// # Errors
    ///
    /// A name that is none, or a GPU that cannot be had: never the processor in its place.
    pub fn find(name: &str, precision: Option<Precision>) -> Result<Self> {
        // A processor's worker does without, for it is more than a gigabyte.
        let cuda = if name == "cpu" { Ok(()) } else { ffi::open_cuda() };
        let refuse = |reason: String| {
            Err(Error::Device {
                device: name.to_owned(),
                reason,
            })
        };
        let index = match name {
            "cpu" => None,
            "auto" => (cuda.is_ok() && Cuda::is_available()).then_some(0),
            _ => {
                let Some(index) = name
                    .strip_prefix("cuda")
                    .and_then(|rest| match rest.strip_prefix(':') {
                        Some(number) => number.parse::<u8>().ok(),
                        None => rest.is_empty().then_some(0),
                    })
                else {
                    return refuse("there are \"auto\", \"cpu\", \"cuda\" and \"cuda:N\"".into());
                };
                if let Err(error) = cuda {
                    let cause = error
                        .source()
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    return refuse(format!(
                        "this LibTorch is the processor's ({cause}); set LD_LIBRARY_PATH to the `lib` of one with CUDA"
                    ));
                }
                let count = Cuda::device_count();
                if i64::from(index) >= count {
                    return refuse(format!("LibTorch sees {count} GPUs; is there a driver?"));
                }
                Some(index)
            }
        };
        let (torch, usual) = match index {
            Some(index) => (TorchDevice::Cuda(usize::from(index)), Precision::Bf16),
            None => (TorchDevice::Cpu, Precision::Fp32),
        };
        let device = Self {
            torch,
            precision: precision.unwrap_or(usual),
        };
        if index.is_none() {
            ffi::map_tensors(true);
        }
        // The allocator tells nothing before it was used.
        drop(tch::Tensor::zeros([1], (Kind::Float, torch)));
        Ok(device)
    }

    /// As LibTorch calls it.
    pub fn torch(&self) -> TorchDevice {
        self.torch
    }

    /// What transformers are computed in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same as LibTorch's kind.
    pub fn kind(&self) -> Kind {
        match self.precision {
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp32 => Kind::Float,
        }
    }

    /// Its product name.
    pub fn product(&self) -> String {
        match self.index() {
            Some(index) => ffi::cuda_name(i32::from(index)).unwrap_or_else(|| "an NVIDIA GPU".into()),
            None => fs::read_to_string("/proc/cpuinfo")
                .unwrap_or_default()
                .lines()
                .find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1.to_owned()))
                .unwrap_or_else(|| std::env::consts::ARCH.into()),
        }
    }

    /// Its memory in bytes: what is free, and all of it. Of a processor, what this process may have of the system's.
    pub fn memory(&self) -> (u64, u64) {
        match self.index() {
            Some(index) => ffi::device_size(index).unwrap_or((0, 0)),
            None => {
                let most = share::limit().unwrap_or(u64::MAX);
                (
                    kilobytes("/proc/meminfo", "MemAvailable:").min(most),
                    kilobytes("/proc/meminfo", "MemTotal:").min(most),
                )
            }
        }
    }

    /// What this process holds of it, in bytes.
    pub fn held(&self) -> u64 {
        match self.index() {
            Some(index) => ffi::device_memory(index).map_or(0, |(now, _)| now),
            None => kilobytes("/proc/self/status", "VmRSS:"),
        }
    }

    /// The most that this process held of it since [`watch_peak`](Self::watch_peak), in bytes.
    pub fn peak(&self) -> u64 {
        match self.index() {
            Some(index) => ffi::device_memory(index).map_or(0, |(_, peak)| peak),
            None => kilobytes("/proc/self/status", "VmHWM:"),
        }
    }

    /// Counts the peak from now. Where the system does not allow it the peak is that of the whole process, never less.
    pub fn watch_peak(&self) {
        match self.index() {
            Some(index) => ffi::reset_peak(index),
            None => drop(fs::write("/proc/self/clear_refs", "5")),
        }
    }

    /// Waits until what was begun on it is done.
    pub fn synchronize(&self) {
        if let Some(index) = self.index() {
            Cuda::synchronize(i64::from(index));
        }
    }

    /// What this process takes of it besides models and videos, in bytes. Of a processor it is what it holds now and what
    /// kernels will; of a GPU nothing, for its allocator counts tensors alone.
    pub fn base(&self) -> u64 {
        match self.index() {
            Some(_) => 0,
            None => self.held() + KERNEL_BYTES,
        }
    }

    /// Keeps the memory of tensors that were freed for the next ones, as a GPU's allocator always does: for a step, which asks
    /// for the same again and again.
    #[must_use = "it holds as long as this"]
    pub fn keep_freed(&self) -> KeptFreed<'_> {
        if self.index().is_none() {
            ffi::map_tensors(false);
        }
        KeptFreed { device: self }
    }

    /// Gives back what is kept for reuse, so that memory that was freed is free for others.
    pub fn release(&self) {
        match self.index() {
            Some(_) => ffi::empty_cache(),
            None => ffi::trim_heap(),
        }
    }

    fn index(&self) -> Option<i8> {
        match self.torch {
            TorchDevice::Cuda(index) => i8::try_from(index).ok(),
            _ => None,
        }
    }
}

/// While this lives, memory that was freed is kept; then it is given back.
#[derive(Debug)]
pub struct KeptFreed<'a> {
    device: &'a Device,
}

// === impl KeptFreed ===

impl Drop for KeptFreed<'_> {
    fn drop(&mut self) {
        if self.device.index().is_none() {
            ffi::map_tensors(true);
            ffi::trim_heap();
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index() {
            Some(index) => write!(f, "cuda:{index}"),
            None => f.write_str("cpu"),
        }
    }
}

/// A number of kilobytes in a table of the kernel, in bytes; 0 where it is not told.
fn kilobytes(table: &str, field: &str) -> u64 {
    fs::read_to_string(table)
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
        .map_or(0, |kilobytes| kilobytes * 1024)
}
