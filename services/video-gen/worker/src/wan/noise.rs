//! Numbers drawn by chance, the same ones for the same seed.

use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// LibTorch draws from one state a device, which is of the process: who sets its seed draws before the next one does.
static STATE: Mutex<()> = Mutex::new(());

/// Draws from the normal distribution.
///
/// # Errors
///
/// A device without the memory.
pub fn normal(seed: i64, shape: &[i64], kind: Kind, device: Device) -> Result<Tensor> {
    let _held = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    Tensor::f_randn(shape, (kind, device)).map_err(|error| Error::Torch(error.to_string()))
}
