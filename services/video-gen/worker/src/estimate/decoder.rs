//! The decoder's convolutions, one by one: parameters and arithmetic, and what they keep of the frames before.

use super::FP32;
use crate::shapes::{LatentSize, VaeShape};

/// A convolution, and where it stands.
struct Convolution {
    /// Channels in and out.
    from: i64,
    to: i64,
    /// Positions of its kernel.
    taps: i64,
    /// How many times finer than latents its output is, in rows and columns.
    scale: i64,
    /// How many frames its output has for a frame of latents, after the first.
    frames: i64,
    /// It keeps two frames of its input for the next ones.
    cached: bool,
}

/// Every convolution of the decoder, in order, and the parameters of its norms.
fn walk(shape: &VaeShape) -> (Vec<Convolution>, i64) {
    let dims = shape.decoder_dims();
    let mut convolutions = Vec::new();
    let mut norms = 0;
    let mut add = |from, to, taps, scale, frames, cached| {
        convolutions.push(Convolution {
            from,
            to,
            taps,
            scale,
            frames,
            cached,
        });
    };
    let wide = dims[0];
    add(shape.z_dim, shape.z_dim, 1, 1, 1, false);
    add(shape.z_dim, wide, 27, 1, 1, true);
    for _ in 0..4 {
        add(wide, wide, 27, 1, 1, true);
        norms += wide;
    }
    add(wide, 3 * wide, 1, 1, 1, false);
    add(wide, wide, 1, 1, 1, false);
    norms += wide;
    let (mut scale, mut frames) = (1, 1);
    for level in 0..4 {
        // An upsampling halves the channels.
        let mut from = if level == 0 { dims[0] } else { dims[level] / 2 };
        let to = dims[level + 1];
        for _ in 0..=shape.num_res_blocks {
            add(from, to, 27, scale, frames, true);
            add(to, to, 27, scale, frames, true);
            if from != to {
                add(from, to, 1, scale, frames, false);
            }
            norms += from + to;
            from = to;
        }
        if level < 3 {
            if shape.temporal_upsample()[level] {
                add(to, 2 * to, 3, scale, frames, true);
                frames *= 2;
            }
            scale *= 2;
            add(to, to / 2, 9, scale, frames, false);
        }
    }
    norms += dims[4];
    add(dims[4], 3, 27, scale, frames, true);
    (convolutions, norms)
}

/// Parameters of the decoder, with the convolution before it.
pub(super) fn parameters(shape: &VaeShape) -> i64 {
    let (convolutions, norms) = walk(shape);
    norms
        + convolutions
            .iter()
            .map(|conv| conv.from * conv.to * conv.taps + conv.to)
            .sum::<i64>()
}

/// Floating-point operations of decoding all frames.
pub(super) fn flops(shape: &VaeShape, latents: &LatentSize) -> i64 {
    let area = latents.rows * latents.columns;
    walk(shape)
        .0
        .iter()
        .map(|conv| {
            let frames = 1 + (latents.frames - 1) * conv.frames;
            2 * conv.from * conv.to * conv.taps * conv.scale * conv.scale * area * frames
        })
        .sum()
}

/// What is kept of the frames before: two of each input of a convolution that looks back.
pub(super) fn kept_bytes(shape: &VaeShape, area: i64) -> i64 {
    walk(shape)
        .0
        .iter()
        .filter(|conv| conv.cached)
        .map(|conv| 2 * conv.from * conv.scale * conv.scale * area * FP32)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::Shapes;

    /// The published autoencoder has 126,892,531 parameters; these are of the decoder and the convolution before it.
    #[test]
    fn the_decoder_has_the_published_size() {
        assert_eq!(parameters(&Shapes::WAN.vae), 73_295_603);
    }
}
