//! The diffusion transformer: from latents, a time and a prompt to the flow of the latents.
//!
//! Blocks of self-attention over all tokens of the video, cross-attention to the prompt, and a feed-forward; the time shifts,
//! scales and gates each of them. What is done here once and not in every step: the prompt's keys and values
//! ([`Prompts`]), the embeddings of all times ([`Times`]), the turns of positions ([`Rope`]).

use tch::{Kind, Tensor};

use super::checkpoint::{Checkpoint, Footing};
use super::layers::{Linear, layer_norm};
use super::rope::Rope;
use crate::error::Result;
use crate::shapes::{TEXT_TOKENS, TransformerShape};
use crate::stop::Stop;

mod block;

use block::Block;

/// Of all norms.
const EPSILON: f64 = 1e-6;

/// The transformer.
#[derive(Debug)]
pub struct Transformer {
    shape: TransformerShape,
    kind: Kind,
    patch_weight: Tensor,
    patch_bias: Tensor,
    time: [Linear; 2],
    time_projection: Linear,
    text: [Linear; 2],
    blocks: Vec<Block>,
    /// `[1, 2, width]`: the shift and scale of the last norm.
    table: Tensor,
    out: Linear,
    footing: Footing,
}

/// Keys and values of prompts, for each block: `[prompts, heads, tokens, width]`.
#[derive(Debug)]
pub struct Prompts {
    blocks: Vec<(Tensor, Tensor)>,
}

/// The embeddings of all times of a schedule.
#[derive(Debug)]
pub struct Times {
    /// `[times, width]`, in the transformer's kind.
    embedded: Tensor,
    /// `[times, 6, width]`, in FP32.
    projected: Tensor,
}

// === impl Prompts ===

impl Prompts {
    /// How many prompts there are: two with guidance.
    pub fn count(&self) -> i64 {
        self.blocks.first().map_or(0, |(keys, _)| keys.size()[0])
    }
}

// === impl Transformer ===

impl Transformer {
    /// Builds the transformer.
    ///
    /// # Errors
    ///
    /// Weights that are absent, of another shape, or left over.
    pub fn new(mut from: Checkpoint, shape: &TransformerShape) -> Result<Self> {
        let (width, [pt, ph, pw]) = (shape.inner_dim(), shape.patch_size);
        let condition = "condition_embedder";
        let patch = pt * ph * pw;
        Ok(Self {
            shape: *shape,
            kind: from.device().kind(),
            patch_weight: from.tensor("patch_embedding.weight", &[width, shape.in_channels, pt, ph, pw])?,
            patch_bias: from.tensor("patch_embedding.bias", &[width])?,
            time: [
                from.linear_kept(
                    &format!("{condition}.time_embedder.linear_1"),
                    shape.freq_dim,
                    width,
                )?,
                from.linear_kept(&format!("{condition}.time_embedder.linear_2"), width, width)?,
            ],
            time_projection: from.linear(&format!("{condition}.time_proj"), width, 6 * width)?,
            text: [
                from.linear(
                    &format!("{condition}.text_embedder.linear_1"),
                    shape.text_dim,
                    width,
                )?,
                from.linear(&format!("{condition}.text_embedder.linear_2"), width, width)?,
            ],
            blocks: (0..shape.num_layers)
                .map(|index| Block::new(&mut from, &format!("blocks.{index}"), shape))
                .collect::<Result<_>>()?,
            table: from.kept("scale_shift_table", &[1, 2, width])?,
            out: from.linear("proj_out", width, shape.out_channels * patch)?,
            footing: from.finish()?,
        })
    }

    /// What its numbers take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.footing.bytes
    }

    /// Its sizes.
    pub fn shape(&self) -> &TransformerShape {
        &self.shape
    }

    /// Makes the keys and values of prompts, each the encoder's vectors `[1, tokens, width]`. What a prompt lacks to
    /// [`TEXT_TOKENS`] is zeros, and those are attended to, as in training.
    ///
    /// # Errors
    ///
    /// It was given up.
    pub fn read(&self, prompts: &[Tensor], stop: &Stop) -> Result<Prompts> {
        let padded: Vec<Tensor> = prompts
            .iter()
            .map(|vectors| {
                let missing = TEXT_TOKENS - vectors.size()[1];
                vectors.to_kind(self.kind).constant_pad_nd([0, 0, 0, missing])
            })
            .collect();
        let [first, second] = &self.text;
        let text = second.apply(&first.apply(&Tensor::cat(&padded, 0)).gelu("tanh"));
        let blocks = self
            .blocks
            .iter()
            .map(|block| {
                stop.check()?;
                Ok(block.keys_and_values(&text))
            })
            .collect::<Result<_>>()?;
        Ok(Prompts { blocks })
    }

    /// Embeds times, 0 to 1,000: sinusoids through two layers.
    pub fn embed_times(&self, times: &[f64]) -> Times {
        let half = self.shape.freq_dim / 2;
        let device = self.table.device();
        let rates = (Tensor::arange(half, (Kind::Float, device)) * (-(10_000f64.ln()) / half as f64)).exp();
        let times: Vec<f32> = times.iter().map(|time| *time as f32).collect();
        let angles = Tensor::from_slice(&times).to_device(device).unsqueeze(1) * rates.unsqueeze(0);
        let sinusoids = Tensor::cat(&[angles.cos(), angles.sin()], 1);
        let [first, second] = &self.time;
        let embedded = second.apply(&first.apply(&sinusoids).silu()).to_kind(self.kind);
        let projected = self.time_projection.apply(&embedded.silu()).unflatten(1, [6, -1]);
        Times {
            embedded,
            projected: projected.to_kind(Kind::Float),
        }
    }

    /// The flow `[prompts, channels, frames, rows, columns]` of latents `[1, channels, frames, rows, columns]` at the
    /// `step`-th time, for each prompt.
    ///
    /// # Errors
    ///
    /// It was given up.
    pub fn flow(
        &self,
        latents: &Tensor,
        times: &Times,
        step: i64,
        prompts: &Prompts,
        rope: &Rope,
        stop: &Stop,
    ) -> Result<Tensor> {
        let [pt, ph, pw] = self.shape.patch_size;
        let size = latents.size();
        let (frames, rows, columns) = (size[2] / pt, size[3] / ph, size[4] / pw);
        let patches = latents.to_kind(self.kind).conv3d(
            &self.patch_weight,
            Some(&self.patch_bias),
            [pt, ph, pw],
            [0, 0, 0],
            [1, 1, 1],
            1,
        );
        let mut x = patches.flatten(2, -1).transpose(1, 2).contiguous();
        let time = times.projected.narrow(0, step, 1);
        for (block, keys_and_values) in self.blocks.iter().zip(&prompts.blocks) {
            stop.check()?;
            x = block.apply(x, &time, keys_and_values, rope);
        }
        let last = (&self.table + times.embedded.narrow(0, step, 1).unsqueeze(1)).to_kind(Kind::Float);
        let (shift, scale) = (last.select(1, 0).flatten(0, -1), last.select(1, 1).flatten(0, -1));
        let normed = layer_norm(&x, Some(&(scale + 1.0)), Some(&shift), EPSILON);
        let flow = self.out.apply(&normed);
        Ok(flow
            .reshape([prompts.count(), frames, rows, columns, pt, ph, pw, -1])
            .permute([0, 7, 1, 4, 2, 5, 3, 6])
            .flatten(6, 7)
            .flatten(4, 5)
            .flatten(2, 3))
    }
}
