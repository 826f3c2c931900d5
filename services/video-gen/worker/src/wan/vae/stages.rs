//! The decoder's stages: residual blocks, the attention in its middle, and what doubles frames, rows and columns.

use tch::Tensor;

use super::cache::FeatureCache;
use super::convolution::{CausalConv3d, Conv2d, Norm};
use crate::error::Result;
use crate::wan::checkpoint::Checkpoint;
use crate::wan::layers::attention;

/// Two convolutions around which the input goes too.
#[derive(Debug)]
pub(super) struct Residual {
    norm1: Norm,
    conv1: CausalConv3d,
    norm2: Norm,
    conv2: CausalConv3d,
    shortcut: Option<CausalConv3d>,
}

/// The middle of the decoder.
#[derive(Debug)]
pub(super) struct Middle {
    before: Residual,
    norm: Norm,
    to_qkv: Conv2d,
    proj: Conv2d,
    after: Residual,
}

/// Twice the rows and columns, half the channels; twice the frames too, if it has a convolution over time.
#[derive(Debug)]
pub(super) struct Upsample {
    time: Option<CausalConv3d>,
    conv: Conv2d,
}

// === impl Residual ===

impl Residual {
    pub(super) fn new(from: &mut Checkpoint, name: &str, inputs: i64, outputs: i64) -> Result<Self> {
        let shortcut = if inputs == outputs {
            None
        } else {
            Some(CausalConv3d::new(
                from,
                &format!("{name}.conv_shortcut"),
                inputs,
                outputs,
                [1, 1],
            )?)
        };
        Ok(Self {
            norm1: Norm::new(from, &format!("{name}.norm1"), inputs, 3)?,
            conv1: CausalConv3d::new(from, &format!("{name}.conv1"), inputs, outputs, [3, 3])?,
            norm2: Norm::new(from, &format!("{name}.norm2"), outputs, 3)?,
            conv2: CausalConv3d::new(from, &format!("{name}.conv2"), outputs, outputs, [3, 3])?,
            shortcut,
        })
    }

    pub(super) fn apply(&self, x: Tensor, cache: &mut FeatureCache) -> Tensor {
        let inner = self.conv1.apply_cached(self.norm1.activate(&x), cache);
        let mut inner = self
            .conv2
            .apply_cached(self.norm2.activate_in_place(inner), cache);
        match &self.shortcut {
            Some(shortcut) => inner.g_add_(&shortcut.apply(&x)),
            None => inner.g_add_(&x),
        }
    }
}

// === impl Middle ===

impl Middle {
    pub(super) fn new(from: &mut Checkpoint, name: &str, width: i64) -> Result<Self> {
        Ok(Self {
            before: Residual::new(from, &format!("{name}.resnets.0"), width, width)?,
            norm: Norm::new(from, &format!("{name}.attentions.0.norm"), width, 2)?,
            to_qkv: Conv2d::new(from, &format!("{name}.attentions.0.to_qkv"), width, 3 * width, 1)?,
            proj: Conv2d::new(from, &format!("{name}.attentions.0.proj"), width, width, 1)?,
            after: Residual::new(from, &format!("{name}.resnets.1"), width, width)?,
        })
    }

    pub(super) fn apply(&self, x: Tensor, cache: &mut FeatureCache) -> Tensor {
        let x = self.before.apply(x, cache);
        let x = self.attend(&x) + x;
        self.after.apply(x, cache)
    }

    /// Attention of each frame to itself, with one head.
    fn attend(&self, x: &Tensor) -> Tensor {
        let images = to_images(x);
        let size = images.size();
        let qkv = self.to_qkv.apply(&self.norm.apply(&images));
        // `[frames, 1, places, 3 x channels]`.
        let parts = qkv
            .flatten(2, 3)
            .transpose(1, 2)
            .contiguous()
            .unsqueeze(1)
            .chunk(3, -1);
        let mixed = attention(&parts[0], &parts[1], &parts[2], None, None);
        let mixed = mixed.squeeze_dim(1).transpose(1, 2).reshape(size.as_slice());
        to_video(&self.proj.apply(&mixed), x.size()[0])
    }
}

// === impl Upsample ===

impl Upsample {
    pub(super) fn new(from: &mut Checkpoint, name: &str, width: i64, time: bool) -> Result<Self> {
        let time = if time {
            Some(CausalConv3d::new(
                from,
                &format!("{name}.time_conv"),
                width,
                2 * width,
                [3, 1],
            )?)
        } else {
            None
        };
        Ok(Self {
            time,
            conv: Conv2d::new(from, &format!("{name}.resample.1"), width, width / 2, 3)?,
        })
    }

    /// How many frames it makes of one, after the first.
    pub(super) fn frames(&self) -> i64 {
        if self.time.is_some() { 2 } else { 1 }
    }

    pub(super) fn apply(&self, x: Tensor, cache: &mut FeatureCache) -> Tensor {
        let batch = x.size()[0];
        let doubled = match &self.time {
            // The first frame of all stays one.
            Some(time) if !cache.begins(&x) => double_frames(&time.apply_cached(x, cache)),
            _ => x,
        };
        let large = doubled_sides(doubled);
        to_video(&self.conv.apply(&large), batch)
    }
}

/// Images `[batch x frames, channels, 2 x rows, 2 x columns]` of a video. It takes the video, which then is free before what
/// comes next begins.
fn doubled_sides(video: Tensor) -> Tensor {
    let images = to_images(&video);
    let size = images.size();
    images.internal_upsample_nearest_exact2d([2 * size[2], 2 * size[3]], 2.0, 2.0)
}

/// `[batch, 2 x channels, frames, …]` to `[batch, channels, 2 x frames, …]`: the halves become frames in turn.
fn double_frames(x: &Tensor) -> Tensor {
    let size = x.size();
    x.unflatten(1, [2, -1]).permute([0, 2, 3, 1, 4, 5]).reshape([
        size[0],
        size[1] / 2,
        2 * size[2],
        size[3],
        size[4],
    ])
}

/// `[batch, channels, frames, rows, columns]` to `[batch x frames, channels, rows, columns]`.
fn to_images(video: &Tensor) -> Tensor {
    video.transpose(1, 2).flatten(0, 1)
}

/// The other way.
fn to_video(images: &Tensor, batch: i64) -> Tensor {
    images.unflatten(0, [batch, -1]).transpose(1, 2)
}
