//! What the NVIDIA driver says about its GPUs, through its management library (NVML), opened at run time.
//!
//! This is the truth that `doctor`, the device choice and the accelerator report share. It says nothing about whether
//! ONNX Runtime can use them; [`crate::DeviceChoice::place`] does.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// The driver and its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    /// The driver's version, as "580.65.06".
    pub driver: String,
    /// The newest CUDA that the driver supports, major and minor.
    pub cuda: (u32, u32),
    /// In the order of their CUDA index under `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    pub devices: Vec<Gpu>,
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its index.
    pub index: u32,
    /// Its product name.
    pub name: String,
    /// Its identity, as "GPU-…".
    pub uuid: String,
    /// All its memory, in bytes.
    pub memory_total: u64,
    /// The memory that is free now, in bytes.
    pub memory_free: u64,
    /// Its compute capability, major and minor.
    pub compute: (u32, u32),
}

/// Why there is no GPU to speak of.
#[derive(Debug, thiserror::Error)]
pub enum NoGpu {
    /// No NVIDIA driver is installed.
    #[error("no NVIDIA driver is installed (libnvidia-ml.so.1 was not found)")]
    NoDriver,
    /// The driver is there and does not answer.
    #[error("the NVIDIA driver does not answer")]
    Driver(#[source] NvmlError),
    /// The driver has no GPU.
    #[error("the NVIDIA driver has no GPU")]
    NoDevice,
}

/// Asks the driver. Takes a few milliseconds; the answer is not kept, since free memory changes.
///
/// # Errors
/// [`NoGpu`] says why there is none.
pub fn list() -> Result<Gpus, NoGpu> {
    let nvml = Nvml::init().map_err(|error| match error {
        NvmlError::LibloadingError(_) => NoGpu::NoDriver,
        other => NoGpu::Driver(other),
    })?;
    let gpus = read(&nvml).map_err(NoGpu::Driver)?;
    if gpus.devices.is_empty() {
        return Err(NoGpu::NoDevice);
    }
    Ok(gpus)
}

fn read(nvml: &Nvml) -> Result<Gpus, NvmlError> {
    let cuda = nvml.sys_cuda_driver_version()?;
    let one = |index| {
        let device = nvml.device_by_index(index)?;
        let memory = device.memory_info()?;
        let compute = device.cuda_compute_capability()?;
        Ok(Gpu {
            index,
            name: device.name()?,
            uuid: device.uuid()?,
            memory_total: memory.total,
            memory_free: memory.free,
            compute: (compute.major.unsigned_abs(), compute.minor.unsigned_abs()),
        })
    };
    Ok(Gpus {
        driver: nvml.sys_driver_version()?,
        // NVML gives 1000 × major + 10 × minor.
        cuda: (cuda.unsigned_abs() / 1000, cuda.unsigned_abs() % 1000 / 10),
        devices: (0..nvml.device_count()?)
            .map(one)
            .collect::<Result<_, NvmlError>>()?,
    })
}
