//! Numbers by chance, made on the device: the same ones each time, whatever was made before.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::wan::noise::normal;

/// A tensor as a network has it when nothing was learnt: norms are one, biases zero, and weights are drawn so that what
/// goes through them keeps its size.
pub(super) fn tensor(name: &str, shape: &[i64], kind: Kind, device: Device) -> Result<Tensor> {
    let options = (kind, device);
    let even = if name.ends_with(".bias") {
        Tensor::f_zeros(shape, options)
    } else if name.contains("norm") {
        Tensor::f_ones(shape, options)
    } else {
        let is_table = name.starts_with("shared") || name.contains("attention_bias");
        let inputs: i64 = if is_table {
            1
        } else {
            shape.iter().skip(1).product()
        };
        let mut drawn = normal(seed(name), shape, kind, device)?;
        return Ok(drawn.g_mul_scalar_(1.0 / (inputs.max(1) as f64).sqrt()));
    };
    even.map_err(|error| Error::Torch(error.to_string()))
}

/// FNV-1a of the name: any fixed function would do.
fn seed(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    i64::from_ne_bytes(hash.to_ne_bytes())
}
