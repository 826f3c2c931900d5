//! Reads a line.
//!
//! RapidOCR reads lines in groups of six of like proportions, each padded to the longest of its group, and what is read
//! depends a little on the padding. So that text stays the same, each line gets the width it would have in its group,
//! but is read alone: then threads share the lines evenly, and memory does not grow with the group.

use polyphony_inference::ort::value::TensorRef;
use polyphony_inference::{Cancel, Error, SessionPool};

use super::ctc::{Dictionary, Reading};
use super::tensor::Levels;
use crate::domain::Picture;
use crate::page::resize::resize;

/// The height of a line where the graph leaves it open.
const HEIGHT: u32 = 48;
/// The width, at least, for [`HEIGHT`].
const LEAST_WIDTH: f64 = 320.0;
/// Lines of a group.
const GROUP: usize = 6;
/// The widest line that is read, in heights: more would take seconds and is no line.
const WIDEST: f64 = 200.0;

/// The model that reads lines.
pub(super) struct Recognizer {
    pool: SessionPool,
    input: String,
    height: u32,
    dictionary: Dictionary,
    levels: Levels,
}

// === impl Recognizer ===

impl Recognizer {
    /// `list`: the characters, one a line, if not in the model's own metadata.
    pub(super) fn new(pool: SessionPool, list: Option<String>) -> Result<Self, Error> {
        let (inputs, outputs) = (pool.inputs(), pool.outputs());
        let shape = inputs.first().map(|input| input.shape.as_slice());
        let (1, 1, Some(&[_, 3, height, width])) = (inputs.len(), outputs.len(), shape) else {
            let problem =
                "expected a recogniser of lines with one input [N, 3, height, width] and one output";
            return Err(Error::unfit(pool.path(), problem));
        };
        if width > 0 {
            let problem = format!("reads lines of width {width} only; export it with an open width");
            return Err(Error::unfit(pool.path(), problem));
        }
        let list = match list {
            Some(list) => list,
            None => {
                let session = pool.lease();
                let metadata = session.metadata()?;
                let character = ["character", "dictionary"]
                    .into_iter()
                    .find_map(|key| metadata.custom(key));
                character.ok_or_else(|| {
                    Error::unfit(
                        pool.path(),
                        "has no list of characters; put its keys file (one a line) beside it",
                    )
                })?
            }
        };
        let declared = outputs[0].shape.last().copied().unwrap_or(-1);
        let count = list.lines().count();
        let classes = usize::try_from(declared)
            .ok()
            .filter(|&classes| classes > 0)
            .unwrap_or(count + 2);
        let dictionary = Dictionary::parse(&list, classes).ok_or_else(|| {
            Error::unfit(
                pool.path(),
                format!("knows {classes} classes, and its list has {count} characters"),
            )
        })?;
        Ok(Self {
            input: inputs[0].name.clone(),
            height: u32::try_from(height)
                .ok()
                .filter(|&height| height > 0)
                .unwrap_or(HEIGHT),
            pool,
            dictionary,
            levels: Levels::of_lines(),
        })
    }

    /// The width, in columns, at which each of these lines is read; a line is given by its width and height.
    pub(super) fn widths(&self, lines: &[(u32, u32)]) -> Vec<u32> {
        let ratio = |&(width, height): &(u32, u32)| f64::from(width) / f64::from(height.max(1));
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by(|&a, &b| ratio(&lines[a]).total_cmp(&ratio(&lines[b])));
        let mut widths = vec![0; lines.len()];
        for group in order.chunks(GROUP) {
            let least = LEAST_WIDTH / f64::from(HEIGHT);
            let widest = group
                .iter()
                .map(|&i| ratio(&lines[i]))
                .fold(least, f64::max)
                .min(WIDEST);
            for &i in group {
                widths[i] = (f64::from(self.height) * widest) as u32;
            }
        }
        widths
    }

    /// What a line says, read at a width.
    pub(super) fn read(&self, line: &Picture, width: u32, cancel: &Cancel) -> Result<Reading, Error> {
        let ratio = f64::from(line.width()) / f64::from(line.height().max(1));
        let own = ((f64::from(self.height) * ratio).ceil() as u32).clamp(1, width.max(1));
        let planes = self
            .levels
            .planes(&resize(line, own, self.height), width as usize);
        let shape = [1, 3, self.height as usize, width as usize];
        let input = TensorRef::from_array_view((shape, planes.as_slice()))?;
        let inputs = polyphony_inference::ort::inputs![self.input.as_str() => input];
        let mut session = self.pool.lease_unless(|| cancel.is_cancelled())?;
        let outputs = session.run(inputs)?;
        let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
        if shape.last().copied() != i64::try_from(self.dictionary.classes()).ok() {
            let problem = format!("gave {shape:?}; expected {} classes", self.dictionary.classes());
            return Err(Error::unfit(self.pool.path(), problem));
        }
        Ok(self.dictionary.decode(values, own as f32 / width as f32))
    }
}
