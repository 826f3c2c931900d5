//! A block: self-attention, cross-attention, feed-forward.

use tch::{Kind, Tensor};

use super::EPSILON;
use crate::error::Result;
use crate::shapes::TransformerShape;
use crate::wan::checkpoint::Checkpoint;
use crate::wan::layers::{LayerNorm, Linear, attention, layer_norm};
use crate::wan::rope::Rope;

/// A block of the transformer.
#[derive(Debug)]
pub(super) struct Block {
    heads: i64,
    /// `[1, 6, width]`: shift, scale and gate of the self-attention, then of the feed-forward.
    table: Tensor,
    /// To all tokens of the video.
    attn1: Attention,
    /// To the prompt, behind its norm.
    attn2: Attention,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

/// The layers of an attention. Queries and keys are normed over all heads together.
#[derive(Debug)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    q_norm: Tensor,
    k_norm: Tensor,
}

// === impl Block ===

impl Block {
    pub(super) fn new(from: &mut Checkpoint, name: &str, shape: &TransformerShape) -> Result<Self> {
        let width = shape.inner_dim();
        Ok(Self {
            heads: shape.num_attention_heads,
            table: from.kept(&format!("{name}.scale_shift_table"), &[1, 6, width])?,
            attn1: Attention::new(from, &format!("{name}.attn1"), width)?,
            attn2: Attention::new(from, &format!("{name}.attn2"), width)?,
            norm2: from.layer_norm(&format!("{name}.norm2"), width)?,
            up: from.linear(&format!("{name}.ffn.net.0.proj"), width, shape.ffn_dim)?,
            down: from.linear(&format!("{name}.ffn.net.2"), shape.ffn_dim, width)?,
        })
    }

    /// The keys and values of prompts `[prompts, tokens, width]`.
    pub(super) fn keys_and_values(&self, text: &Tensor) -> (Tensor, Tensor) {
        let keys = self.split(&rms_norm(&self.attn2.k.apply(text), &self.attn2.k_norm));
        let values = self.split(&self.attn2.v.apply(text));
        (keys.contiguous(), values.contiguous())
    }

    /// One block on `[batch, tokens, width]`. The batch may be one where there are several prompts: up to the first
    /// cross-attention nothing depends on them, so it is computed once and shared. What is no longer needed is dropped at
    /// once: of long videos each tensor is hundreds of megabytes.
    pub(super) fn apply(
        &self,
        x: Tensor,
        time: &Tensor,
        (keys, values): &(Tensor, Tensor),
        rope: &Rope,
    ) -> Tensor {
        let modulation = &self.table + time;
        let part = |index: i64| modulation.select(1, index).flatten(0, -1);
        // Scaling and shifting what was normed is what a norm's weight and bias do, in the same kernel.
        let normed = layer_norm(&x, Some(&(part(1) + 1.0)), Some(&part(0)), EPSILON);
        let mixed = self.self_attention(normed, rope);
        let mut x = gated(x, mixed, &part(2));
        let prompts = keys.size()[0];
        if x.size()[0] != prompts {
            x = x.expand([prompts, -1, -1], true);
        }
        x = &x + self.cross_attention(&x, keys, values);
        let normed = layer_norm(&x, Some(&(part(4) + 1.0)), Some(&part(3)), EPSILON);
        let fed = self.feed_forward(normed);
        gated(x, fed, &part(5))
    }

    fn self_attention(&self, x: Tensor, rope: &Rope) -> Tensor {
        let turned = |layer: &Linear, norm: &Tensor| {
            let heads = rms_norm(&layer.apply(&x), norm).unflatten(2, [self.heads, -1]);
            rope.apply(&heads).transpose(1, 2)
        };
        let queries = turned(&self.attn1.q, &self.attn1.q_norm);
        let keys = turned(&self.attn1.k, &self.attn1.k_norm);
        let values = self.split(&self.attn1.v.apply(&x));
        drop(x);
        let mixed = attention(&queries, &keys, &values, None, None);
        drop((queries, keys, values));
        self.attn1.join(&mixed)
    }

    fn cross_attention(&self, x: &Tensor, keys: &Tensor, values: &Tensor) -> Tensor {
        let normed = self.norm2.apply(x, EPSILON);
        let queries = self.split(&rms_norm(&self.attn2.q.apply(&normed), &self.attn2.q_norm));
        drop(normed);
        let mixed = attention(&queries, keys, values, None, None);
        drop(queries);
        self.attn2.join(&mixed)
    }

    fn feed_forward(&self, x: Tensor) -> Tensor {
        let mut inner = self.up.apply(&x);
        drop(x);
        self.down.apply(&inner.gelu_("tanh"))
    }

    /// `[batch, tokens, width]` to `[batch, heads, tokens, width of a head]`.
    fn split(&self, x: &Tensor) -> Tensor {
        x.unflatten(2, [self.heads, -1]).transpose(1, 2)
    }
}

// === impl Attention ===

impl Attention {
    fn new(from: &mut Checkpoint, name: &str, width: i64) -> Result<Self> {
        Ok(Self {
            q: from.linear(&format!("{name}.to_q"), width, width)?,
            k: from.linear(&format!("{name}.to_k"), width, width)?,
            v: from.linear(&format!("{name}.to_v"), width, width)?,
            o: from.linear(&format!("{name}.to_out.0"), width, width)?,
            q_norm: from.tensor(&format!("{name}.norm_q.weight"), &[width])?,
            k_norm: from.tensor(&format!("{name}.norm_k.weight"), &[width])?,
        })
    }

    /// Heads side by side again, through the last layer.
    fn join(&self, heads: &Tensor) -> Tensor {
        self.o.apply(&heads.transpose(1, 2).flatten(2, 3))
    }
}

fn rms_norm(x: &Tensor, weight: &Tensor) -> Tensor {
    let width = x.size().last().copied().unwrap_or(1);
    x.rms_norm([width], Some(weight), EPSILON)
}

/// Adds what a layer made, through its gate, in FP32; comes back in the kind of `x`. It takes `x`, whose place is used.
fn gated(x: Tensor, made: Tensor, gate: &Tensor) -> Tensor {
    let kind = x.kind();
    let mut sum = x.to_kind(Kind::Float);
    drop(x);
    let made = made.to_kind(Kind::Float);
    sum.addcmul_(&made, gate).to_kind(kind)
}
