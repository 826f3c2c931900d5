//! Rotary positions of video: each pair of a head's numbers is turned by an angle that grows with the token's frame, row or
//! column; a part of the pairs belongs to each of the three.

use tch::{Device, Kind, Tensor};

use crate::shapes::{LatentSize, TransformerShape};

/// The base of the angles.
const THETA: f64 = 10_000.0;

/// The turns of all tokens of a video.
#[derive(Debug)]
pub struct Rope {
    /// Complex, `[1, tokens, 1, width / 2]`.
    turns: Tensor,
}

// === impl Rope ===

impl Rope {
    /// The turns of a video of this size. Angles are worked out in FP64 and rounded once, as the reference does.
    pub fn new(shape: &TransformerShape, latents: &LatentSize, device: Device) -> Self {
        let [pt, ph, pw] = shape.patch_size;
        let (frames, rows, columns) = (latents.frames / pt, latents.rows / ph, latents.columns / pw);
        let space = 2 * (shape.attention_head_dim / 6);
        let time = shape.attention_head_dim - 2 * space;
        let all = |axis: &Tensor, place: [i64; 3]| {
            axis.view([place[0], place[1], place[2], -1])
                .expand([frames, rows, columns, -1], true)
        };
        let turns = Tensor::cat(
            &[
                all(&turns(time, frames), [frames, 1, 1]),
                all(&turns(space, rows), [1, rows, 1]),
                all(&turns(space, columns), [1, 1, columns]),
            ],
            3,
        );
        Self {
            turns: turns
                .reshape([1, frames * rows * columns, 1, -1])
                .to_device(device),
        }
    }

    /// Turns `[batch, tokens, heads, width]`, in FP32, and comes back in the kind that came in.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let pairs = x.to_kind(Kind::Float).unflatten(-1, [-1, 2]).view_as_complex();
        (pairs * &self.turns)
            .view_as_real()
            .flatten(-2, -1)
            .to_kind(x.kind())
    }
}

/// The turns of the positions of one axis: complex, `[positions, width / 2]`.
fn turns(width: i64, positions: i64) -> Tensor {
    let numbers: Vec<f32> = (0..positions)
        .flat_map(|position| {
            (0..width / 2).flat_map(move |pair| {
                let angle = position as f64 * (1.0 / THETA.powf((2 * pair) as f64 / width as f64));
                [angle.cos() as f32, angle.sin() as f32]
            })
        })
        .collect();
    Tensor::from_slice(&numbers)
        .view([positions, width / 2, 2])
        .view_as_complex()
}
