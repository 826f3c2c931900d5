//! The text encoder: parameters, arithmetic, and the memory of reading a prompt, as `wan/umt5` computes it.

use super::FP32;
use crate::shapes::{TEXT_TOKENS, TextShape};

pub(super) fn parameters(shape: &TextShape) -> i64 {
    let inner = shape.num_heads * shape.d_kv;
    let attention = 4 * shape.d_model * inner + shape.relative_attention_num_buckets * shape.num_heads;
    let block = attention + 3 * shape.d_model * shape.d_ff + 2 * shape.d_model;
    shape.vocab_size * shape.d_model + shape.num_layers * block + shape.d_model
}

/// Floating-point operations of one prompt; there are two with guidance, and the estimate says two always.
pub(super) fn flops(shape: &TextShape) -> i64 {
    let inner = shape.num_heads * shape.d_kv;
    let linear = 2 * (4 * shape.d_model * inner + 3 * shape.d_model * shape.d_ff);
    TEXT_TOKENS * shape.num_layers * (linear + 4 * TEXT_TOKENS * inner)
}

/// The memory of reading a prompt as long as they may be, in bytes, where numbers have `narrow` bytes.
pub(super) fn bytes(shape: &TextShape, narrow: i64) -> i64 {
    let inner = shape.num_heads * shape.d_kv;
    // The stream; what is normed, in FP32 with two more on the way.
    let stream = shape.d_model * (2 * narrow + 3 * FP32);
    // Queries, keys, values, what is mixed; the bias of distances, also as the kernel takes it.
    let attention = 4 * inner * narrow + 2 * shape.num_heads * TEXT_TOKENS * narrow;
    let feed_forward = 2 * shape.d_ff * narrow;
    // Which bucket each distance is in, in eight bytes.
    let buckets = 8 * TEXT_TOKENS;
    TEXT_TOKENS * (stream + attention.max(feed_forward) + buckets)
}

/// What is kept of a prompt: its vectors.
pub(super) fn kept_bytes(shape: &TextShape, narrow: i64) -> i64 {
    TEXT_TOKENS * shape.d_model * narrow
}
