//! Takes mixes apart as demucs does, around whatever network takes one segment apart.
//!
//! In reading order: `plan` checks what was asked for against what a model can do, `shifts` draws the random shifts,
//! `level` is the loudness that a network is taught to expect, `overlap` goes through a mix segment by segment and adds up
//! what they give, `rates` brings a mix to the model's rate and channels and the stems back, and `separator` is all of it,
//! for a stream and for a recording. `stft` is the transform that some exports leave outside of their graph. Parity is with
//! demucs 4.1.0 (Rouard et al. 2023, "Hybrid Transformers for Music Source Separation"), `demucs.apply` and `demucs.api`.
//!
//! No model is opened here.

mod level;
mod overlap;
mod plan;
mod rates;
mod separator;
mod shifts;
mod stft;

use polyphony_audio::pcm::SampleRate;
use polyphony_inference::Cancel;

pub use plan::plan;
pub use separator::{StreamSeparator, separate};
pub use stft::Transform;

use crate::engine::Error;

/// What a network can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Samples a second of all that goes in and out.
    pub rate: SampleRate,
    /// Channels of all that goes in and out.
    pub channels: usize,
    /// Samples of a segment.
    pub segment: usize,
    /// The stems it gives, in order.
    pub stems: Vec<String>,
    /// For each of the networks that are used together: how much each stem of it counts. One network has one row of ones.
    pub weights: Vec<Vec<f32>>,
}

/// Takes one segment apart.
pub trait Network: Send + Sync {
    /// What it can do.
    fn shape(&self) -> &Shape;

    /// How many segments it can take apart at once.
    fn width(&self) -> usize;

    /// One segment by one of the networks: `[channel][sample]` to `[stem][channel][sample]`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], or what the model says.
    fn run(&self, network: usize, mix: Vec<f32>, cancel: &Cancel) -> Result<Vec<f32>, Error>;
}
