//! The memory of decoding: what lives at once at each place of the decoder, as `wan/vae` computes it. A tensor that is added
//! there, or lives longer, must be added here.
//!
//! Kernels are those of a processor, oneDNN's: for a convolution they lay out anew what goes in, in blocks of 16 channels,
//! and what comes out before it is laid out plainly. A GPU's may take more or less; they were not measured.

use super::{FP32, TILE_PIXELS, TILE_STRIDE_PIXELS, decoder};
use crate::shapes::{LatentSize, SPATIAL_SCALE, VaeShape};

/// Channels of a block.
const BLOCK: i64 = 16;
/// Colours of a pixel.
const COLOURS: i64 = 3;

/// The most bytes at once, of those that were seen.
struct Most<'a> {
    shape: &'a VaeShape,
    /// Rows times columns of latents.
    area: i64,
    bytes: i64,
}

/// The memory of decoding a video, its frames as floats included, in bytes.
pub(super) fn bytes(shape: &VaeShape, latents: &LatentSize, frames: i64, tiled: bool) -> i64 {
    let pixels = SPATIAL_SCALE * SPATIAL_SCALE * latents.rows * latents.columns;
    let picture = COLOURS * pixels;
    let video = FP32 * picture * frames;
    let is_single = latents.frames == 1;
    let decoding = if tiled {
        tiles(shape, latents, frames, is_single)
    } else {
        part(shape, latents.rows * latents.columns, is_single)
    };
    // Afterwards each frame becomes bytes, by way of three copies of it.
    let pictures = picture * frames + 3 * FP32 * picture;
    video + decoding.max(pictures)
}

/// The most that a tile takes, with what the tiles around share with it.
fn tiles(shape: &VaeShape, latents: &LatentSize, frames: i64, is_single: bool) -> i64 {
    let [tile, stride] = [TILE_PIXELS, TILE_STRIDE_PIXELS].map(|pixels| pixels / SPATIAL_SCALE);
    let shared = tile - stride;
    if latents.rows <= tile && latents.columns <= tile {
        return part(shape, latents.rows * latents.columns, is_single);
    }
    let floats =
        |rows: i64, columns: i64| FP32 * COLOURS * frames * SPATIAL_SCALE * SPATIAL_SCALE * rows * columns;
    let sides = |length: i64| {
        (0..length)
            .step_by(stride as usize)
            .map(move |begin| tile.min(length - begin))
    };
    let (mut most, mut above) = (0, 0);
    for rows in sides(latents.rows) {
        let (mut below, mut left) = (0, 0);
        for columns in sides(latents.columns) {
            let own = floats(rows, columns) + part(shape, rows * columns, is_single);
            most = most.max(above + below + left + own);
            below += floats(shared.min(rows), columns);
            left = floats(rows, shared.min(columns));
        }
        above = below;
    }
    most
}

/// The memory of decoding one frame of latents, with what is kept for the next: the first one, which makes one frame, or any
/// other.
pub(super) fn part(shape: &VaeShape, area: i64, is_first: bool) -> i64 {
    let mut most = Most {
        shape,
        area,
        bytes: 0,
    };
    most.walk(is_first);
    most.bytes + decoder::kept_bytes(shape, area)
}

// === impl Most ===

impl Most<'_> {
    fn walk(&mut self, is_first: bool) {
        let dims = self.shape.decoder_dims();
        let wide = dims[0];
        self.looking_back(self.shape.z_dim, wide, 1, 1, 0);
        self.residual(wide, wide, 1, 1);
        // Queries, keys and values as the convolution makes them and as attention takes them, around what is mixed.
        self.saw((1 + 3 + 3 + 2) * self.size(wide, 1, 1));
        let (mut scale, mut frames) = (1, 1);
        for level in 0..4 {
            let mut from = if level == 0 { dims[0] } else { dims[level] / 2 };
            let to = dims[level + 1];
            for _ in 0..=self.shape.num_res_blocks {
                self.residual(from, to, frames, scale);
                from = to;
            }
            let Some(doubles_time) = self.shape.temporal_upsample().get(level).copied() else {
                continue;
            };
            if doubles_time && !is_first {
                self.looking_back(to, 2 * to, frames, scale, 0);
                // The halves, and the same in turn.
                self.saw(2 * self.size(2 * to, frames, scale));
                frames *= 2;
            }
            // The frames, the same one by one, and enlarged.
            let small = self.size(to, frames, scale);
            self.saw((1 + 1 + 4) * small);
            scale *= 2;
            let made = self.convolution(to, frames, to / 2, frames, 9, scale);
            self.saw(made);
        }
        self.looking_back(dims[4], COLOURS, frames, scale, 0);
    }

    /// Two convolutions around which the input goes too.
    fn residual(&mut self, from: i64, to: i64, frames: i64, scale: i64) {
        let (x, inner) = (self.size(from, frames, scale), self.size(to, frames, scale));
        self.looking_back(from, to, frames, scale, x);
        self.looking_back(to, to, frames, scale, x);
        if from != to {
            let shortcut = self.convolution(from, frames, to, frames, 1, scale);
            // What comes from an upsampling is laid out anew for it.
            self.saw(inner + x + shortcut);
        }
    }

    /// A convolution of three frames, beside so many other bytes: its input is joined with the two frames before, and gone.
    fn looking_back(&mut self, from: i64, to: i64, frames: i64, scale: i64, beside: i64) {
        let joined = self.size(from, frames + 2, scale);
        self.saw(beside + self.size(from, frames, scale) + joined);
        self.saw(beside + self.convolution(from, frames + 2, to, frames, 27, scale));
    }

    /// What a convolution takes, its input and output included.
    fn convolution(&self, from: i64, frames_in: i64, to: i64, frames_out: i64, taps: i64, scale: i64) -> i64 {
        let blocks = |channels: i64| (channels + BLOCK - 1) / BLOCK * BLOCK;
        // Few channels are read as they are, unless it is of one place.
        let laid_in = if from < BLOCK && taps > 1 {
            0
        } else {
            self.size(blocks(from), frames_in, scale)
        };
        let laid_out = self.size(blocks(to), frames_out, scale);
        let weights = FP32 * blocks(from) * blocks(to) * taps;
        let plain = self.size(to, frames_out, scale);
        self.size(from, frames_in, scale) + laid_out + (laid_in + weights).max(plain)
    }

    /// The bytes of a tensor.
    fn size(&self, channels: i64, frames: i64, scale: i64) -> i64 {
        FP32 * channels * frames * scale * scale * self.area
    }

    fn saw(&mut self, bytes: i64) {
        self.bytes = self.bytes.max(bytes);
    }
}
