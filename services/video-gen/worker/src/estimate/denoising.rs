//! The transformer: parameters, arithmetic, and the memory of denoising, as `wan/transformer` computes it. A tensor that is
//! added there, or lives longer, must be added here.

use super::FP32;
use crate::shapes::{LatentSize, TEXT_TOKENS, TransformerShape};

/// Parameters in the transformer's precision, and those that are kept in FP32.
pub(super) fn parameters(shape: &TransformerShape) -> (i64, i64) {
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

/// Floating-point operations of one pass over the tokens.
pub(super) fn flops(shape: &TransformerShape, tokens: i64) -> i64 {
    let dim = shape.inner_dim();
    // Self-attention has four linear layers; cross-attention two, for keys and values are made once a prompt.
    let linear = 2 * (6 * dim * dim + 2 * dim * shape.ffn_dim);
    let attention = 4 * dim * (tokens + TEXT_TOKENS);
    let patch: i64 = shape.patch_size.iter().product();
    let ends = 2 * dim * patch * (shape.in_channels + shape.out_channels);
    tokens * (shape.num_layers * (linear + attention) + ends)
}

/// What lives at once for a token in the widest place of a block, in bytes, where numbers have `narrow` bytes.
pub(super) fn token_bytes(shape: &TransformerShape, narrow: i64) -> i64 {
    let dim = shape.inner_dim();
    // What is narrow goes through FP32 in a copy, and comes back in another.
    let (widened, narrowed) = if narrow < FP32 { (FP32, narrow) } else { (0, 0) };
    // The stream, what was normed, the queries, what becomes the keys; their norm has two more on the way.
    let keys = 4 * narrow + widened + 2 * FP32;
    // The same while the keys are turned.
    let turning = 4 * narrow + widened + FP32 + narrowed;
    // The stream, queries, keys, values, and what is mixed.
    let attention = 5 * narrow;
    // The stream and what was made, while they are added.
    let gated = narrow + 2 * widened + narrowed;
    // The stream, what goes in or comes out, and what is within.
    let feed_forward = 2 * narrow * dim + shape.ffn_dim * narrow;
    (dim * keys.max(turning).max(attention).max(gated)).max(feed_forward)
}

/// What is kept of a prompt for all steps: the keys and values of each block.
pub(super) fn prompt_bytes(shape: &TransformerShape, narrow: i64) -> i64 {
    2 * shape.num_layers * TEXT_TOKENS * shape.inner_dim() * narrow
}

/// What is kept for all steps besides: the turns of positions, the embeddings of times, and of the solver the noise, the
/// latents of two steps with what they would be without noise, and what it makes of them.
pub(super) fn kept_bytes(shape: &TransformerShape, latents: &LatentSize, steps: i64) -> i64 {
    let turns = latents.tokens(shape.patch_size) * shape.attention_head_dim * FP32;
    let times = steps * 7 * shape.inner_dim() * FP32;
    let numbers = shape.in_channels * latents.frames * latents.rows * latents.columns;
    turns + times + 8 * numbers * FP32
}
