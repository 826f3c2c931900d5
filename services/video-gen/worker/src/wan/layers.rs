//! The layers that both transformers are made of.

use tch::{Kind, Tensor};

/// A product with a matrix, and a bias.
#[derive(Debug)]
pub struct Linear {
    /// `[to, from]`.
    pub weight: Tensor,
    /// `[to]`.
    pub bias: Option<Tensor>,
}

/// A layer norm with weight and bias, in FP32.
#[derive(Debug)]
pub struct LayerNorm {
    /// `[width]`.
    pub weight: Tensor,
    /// `[width]`.
    pub bias: Tensor,
}

// === impl Linear ===

impl Linear {
    /// `[…, from]` to `[…, to]`.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

// === impl LayerNorm ===

impl LayerNorm {
    /// Norms the last axis, in FP32, and comes back in the kind that came in.
    pub fn apply(&self, x: &Tensor, epsilon: f64) -> Tensor {
        layer_norm(x, Some(&self.weight), Some(&self.bias), epsilon)
    }
}

/// Norms the last axis in FP32, with a weight and a bias of FP32, and comes back in the kind that came in.
pub fn layer_norm(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, epsilon: f64) -> Tensor {
    let width = x.size().last().copied().unwrap_or(1);
    x.to_kind(Kind::Float)
        .layer_norm([width], weight, bias, epsilon, false)
        .to_kind(x.kind())
}

/// Scaled dot-product attention of `[batch, heads, tokens, width]`; the scale is one over the root of the width unless it is
/// said.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, bias: Option<&Tensor>, scale: Option<f64>) -> Tensor {
    Tensor::scaled_dot_product_attention(q, k, v, bias, 0.0, false, scale, false)
}
