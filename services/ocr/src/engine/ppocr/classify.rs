//! Whether a line stands on its head.

use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Cancel, Error, SessionPool};

use super::tensor::Levels;
use crate::domain::Picture;
use crate::page::resize::resize;

/// Less sure than this, a line is left as it is.
const SURE: f32 = 0.9;
/// The size of a line where the graph leaves it open.
const SIZE: (u32, u32) = (192, 48);

/// The model that tells lines that stand on their head.
pub(super) struct Classifier {
    pool: SessionPool,
    input: String,
    width: u32,
    height: u32,
    levels: Levels,
}

// === impl Classifier ===

impl Classifier {
    pub(super) fn new(pool: SessionPool) -> Result<Self, Error> {
        let (inputs, outputs) = (pool.inputs(), pool.outputs());
        let shape = inputs.first().map(|input| input.shape.as_slice());
        let (1, 1, Some(&[_, 3, height, width])) = (inputs.len(), outputs.len(), shape) else {
            let problem =
                "expected a classifier of lines with one input [N, 3, height, width] and one output [N, 2]";
            return Err(Error::unfit(pool.path(), problem));
        };
        let side = |declared: i64, usual: u32| {
            u32::try_from(declared)
                .ok()
                .filter(|&side| side > 0)
                .unwrap_or(usual)
        };
        Ok(Self {
            input: inputs[0].name.clone(),
            width: side(width, SIZE.0),
            height: side(height, SIZE.1),
            pool,
            levels: Levels::of_lines(),
        })
    }

    /// The probability that a line stands on its head.
    pub(super) fn upside_down(&self, line: &Picture, cancel: &Cancel) -> Result<f32, Error> {
        let ratio = f64::from(line.width()) / f64::from(line.height().max(1));
        let width = ((f64::from(self.height) * ratio).ceil() as u32).clamp(1, self.width);
        let planes = self
            .levels
            .planes(&resize(line, width, self.height), self.width as usize);
        let shape = [1, 3, self.height as usize, self.width as usize];
        let input = TensorRef::from_array_view((shape, planes.as_slice()))?;
        let inputs = polyphony_inference::ort::inputs![self.input.as_str() => input];
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let outputs = session.run(inputs)?;
        match outputs[0].try_extract_tensor::<f32>()? {
            (_, &[_, turned]) => Ok(turned),
            (shape, _) => {
                let problem = format!("gave {shape:?}; expected the probabilities of two classes");
                Err(Error::unfit(self.pool.path(), problem))
            }
        }
    }
}

/// Whether a line of this probability is to be turned.
pub(super) fn is_sure(upside_down: f32) -> bool {
    upside_down > SURE
}
