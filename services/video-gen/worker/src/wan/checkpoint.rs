//! Where a network's numbers come from, taken one by one by their names: files, or chance.
//!
//! Whoever builds a network asks for each tensor by its name and shape. What is absent or of another shape is refused by
//! name; so is what is left over at the end, for a weight that nobody used means another network than this one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;
use tch::{Kind, Tensor};

use super::layers::{LayerNorm, Linear};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::stop::Stop;

mod random;
mod safetensors;

use self::safetensors::Files;

/// A network's numbers.
#[derive(Debug)]
pub struct Checkpoint {
    source: Source,
    device: Device,
    /// What the network computes in.
    kind: Kind,
    taken: BTreeSet<String>,
    bytes: u64,
    /// The files that tensors on the processor point into.
    keepers: Vec<Arc<Mmap>>,
    /// Who no longer wants the network.
    stop: Stop,
    /// Nothing is brought into memory.
    only_checked: bool,
}

#[derive(Debug)]
enum Source {
    Files(Files),
    Random,
}

/// What must live as long as a network, and what the network takes.
#[derive(Debug)]
pub struct Footing {
    /// The files that tensors on the processor point into.
    keepers: Vec<Arc<Mmap>>,
    /// What its numbers take of the device, in bytes.
    pub bytes: u64,
}

// === impl Footing ===

impl Footing {
    /// How many files are mapped for it.
    pub fn files(&self) -> usize {
        self.keepers.len()
    }
}

// === impl Checkpoint ===

impl Checkpoint {
    /// The numbers of a folder of a diffusers repository, to be computed with in `kind`.
    ///
    /// # Errors
    ///
    /// A folder without weights, or with files that are damaged.
    pub fn open(folder: impl Into<PathBuf>, device: Device, kind: Kind) -> Result<Self> {
        Ok(Self::of(Source::Files(Files::open(folder.into())?), device, kind))
    }

    /// Random numbers, the same ones for the same name and shape.
    pub fn random(device: Device, kind: Kind) -> Self {
        Self::of(Source::Random, device, kind)
    }

    fn of(source: Source, device: Device, kind: Kind) -> Self {
        Self {
            source,
            device,
            kind,
            taken: BTreeSet::new(),
            bytes: 0,
            keepers: Vec::new(),
            stop: Stop::default(),
            only_checked: false,
        }
    }

    /// Ends with [`Error::Cancelled`] when it is given up.
    pub fn heeding(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Checks each tensor that is taken and brings none into memory: what is built of it can only be dropped.
    pub fn only_checked(mut self) -> Self {
        self.only_checked = true;
        self
    }

    /// The device that tensors come to.
    pub fn device(&self) -> Device {
        self.device
    }

    /// A tensor in the network's own kind.
    ///
    /// # Errors
    ///
    /// One that is absent or of another shape.
    pub fn tensor(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.take(name, shape, self.kind)
    }

    /// A tensor in FP32, whatever the network computes in.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub fn kept(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.take(name, shape, Kind::Float)
    }

    /// A linear layer with a bias.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub fn linear(&mut self, name: &str, from: i64, to: i64) -> Result<Linear> {
        self.linear_in(name, from, to, self.kind)
    }

    /// A linear layer with a bias, in FP32.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub fn linear_kept(&mut self, name: &str, from: i64, to: i64) -> Result<Linear> {
        self.linear_in(name, from, to, Kind::Float)
    }

    /// A linear layer without a bias.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub fn product(&mut self, name: &str, from: i64, to: i64) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[to, from])?;
        Ok(Linear { weight, bias: None })
    }

    /// A layer norm with weight and bias, in FP32.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub fn layer_norm(&mut self, name: &str, width: i64) -> Result<LayerNorm> {
        Ok(LayerNorm {
            weight: self.kept(&format!("{name}.weight"), &[width])?,
            bias: self.kept(&format!("{name}.bias"), &[width])?,
        })
    }

    /// Whether there is a tensor of this name. Chance has any.
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Files(files) => files.has(name),
            Source::Random => true,
        }
    }

    /// Passes over tensors that belong to the repository and not to what is computed here, by how their names begin.
    pub fn pass_over(&mut self, beginnings: &[&str]) {
        if let Source::Files(files) = &self.source {
            let passed = files
                .names()
                .filter(|name| beginnings.iter().any(|beginning| name.starts_with(beginning)));
            self.taken.extend(passed.map(str::to_owned));
        }
    }

    /// Ends the building of a network.
    ///
    /// # Errors
    ///
    /// Tensors that nobody took.
    pub fn finish(mut self) -> Result<Footing> {
        if let Source::Files(files) = &self.source {
            let left: Vec<&str> = files.names().filter(|name| !self.taken.contains(*name)).collect();
            if let Some(first) = left.first() {
                return Err(Error::weights(
                    files.folder(),
                    format!(
                        "holds {} tensors that this network does not have, as \"{first}\"",
                        left.len()
                    ),
                ));
            }
        }
        self.keepers.sort_by_key(|map| map.as_ptr());
        self.keepers.dedup_by_key(|map| map.as_ptr());
        Ok(Footing {
            keepers: self.keepers,
            bytes: self.bytes,
        })
    }

    fn linear_in(&mut self, name: &str, from: i64, to: i64, kind: Kind) -> Result<Linear> {
        Ok(Linear {
            weight: self.take(&format!("{name}.weight"), &[to, from], kind)?,
            bias: Some(self.take(&format!("{name}.bias"), &[to], kind)?),
        })
    }

    fn take(&mut self, name: &str, shape: &[i64], kind: Kind) -> Result<Tensor> {
        self.stop.check()?;
        let tensor = match &self.source {
            Source::Random => random::tensor(name, shape, kind, self.device.torch())?,
            Source::Files(files) => {
                let mapped = files.tensor(name, shape)?;
                if self.only_checked {
                    self.taken.insert(name.to_owned());
                    return Ok(Tensor::new());
                }
                let there = mapped
                    .tensor()
                    .f_to_device_(self.device.torch(), kind, false, false)
                    .map_err(|error| Error::Torch(error.to_string()))?;
                if there.data_ptr() == mapped.tensor().data_ptr() {
                    self.keepers.push(mapped.keeper());
                }
                there
            }
        };
        self.bytes += (tensor.numel() * kind.elt_size_in_bytes()) as u64;
        self.taken.insert(name.to_owned());
        Ok(tensor)
    }
}
