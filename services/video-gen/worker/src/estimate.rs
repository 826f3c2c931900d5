//! What a video takes, from the shapes alone: memory of the device at its highest point, and arithmetic.
//!
//! Parameters and multiplications are counted, layer by layer, and are exact. Memory beside the weights is counted too: the
//! tensors that live at once in the widest place of each stage. Time is not told here: it is arithmetic by a device's rate,
//! which only the device knows.

use crate::protocol::{Order, Precision};
use crate::shapes::{LatentSize, Shapes};

mod decoder;
mod decoding;
mod denoising;
mod encoding;

/// The rows and columns of pixels that a tile of the decoder makes.
pub const TILE_PIXELS: i64 = 256;
/// The rows and columns of pixels from one tile to the next.
pub const TILE_STRIDE_PIXELS: i64 = 192;

/// Bytes of a 32-bit float.
const FP32: i64 = 4;

/// As much memory as the tensors of a denoising step may take and be small enough for a processor's heap (`ffi`): six of 32 MiB.
const HEAP_BYTES: i64 = 192 << 20;

/// What is to be made, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames.
    pub num_frames: u32,
    /// Denoising steps.
    pub num_inference_steps: u32,
    /// With guidance, which makes two of each step.
    pub guided: bool,
    /// Decoded in tiles.
    pub vae_tiling: bool,
    /// The text encoder is in memory only while prompts are read, and the rest of the model only afterwards.
    pub offload_text_encoder: bool,
}

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The weights in the device's memory, at most at once, in bytes.
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

/// The weights of a model in memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightBytes {
    /// The text encoder's.
    pub text_encoder: u64,
    /// The transformer's and the VAE's.
    pub transformer_and_vae: u64,
}

// === impl Geometry ===

impl Geometry {
    /// That of an order.
    pub fn of(order: &Order) -> Self {
        Self {
            width: order.width,
            height: order.height,
            num_frames: order.num_frames,
            num_inference_steps: order.num_inference_steps,
            guided: order.guidance_scale > 1.0,
            vae_tiling: order.vae_tiling,
            offload_text_encoder: order.offload_text_encoder,
        }
    }
}

// === impl WeightBytes ===

impl WeightBytes {
    /// Of a model in this precision. What diffusers keeps in FP32 is FP32 here.
    pub fn of(shapes: &Shapes, precision: Precision) -> Self {
        let narrow = width(precision);
        let (transformer, kept) = denoising::parameters(&shapes.transformer);
        Self {
            text_encoder: bytes(narrow * encoding::parameters(&shapes.text)),
            transformer_and_vae: bytes(
                narrow * transformer + FP32 * (kept + decoder::parameters(&shapes.vae)),
            ),
        }
    }

    /// The most of them at once: all, or the larger half where the halves take turns.
    pub fn most(&self, offload_text_encoder: bool) -> u64 {
        if offload_text_encoder {
            self.text_encoder.max(self.transformer_and_vae)
        } else {
            self.text_encoder + self.transformer_and_vae
        }
    }
}

/// Estimates a video of a model.
pub fn estimate(shapes: &Shapes, geometry: &Geometry, precision: Precision) -> Estimate {
    let latents = LatentSize::of(geometry.width, geometry.height, geometry.num_frames);
    let tokens = latents.tokens(shapes.transformer.patch_size);
    let passes = if geometry.guided { 2 } else { 1 };
    let (narrow, transformer) = (width(precision), &shapes.transformer);
    let weights = WeightBytes::of(shapes, precision);

    let vectors = passes * encoding::kept_bytes(&shapes.text, narrow);
    let reading = vectors + encoding::bytes(&shapes.text, narrow);
    let kept = passes * denoising::prompt_bytes(transformer, narrow)
        + denoising::kept_bytes(transformer, &latents, geometry.num_inference_steps.into());
    let tile = TILE_PIXELS / crate::shapes::SPATIAL_SCALE;
    let glanced = if geometry.vae_tiling {
        latents.rows.min(tile) * latents.columns.min(tile)
    } else {
        latents.rows * latents.columns
    };
    // A preview decodes a frame between two steps.
    let step = passes * tokens * denoising::token_bytes(transformer, narrow);
    let denoising = kept + step.max(decoding::part(&shapes.vae, glanced, true));
    let decoding = decoding::bytes(
        &shapes.vae,
        &latents,
        geometry.num_frames.into(),
        geometry.vae_tiling,
    );
    // The heap of the steps stays in use after them, and has gaps: up to 1.7 times what lived in it at once was measured.
    let heap = if step > HEAP_BYTES { 0 } else { 2 * step };
    let making = vectors + denoising.max(decoding + heap);

    let peak_memory_bytes = if geometry.offload_text_encoder {
        let reading = weights.text_encoder + bytes(reading);
        reading.max(weights.transformer_and_vae + bytes(making))
    } else {
        weights.most(false) + bytes(reading.max(making))
    };
    Estimate {
        weights_bytes: weights.most(geometry.offload_text_encoder),
        peak_memory_bytes,
        text_flops: bytes(2 * encoding::flops(&shapes.text)),
        step_flops: bytes(passes * denoising::flops(transformer, tokens)),
        decode_flops: bytes(decoder::flops(&shapes.vae, &latents)),
    }
}

fn width(precision: Precision) -> i64 {
    match precision {
        Precision::Bf16 => 2,
        Precision::Fp32 => FP32,
    }
}

/// Sizes are checked before, so these never are negative.
fn bytes(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
