//! What an order must be, as far as the order alone says. The service asks at submission, the worker again at receipt.

use super::Model;
use crate::protocol::Order;

/// The most pixels on a side.
const MAX_SIDE: u32 = 4096;
/// The longest prompt, in characters.
const MAX_PROMPT: usize = 4000;
/// The longest id of an order, in bytes.
const MAX_ID: usize = 128;
/// The most pixels of a frame: 1280x720 with what rounding adds. Positions beyond were never trained.
const MAX_PIXELS: u64 = 1280 * 736;

/// A field that cannot be so.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field} {problem}")]
pub struct Refused {
    /// Which, as the protocol calls it.
    pub field: &'static str,
    /// What is wrong and what it could be, to be read after the field's name.
    pub problem: String,
}

pub(super) fn check(model: &Model, order: &Order) -> Result<(), Refused> {
    let refuse = |field, problem: String| Err(Refused { field, problem });
    if order.id.is_empty() || order.id.len() > MAX_ID {
        return refuse("id", format!("must have 1 to {MAX_ID} bytes"));
    }
    for (field, text) in [
        ("prompt", &order.prompt),
        ("negative_prompt", &order.negative_prompt),
    ] {
        if text.chars().count() > MAX_PROMPT {
            return refuse(field, format!("has more than {MAX_PROMPT} characters"));
        }
    }
    for (field, pixels) in [("width", order.width), ("height", order.height)] {
        let multiple = model.size_multiple;
        if pixels == 0 || pixels > MAX_SIDE || !pixels.is_multiple_of(multiple) {
            return refuse(
                field,
                format!("is {pixels}; it must be a multiple of {multiple}, from {multiple} to {MAX_SIDE}"),
            );
        }
    }
    if u64::from(order.width) * u64::from(order.height) > MAX_PIXELS {
        return refuse(
            "width",
            format!(
                "times height is {}x{}; {} was trained for at most 1280x720",
                order.width, order.height, model.title
            ),
        );
    }
    let (frames, step) = (order.num_frames, model.frame_multiple);
    if frames == 0 || frames > model.max_frames || (frames - 1) % step != 0 {
        return refuse(
            "num_frames",
            format!(
                "is {frames}; it must be one more than a multiple of {step}, from 1 to {} ({} is near)",
                model.max_frames,
                model.nearest_frames(frames)
            ),
        );
    }
    if !(1..=200).contains(&order.num_inference_steps) {
        return refuse("num_inference_steps", "must be from 1 to 200".into());
    }
    if !(1.0..=120.0).contains(&order.frame_rate) {
        return refuse("frame_rate", "must be from 1 to 120".into());
    }
    if !(0.0..=30.0).contains(&order.guidance_scale) {
        return refuse("guidance_scale", "must be from 0 to 30".into());
    }
    if !(order.flow_shift > 0.0 && order.flow_shift <= 20.0) {
        return refuse("flow_shift", "must be more than 0, at most 20".into());
    }
    Ok(())
}
