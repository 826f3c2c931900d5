//! The decoder's layers: convolutions that look back, and its norm.

use tch::utils::has_mkldnn;
use tch::{Device, Tensor};

use super::cache::FeatureCache;
use crate::error::Result;
use crate::wan::checkpoint::Checkpoint;

/// A convolution over time, rows and columns that does not look ahead.
#[derive(Debug)]
pub(super) struct CausalConv3d {
    weight: Tensor,
    bias: Tensor,
    /// Rows and columns of zeros around.
    around: i64,
}

/// A norm over channels: the vector of each place is brought to the length of the root of its size, then scaled.
#[derive(Debug)]
pub(super) struct Norm {
    gamma: Tensor,
    /// The root of how many channels there are.
    length: f64,
}

/// A convolution over rows and columns.
#[derive(Debug)]
pub(super) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    around: i64,
}

// === impl CausalConv3d ===

impl CausalConv3d {
    /// `size` is that of the kernel: frames, then rows and columns.
    pub(super) fn new(
        from: &mut Checkpoint,
        name: &str,
        inputs: i64,
        outputs: i64,
        size: [i64; 2],
    ) -> Result<Self> {
        let [time, space] = size;
        Ok(Self {
            weight: from.kept(&format!("{name}.weight"), &[outputs, inputs, time, space, space])?,
            bias: from.kept(&format!("{name}.bias"), &[outputs])?,
            around: space / 2,
        })
    }

    /// With the frames that the cache has from before.
    pub(super) fn apply_cached(&self, x: Tensor, cache: &mut FeatureCache) -> Tensor {
        self.apply(&cache.extend(x))
    }

    /// Without frames from before: there are as many fewer as the kernel is long.
    pub(super) fn apply(&self, x: &Tensor) -> Tensor {
        let (bias, padding, one) = (Some(&self.bias), [0, self.around, self.around], [1, 1, 1]);
        if x.device() == Device::Cpu && has_mkldnn() {
            // LibTorch takes its own slow kernel for few channels, with a copy of the input for each place of the kernel.
            return x.mkldnn_convolution(&self.weight, bias, padding, one, one, 1);
        }
        x.conv3d(&self.weight, bias, one, padding, one, 1)
    }
}

// === impl Norm ===

impl Norm {
    /// `axes` are those after the channels: three for video, two for images.
    pub(super) fn new(from: &mut Checkpoint, name: &str, channels: i64, axes: usize) -> Result<Self> {
        let shape: Vec<i64> = std::iter::once(channels)
            .chain(std::iter::repeat_n(1, axes))
            .collect();
        Ok(Self {
            gamma: from.kept(&format!("{name}.gamma"), &shape)?,
            length: (channels as f64).sqrt(),
        })
    }

    pub(super) fn apply(&self, x: &Tensor) -> Tensor {
        self.scaled(x / length(x))
    }

    /// The norm, then SiLU.
    pub(super) fn activate(&self, x: &Tensor) -> Tensor {
        self.scaled(x / length(x)).silu_()
    }

    /// The same in the place of its input.
    pub(super) fn activate_in_place(&self, mut x: Tensor) -> Tensor {
        let length = length(&x);
        self.scaled(x.g_div_(&length)).silu_()
    }

    fn scaled(&self, mut unit: Tensor) -> Tensor {
        unit.g_mul_scalar_(self.length).g_mul_(&self.gamma)
    }
}

/// The length of the vector of each place, and not zero.
fn length(x: &Tensor) -> Tensor {
    x.norm_scalaropt_dim(2.0, [1i64].as_slice(), true)
        .clamp_min(1e-12)
}

// === impl Conv2d ===

impl Conv2d {
    pub(super) fn new(
        from: &mut Checkpoint,
        name: &str,
        inputs: i64,
        outputs: i64,
        size: i64,
    ) -> Result<Self> {
        Ok(Self {
            weight: from.kept(&format!("{name}.weight"), &[outputs, inputs, size, size])?,
            bias: from.kept(&format!("{name}.bias"), &[outputs])?,
            around: size / 2,
        })
    }

    pub(super) fn apply(&self, x: &Tensor) -> Tensor {
        let around = [self.around, self.around];
        x.conv2d(&self.weight, Some(&self.bias), [1, 1], around, [1, 1], 1)
    }
}
