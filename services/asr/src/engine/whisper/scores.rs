//! What comes out of the decoder, brought to the processor as numbers of 32 bits.

use std::ops::Range;

use half::f16;
use polyphony_inference::ort::session::SessionOutputs;
use polyphony_inference::ort::value::{DynValue, TensorElementType};

use super::error::WhisperError;
use super::network::lacks;

/// Scores of the next token, for each position that was put in.
#[derive(Debug)]
pub(super) struct Scores {
    logits: DynValue,
    positions: usize,
    vocabulary: usize,
}

/// One layer's cross-attention: `[heads][tokens][audio positions]`.
#[derive(Debug)]
pub(super) struct Attention {
    values: Vec<f32>,
    heads: usize,
    tokens: usize,
    positions: usize,
}

// === impl Scores ===

impl Scores {
    pub(super) fn of(outputs: &mut SessionOutputs<'_>) -> Result<Self, WhisperError> {
        let logits = outputs.remove("logits").ok_or_else(|| lacks("logits"))?;
        let shape = shape_of(&logits);
        match shape.as_slice() {
            &[1, positions, vocabulary] if positions > 0 && vocabulary > 0 => Ok(Self {
                logits,
                positions,
                vocabulary,
            }),
            _ => Err(WhisperError::Output(format!("logits of shape {shape:?}"))),
        }
    }

    /// After the position that was put in at `index`.
    pub(super) fn at(&self, index: usize) -> Result<Vec<f32>, WhisperError> {
        let start = index.min(self.positions - 1) * self.vocabulary;
        floats(&self.logits, start..start + self.vocabulary)
    }

    /// After the last position.
    pub(super) fn last(&self) -> Result<Vec<f32>, WhisperError> {
        self.at(self.positions - 1)
    }
}

// === impl Attention ===

impl Attention {
    pub(super) fn of(value: &DynValue) -> Result<Self, WhisperError> {
        let shape = shape_of(value);
        match shape.as_slice() {
            &[1, heads, tokens, positions] => Ok(Self {
                values: floats(value, 0..heads * tokens * positions)?,
                heads,
                tokens,
                positions,
            }),
            _ => Err(WhisperError::Output(format!(
                "cross-attentions of shape {shape:?}"
            ))),
        }
    }

    /// The attention of a token to the audio positions.
    pub(super) fn row(&self, head: usize, token: usize) -> Result<&[f32], WhisperError> {
        if head >= self.heads || token >= self.tokens {
            return Err(WhisperError::Output(format!(
                "no attention of head {head} at token {token}"
            )));
        }
        Ok(&self.values[(head * self.tokens + token) * self.positions..][..self.positions])
    }
}

fn shape_of(value: &DynValue) -> Vec<usize> {
    let shape = value
        .dtype()
        .tensor_shape()
        .map(|shape| shape.to_vec())
        .unwrap_or_default();
    shape
        .into_iter()
        .map(|size| usize::try_from(size).unwrap_or(0))
        .collect()
}

/// A part of a tensor of 32 or 16 bits.
fn floats(value: &DynValue, part: Range<usize>) -> Result<Vec<f32>, WhisperError> {
    let short = || WhisperError::Output("a tensor is shorter than its shape".to_owned());
    if value.dtype().tensor_type() == Some(TensorElementType::Float16) {
        let halves = value.try_extract_tensor::<f16>()?.1.get(part).ok_or_else(short)?;
        Ok(halves.iter().map(|half| half.to_f32()).collect())
    } else {
        Ok(value
            .try_extract_tensor::<f32>()?
            .1
            .get(part)
            .ok_or_else(short)?
            .to_vec())
    }
}
