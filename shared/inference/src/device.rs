//! Where to run a model: what was asked for, and what it comes to on this machine.

use std::fmt;
use std::str::FromStr;

use ort::ep::ExecutionProvider as _;
use polyphony_error::chain;
use serde::{Deserialize, Serialize};

use crate::gpu::{self, Gpus, NoGpu};
use crate::{Error, Loaded};

/// What was asked for: "auto", "cpu", "cuda", "cuda:N".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// A GPU that works, else the processor, with the reason said.
    #[default]
    Auto,
    /// This device or an error.
    Only(Device),
}

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by its index.
    Cuda(u32),
}

/// Where a model will run, and why there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The device.
    pub device: Device,
    /// Why "auto" did not take a GPU. None if it did, or if the device was named.
    pub fallback: Option<String>,
}

/// What was written is not a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a device; write \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"")]
pub struct NotADevice(String);

// === impl DeviceChoice ===

impl DeviceChoice {
    /// Decides where to run. Needs ONNX Runtime, because only its build knows whether it can use a GPU.
    ///
    /// # Errors
    /// [`Error::DeviceUnavailable`] for a GPU that was named and cannot be had: never the processor in its place.
    pub fn place(self, runtime: &Loaded) -> Result<Placement, Error> {
        place(self, gpu::list(), cuda_in(runtime))
    }
}

/// The decision itself, on what the driver and the runtime say.
fn place(
    choice: DeviceChoice,
    gpus: Result<Gpus, NoGpu>,
    runtime: Result<(), String>,
) -> Result<Placement, Error> {
    let wanted = match choice {
        DeviceChoice::Only(Device::Cpu) => {
            return Ok(Placement {
                device: Device::Cpu,
                fallback: None,
            });
        }
        DeviceChoice::Only(Device::Cuda(index)) => index,
        DeviceChoice::Auto => 0,
    };
    let problem = match gpus {
        Err(none) => Some(chain(&none).to_string()),
        Ok(gpus) if !gpus.devices.iter().any(|gpu| gpu.index == wanted) => Some(format!(
            "the driver has {} GPU(s), counted from 0",
            gpus.devices.len()
        )),
        Ok(_) => runtime.err(),
    };
    match (problem, choice) {
        (None, _) => Ok(Placement {
            device: Device::Cuda(wanted),
            fallback: None,
        }),
        (Some(reason), DeviceChoice::Auto) => Ok(Placement {
            device: Device::Cpu,
            fallback: Some(reason),
        }),
        (Some(reason), DeviceChoice::Only(device)) => Err(Error::DeviceUnavailable {
            device: device.to_string(),
            reason,
        }),
    }
}

/// Whether this build of ONNX Runtime has its CUDA part.
fn cuda_in(runtime: &Loaded) -> Result<(), String> {
    match ort::ep::CUDA::is_available() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "ONNX Runtime {} at {} is built without CUDA; install the onnxruntime-gpu wheel instead",
            runtime.version(),
            runtime.path().display()
        )),
        Err(error) => Err(error.to_string()),
    }
}

impl FromStr for DeviceChoice {
    type Err = NotADevice;

    fn from_str(text: &str) -> Result<Self, NotADevice> {
        if text == "auto" {
            Ok(Self::Auto)
        } else {
            text.parse().map(Self::Only)
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = NotADevice;

    fn try_from(text: String) -> Result<Self, NotADevice> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(device) => device.fmt(f),
        }
    }
}

// === impl Device ===

impl Device {
    /// Whether it is a GPU.
    pub const fn is_gpu(self) -> bool {
        matches!(self, Self::Cuda(_))
    }
}

impl FromStr for Device {
    type Err = NotADevice;

    fn from_str(text: &str) -> Result<Self, NotADevice> {
        let cuda = |index: &str| {
            index
                .parse()
                .map(Self::Cuda)
                .map_err(|_| NotADevice(text.to_owned()))
        };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => cuda(index),
            _ => Err(NotADevice(text.to_owned())),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;

    fn one_gpu() -> Result<Gpus, NoGpu> {
        let gpu = Gpu {
            index: 0,
            name: "test".into(),
            uuid: "GPU-0".into(),
            memory_total: 2,
            memory_free: 1,
            compute: (9, 0),
        };
        Ok(Gpus {
            driver: "580".into(),
            cuda: (13, 0),
            devices: vec![gpu],
        })
    }

    fn choice(text: &str) -> DeviceChoice {
        text.parse().expect("a device")
    }

    #[test]
    fn a_choice_reads_back_as_it_was_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:12"] {
            assert_eq!(choice(text).to_string(), text);
        }
        assert_eq!(choice("cuda"), DeviceChoice::Only(Device::Cuda(0)));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_named_gpu_that_cannot_be_had_is_an_error() {
        let no_driver = place(choice("cuda"), Err(NoGpu::NoDriver), Ok(())).expect_err("no driver");
        assert!(no_driver.to_string().contains("no NVIDIA driver"), "{no_driver}");
        let no_second = place(choice("cuda:1"), one_gpu(), Ok(())).expect_err("one GPU");
        assert!(no_second.to_string().contains("has 1 GPU"), "{no_second}");
        let plain_build =
            place(choice("cuda"), one_gpu(), Err("built without CUDA".into())).expect_err("plain build");
        assert!(
            plain_build.to_string().contains("built without CUDA"),
            "{plain_build}"
        );
    }

    #[test]
    fn auto_says_why_it_fell_back() {
        let fell = place(DeviceChoice::Auto, Err(NoGpu::NoDriver), Ok(())).expect("the processor");
        assert_eq!(fell.device, Device::Cpu);
        assert!(fell.fallback.expect("a reason").contains("no NVIDIA driver"));
        let took = place(DeviceChoice::Auto, one_gpu(), Ok(())).expect("the GPU");
        assert_eq!(
            took,
            Placement {
                device: Device::Cuda(0),
                fallback: None
            }
        );
    }
}
