//! The decoder of Wan's causal 3D autoencoder: from latents to frames.
//!
//! Convolutions look back in time and never ahead, so it works on one frame of latents after the other and keeps, for each
//! convolution, the last two frames that went in (`cache`). The first frame of latents makes one frame of pixels, each other
//! one four. It computes in FP32. Large frames can be decoded in `tiles`.

use tch::Tensor;

use super::checkpoint::{Checkpoint, Footing};
use crate::error::Result;
use crate::shapes::{SPATIAL_SCALE, VaeShape};
use crate::stop::Stop;

mod cache;
mod convolution;
mod stages;
mod tiles;

use cache::FeatureCache;
use convolution::{CausalConv3d, Norm};
use stages::{Middle, Residual, Upsample};

/// The decoder.
#[derive(Debug)]
pub struct Decoder {
    post_quant: CausalConv3d,
    conv_in: CausalConv3d,
    middle: Middle,
    levels: Vec<Level>,
    norm_out: Norm,
    conv_out: CausalConv3d,
    /// `[1, channels, 1, 1, 1]`.
    mean: Tensor,
    std: Tensor,
    footing: Footing,
}

#[derive(Debug)]
struct Level {
    blocks: Vec<Residual>,
    upsample: Option<Upsample>,
}

// === impl Decoder ===

impl Decoder {
    /// Builds the decoder; `mean` and `std` are those of the latents' channels.
    ///
    /// # Errors
    ///
    /// Weights that are absent, of another shape, or left over. The encoder's are passed over: text to video has no use for
    /// them.
    pub fn new(mut from: Checkpoint, shape: &VaeShape, mean: &[f32], std: &[f32]) -> Result<Self> {
        let dims = shape.decoder_dims();
        from.pass_over(&["encoder.", "quant_conv."]);
        let levels = (0..4)
            .map(|level| {
                // An upsampling halves the channels.
                let mut width = if level == 0 { dims[0] } else { dims[level] / 2 };
                let name = format!("decoder.up_blocks.{level}");
                let mut blocks = Vec::new();
                for block in 0..=shape.num_res_blocks {
                    let name = format!("{name}.resnets.{block}");
                    blocks.push(Residual::new(&mut from, &name, width, dims[level + 1])?);
                    width = dims[level + 1];
                }
                let upsample = match shape.temporal_upsample().get(level) {
                    Some(time) => Some(Upsample::new(
                        &mut from,
                        &format!("{name}.upsamplers.0"),
                        width,
                        *time,
                    )?),
                    None => None,
                };
                Ok(Level { blocks, upsample })
            })
            .collect::<Result<_>>()?;
        let device = from.device().torch();
        let channels = |values: &[f32]| {
            Tensor::from_slice(values)
                .view([1, -1, 1, 1, 1])
                .to_device(device)
        };
        Ok(Self {
            post_quant: CausalConv3d::new(&mut from, "post_quant_conv", shape.z_dim, shape.z_dim, [1, 1])?,
            conv_in: CausalConv3d::new(&mut from, "decoder.conv_in", shape.z_dim, dims[0], [3, 3])?,
            middle: Middle::new(&mut from, "decoder.mid_block", dims[0])?,
            levels,
            norm_out: Norm::new(&mut from, "decoder.norm_out", dims[4], 3)?,
            conv_out: CausalConv3d::new(&mut from, "decoder.conv_out", dims[4], 3, [3, 3])?,
            mean: channels(mean),
            std: channels(std),
            footing: from.finish()?,
        })
    }

    /// What its numbers take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.footing.bytes
    }

    /// Latents as the transformer has them, to ones as the decoder has them.
    pub fn denormalise(&self, latents: &Tensor) -> Tensor {
        latents / (1.0 / &self.std) + &self.mean
    }

    /// The frames `[1, 3, frames, rows, columns]` of latents, -1 to 1. `told` hears how many parts of how many are done.
    ///
    /// # Errors
    ///
    /// It was given up.
    pub fn decode(
        &self,
        latents: &Tensor,
        tiled: bool,
        stop: &Stop,
        told: &mut dyn FnMut(u32, u32),
    ) -> Result<Tensor> {
        let size = latents.size();
        if tiled && tiles::needed(size[3], size[4]) {
            return tiles::decode(self, latents, stop, told);
        }
        let count = u32::try_from(size[2]).unwrap_or(0);
        let mut done = 0;
        let frames = self.decode_whole(latents, stop, &mut || {
            done += 1;
            told(done, count);
        })?;
        Ok(clamped(frames))
    }

    /// One frame of latents as if it were the first: cheap, and near enough to be looked at. In tiles where the video is, for
    /// what does not fit does not fit here either.
    ///
    /// # Errors
    ///
    /// It was given up.
    pub fn glance(&self, latents: &Tensor, frame: i64, tiled: bool, stop: &Stop) -> Result<Tensor> {
        self.decode(&latents.narrow(2, frame, 1), tiled, stop, &mut |_, _| {})
    }

    /// All frames of latents, one after the other, unclamped.
    fn decode_whole(&self, latents: &Tensor, stop: &Stop, told: &mut dyn FnMut()) -> Result<Tensor> {
        let mut cache = FeatureCache::default();
        let x = self.post_quant.apply(latents);
        // Each part is put in its place: a list of them would be the video a second time when they are joined.
        let video = self.empty(latents);
        let mut begin = 0;
        for frame in 0..x.size()[2] {
            let part = self.decode_part(x.narrow(2, frame, 1), &mut cache, stop)?;
            let frames = part.size()[2];
            video.narrow(2, begin, frames).copy_(&part);
            begin += frames;
            told();
        }
        Ok(video)
    }

    /// Room for the frames of latents.
    fn empty(&self, latents: &Tensor) -> Tensor {
        let size = latents.size();
        let doublings = self.levels.iter().filter_map(|level| level.upsample.as_ref());
        let frames = 1 + (size[2] - 1) * doublings.map(Upsample::frames).product::<i64>();
        let sides = [size[3], size[4]].map(|side| side * SPATIAL_SCALE);
        Tensor::empty(
            [size[0], 3, frames, sides[0], sides[1]],
            (latents.kind(), latents.device()),
        )
    }

    fn decode_part(&self, x: Tensor, cache: &mut FeatureCache, stop: &Stop) -> Result<Tensor> {
        cache.rewind();
        let mut x = self.conv_in.apply_cached(x, cache);
        x = self.middle.apply(x, cache);
        for level in &self.levels {
            for block in &level.blocks {
                stop.check()?;
                x = block.apply(x, cache);
            }
            if let Some(upsample) = &level.upsample {
                x = upsample.apply(x, cache);
            }
        }
        let activated = self.norm_out.activate_in_place(x);
        Ok(self.conv_out.apply_cached(activated, cache))
    }
}

/// From -1 to 1, in place: another copy of all frames would be the most that a video takes.
fn clamped(mut frames: Tensor) -> Tensor {
    frames.clamp_(-1.0, 1.0)
}
