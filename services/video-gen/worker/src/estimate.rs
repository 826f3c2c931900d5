//! What a video takes, from the shapes alone: memory of the device at its highest point, and arithmetic.
//!
//! Parameters and multiplications are counted, layer by layer, and are exact. Memory beside the weights is a model: how many
//! tensors of the widest kind live at once. Time is not told here: it is arithmetic by a device's rate, which only the
//! device knows.

use crate::protocol::Precision;
use crate::shapes::{LatentSize, SPATIAL_SCALE, Shapes, TEXT_TOKENS, TextShape, TransformerShape};

mod decoder;

/// The rows and columns of pixels that a tile of the decoder makes.
pub const TILE_PIXELS: i64 = 256;

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames.
    pub num_frames: u32,
    /// With guidance, which makes two of each step.
    pub guided: bool,
    /// Decoded in tiles.
    pub vae_tiling: bool,
}

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The weights in the device's memory, in bytes.
    pub weights_bytes: u64,
    /// All of the device's memory at the highest point, weights included, in bytes.
    pub peak_memory_bytes: u64,
    /// Floating-point operations of reading the prompts.
    pub text_flops: u64,
    /// Floating-point operations of one denoising step.
    pub step_flops: u64,
    /// Floating-point operations of decoding.
    pub decode_flops: u64,
}

/// Estimates a video of a model.
pub fn estimate(shapes: &Shapes, geometry: &Geometry, precision: Precision) -> Estimate {
    let latents = LatentSize::of(geometry.width, geometry.height, geometry.num_frames);
    let tokens = latents.tokens(shapes.transformer.patch_size);
    let passes = if geometry.guided { 2 } else { 1 };
    let weights_bytes = weights_bytes(shapes, precision);
    let video = 3 * i64::from(geometry.num_frames) * i64::from(geometry.width) * i64::from(geometry.height);
    let denoising = passes * transformer_activations(&shapes.transformer, tokens, precision);
    let tile = TILE_PIXELS / SPATIAL_SCALE;
    let (rows, columns) = if geometry.vae_tiling {
        (latents.rows.min(tile), latents.columns.min(tile))
    } else {
        (latents.rows, latents.columns)
    };
    let frame = decoder::activation_bytes(&shapes.vae, rows, columns);
    // A preview decodes a frame between two steps.
    let denoising = passes * prompt_activations(&shapes.transformer, precision) + denoising.max(frame);
    // The frames as floats, once as they come and once as a whole.
    let decoding = frame + 2 * 4 * video;
    Estimate {
        weights_bytes,
        peak_memory_bytes: weights_bytes + bytes(denoising.max(decoding)),
        text_flops: bytes(2 * text_flops(&shapes.text)),
        step_flops: bytes(passes * transformer_flops(&shapes.transformer, tokens)),
        decode_flops: bytes(decoder::flops(&shapes.vae, &latents)),
    }
}

/// What the weights of a model take in memory, in bytes. What diffusers keeps in FP32 is FP32 here.
pub fn weights_bytes(shapes: &Shapes, precision: Precision) -> u64 {
    let narrow = width(precision);
    let (transformer, kept) = transformer_parameters(&shapes.transformer);
    bytes(
        narrow * (text_parameters(&shapes.text) + transformer)
            + 4 * (kept + decoder::parameters(&shapes.vae)),
    )
}

fn width(precision: Precision) -> i64 {
    match precision {
        Precision::Bf16 => 2,
        Precision::Fp32 => 4,
    }
}

/// Sizes are checked before, so these never are negative.
fn bytes(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn text_parameters(shape: &TextShape) -> i64 {
    let inner = shape.num_heads * shape.d_kv;
    let attention = 4 * shape.d_model * inner + shape.relative_attention_num_buckets * shape.num_heads;
    let block = attention + 3 * shape.d_model * shape.d_ff + 2 * shape.d_model;
    shape.vocab_size * shape.d_model + shape.num_layers * block + shape.d_model
}

/// One prompt; there are two with guidance, and the estimate says two always.
fn text_flops(shape: &TextShape) -> i64 {
    let inner = shape.num_heads * shape.d_kv;
    let linear = 2 * (4 * shape.d_model * inner + 3 * shape.d_model * shape.d_ff);
    TEXT_TOKENS * shape.num_layers * (linear + 4 * TEXT_TOKENS * inner)
}

/// Parameters in the transformer's precision, and those that are kept in FP32.
fn transformer_parameters(shape: &TransformerShape) -> (i64, i64) {
    let dim = shape.inner_dim();
    let linear = |from: i64, to: i64| from * to + to;
    let patch: i64 = shape.patch_size.iter().product();
    let attention = 4 * linear(dim, dim) + 2 * dim;
    let block = 2 * attention + linear(dim, shape.ffn_dim) + linear(shape.ffn_dim, dim);
    let embedders = linear(shape.in_channels * patch, dim)
        + linear(dim, 6 * dim)
        + linear(shape.text_dim, dim)
        + linear(dim, dim);
    let all = embedders + shape.num_layers * block + linear(dim, shape.out_channels * patch);
    // The embedder of time, the tables of scales and shifts, the one norm that has weights.
    let kept = linear(shape.freq_dim, dim) + linear(dim, dim) + shape.num_layers * (6 + 2) * dim + 2 * dim;
    (all, kept)
}

/// One pass over the tokens.
fn transformer_flops(shape: &TransformerShape, tokens: i64) -> i64 {
    let dim = shape.inner_dim();
    // Self-attention has four linear layers; cross-attention two, for keys and values are made once a prompt.
    let linear = 2 * (6 * dim * dim + 2 * dim * shape.ffn_dim);
    let attention = 4 * dim * (tokens + TEXT_TOKENS);
    let patch: i64 = shape.patch_size.iter().product();
    let ends = 2 * dim * patch * (shape.in_channels + shape.out_channels);
    tokens * (shape.num_layers * (linear + attention) + ends)
}

/// What lives at once in the widest place of a block: the stream, its normed form in FP32 and narrow, and either queries,
/// keys, values and what rotating them takes, or the feed-forward before and after its activation.
fn transformer_activations(shape: &TransformerShape, tokens: i64, precision: Precision) -> i64 {
    let (dim, narrow) = (shape.inner_dim(), width(precision));
    let stream = dim * (2 * narrow + 2 * 4);
    let attention = dim * (4 * narrow + 3 * 4);
    let feed_forward = 2 * shape.ffn_dim * narrow;
    tokens * (stream + attention.max(feed_forward))
}

/// The keys and values of a prompt, which each block keeps for all steps.
fn prompt_activations(shape: &TransformerShape, precision: Precision) -> i64 {
    2 * shape.num_layers * TEXT_TOKENS * shape.inner_dim() * width(precision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn at_480p(id: &str) -> Estimate {
        let geometry = Geometry {
            width: 832,
            height: 480,
            num_frames: 81,
            guided: true,
            vae_tiling: false,
        };
        estimate(&catalogue::find(id).unwrap().shapes, &geometry, Precision::Bf16)
    }

    /// Figures of the authors: 1.3 and 14 billion parameters beside umT5-XXL's 5.7.
    #[test]
    fn parameters_are_those_of_the_published_models() {
        let shape = |id| catalogue::find(id).unwrap().shapes;
        let count = |id| {
            let (narrow, kept) = transformer_parameters(&shape(id).transformer);
            narrow + kept
        };
        assert_eq!(count("wan2.1-t2v-1.3b"), 1_418_996_800);
        assert_eq!(count("wan2.1-t2v-14b"), 14_288_491_584);
        assert_eq!(text_parameters(&Shapes::WAN.text), 5_680_910_336);
    }

    /// 0.57 and 3.3 PFLOP a guided step at 480p, worked out by hand from the paper's sizes.
    #[test]
    fn a_step_costs_what_its_products_do() {
        let small = at_480p("wan2.1-t2v-1.3b").step_flops as f64 / 1e15;
        let large = at_480p("wan2.1-t2v-14b").step_flops as f64 / 1e15;
        assert!((0.55..0.59).contains(&small), "{small}");
        assert!((3.2..3.4).contains(&large), "{large}");
    }

    /// 40 blocks of two times 512 tokens, 5,120 wide, for two prompts in two bytes.
    #[test]
    fn what_is_kept_of_prompts_counts() {
        let shape = catalogue::find("wan2.1-t2v-14b").unwrap().shapes.transformer;
        assert_eq!(2 * prompt_activations(&shape, Precision::Bf16), 838_860_800);
    }

    #[test]
    fn tiles_take_less_memory_and_longer_videos_more() {
        let geometry = Geometry {
            width: 1280,
            height: 720,
            num_frames: 81,
            guided: false,
            vae_tiling: false,
        };
        let of = |geometry| estimate(&Shapes::WAN, &geometry, Precision::Bf16).peak_memory_bytes;
        assert!(
            of(Geometry {
                vae_tiling: true,
                ..geometry
            }) < of(geometry)
        );
        assert!(
            of(Geometry {
                num_frames: 41,
                ..geometry
            }) < of(geometry)
        );
        assert!(of(geometry) > weights_bytes(&Shapes::WAN, Precision::Bf16));
    }
}
