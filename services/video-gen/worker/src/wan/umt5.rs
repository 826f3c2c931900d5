//! umT5's encoder (Chung et al. 2023): tokens to vectors. T5 with a bias of distances in every layer, and no scale of
//! attention.

use tch::{Kind, Tensor};

use super::checkpoint::{Checkpoint, Footing};
use super::layers::{Linear, attention};
use crate::error::Result;
use crate::shapes::TextShape;
use crate::stop::Stop;

const EPSILON: f64 = 1e-6;

/// The encoder.
#[derive(Debug)]
pub struct Umt5 {
    shape: TextShape,
    embedding: Tensor,
    blocks: Vec<Block>,
    final_norm: Tensor,
    footing: Footing,
}

#[derive(Debug)]
struct Block {
    attention_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    /// `[buckets, heads]`.
    distances: Tensor,
    feed_forward_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

// === impl Umt5 ===

impl Umt5 {
    /// Builds the encoder.
    ///
    /// # Errors
    ///
    /// Weights that are absent, of another shape, or left over.
    pub fn new(mut from: Checkpoint, shape: &TextShape) -> Result<Self> {
        // Files have it by one of two names, or by both, which then are the same numbers.
        let names = ["shared.weight", "encoder.embed_tokens.weight"];
        let name = names.into_iter().find(|name| from.has(name)).unwrap_or(names[0]);
        from.pass_over(&names);
        let embedding = from.tensor(name, &[shape.vocab_size, shape.d_model])?;
        let blocks = (0..shape.num_layers)
            .map(|index| Block::new(&mut from, &format!("encoder.block.{index}.layer"), shape))
            .collect::<Result<_>>()?;
        Ok(Self {
            shape: *shape,
            embedding,
            blocks,
            final_norm: from.tensor("encoder.final_layer_norm.weight", &[shape.d_model])?,
            footing: from.finish()?,
        })
    }

    /// What its numbers take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.footing.bytes
    }

    /// The vectors `[1, tokens, width]` of a prompt's own tokens `[1, tokens]`, without padding: what comes after them is
    /// masked in the reference and changes nothing.
    ///
    /// # Errors
    ///
    /// It was given up.
    pub fn encode(&self, tokens: &Tensor, stop: &Stop) -> Result<Tensor> {
        let mut x = Tensor::embedding(&self.embedding, tokens, -1, false, false);
        let count = x.size()[1];
        let buckets = Tensor::from_slice(&distance_buckets(&self.shape, count))
            .view([count, count])
            .to_device(x.device());
        for block in &self.blocks {
            stop.check()?;
            x = block.apply(&x, &buckets, self.shape.num_heads);
        }
        Ok(rms_norm(&x, &self.final_norm))
    }
}

// === impl Block ===

impl Block {
    fn new(from: &mut Checkpoint, name: &str, shape: &TextShape) -> Result<Self> {
        let (width, inner) = (shape.d_model, shape.num_heads * shape.d_kv);
        let attention = format!("{name}.0.SelfAttention");
        let dense = format!("{name}.1.DenseReluDense");
        Ok(Self {
            attention_norm: from.tensor(&format!("{name}.0.layer_norm.weight"), &[width])?,
            q: from.product(&format!("{attention}.q"), width, inner)?,
            k: from.product(&format!("{attention}.k"), width, inner)?,
            v: from.product(&format!("{attention}.v"), width, inner)?,
            o: from.product(&format!("{attention}.o"), inner, width)?,
            distances: from.tensor(
                &format!("{attention}.relative_attention_bias.weight"),
                &[shape.relative_attention_num_buckets, shape.num_heads],
            )?,
            feed_forward_norm: from.tensor(&format!("{name}.1.layer_norm.weight"), &[width])?,
            gate: from.product(&format!("{dense}.wi_0"), width, shape.d_ff)?,
            up: from.product(&format!("{dense}.wi_1"), width, shape.d_ff)?,
            down: from.product(&format!("{dense}.wo"), shape.d_ff, width)?,
        })
    }

    fn apply(&self, x: &Tensor, buckets: &Tensor, heads: i64) -> Tensor {
        let normed = rms_norm(x, &self.attention_norm);
        let split = |layer: &Linear| layer.apply(&normed).unflatten(2, [heads, -1]).transpose(1, 2);
        let bias = Tensor::embedding(&self.distances, buckets, -1, false, false)
            .permute([2, 0, 1])
            .unsqueeze(0);
        let mixed = attention(
            &split(&self.q),
            &split(&self.k),
            &split(&self.v),
            Some(&bias),
            Some(1.0),
        );
        let x = x + self.o.apply(&mixed.transpose(1, 2).flatten(2, 3));
        let normed = rms_norm(&x, &self.feed_forward_norm);
        let mut gated = self.gate.apply(&normed).gelu_("tanh");
        x + self.down.apply(&gated.g_mul_(&self.up.apply(&normed)))
    }
}

/// T5's norm: no mean, no bias; the variance in FP32.
fn rms_norm(x: &Tensor, weight: &Tensor) -> Tensor {
    let wide = x.to_kind(Kind::Float);
    let variance = wide.square().mean_dim([-1i64].as_slice(), true, Kind::Float);
    (wide * (variance + EPSILON).rsqrt()).to_kind(x.kind()) * weight
}

/// Which bucket the distance from each token to each other is in, row by row: exact ones for near tokens, wider and wider
/// ones for far tokens, one for all beyond; half of them for tokens that come later.
fn distance_buckets(shape: &TextShape, count: i64) -> Vec<i64> {
    let half = shape.relative_attention_num_buckets / 2;
    let exact = half / 2;
    let far = (shape.relative_attention_max_distance as f32 / exact as f32).ln();
    let bucket = |distance: i64| {
        let near = distance.abs();
        let place = if near < exact {
            near
        } else {
            let ratio = (near as f32 / exact as f32).ln() / far;
            (exact + (ratio * (half - exact) as f32) as i64).min(half - 1)
        };
        if distance > 0 { half + place } else { place }
    };
    (0..count)
        .flat_map(|from| (0..count).map(move |to| bucket(to - from)))
        .collect()
}
