//! The nouns: what is to be made, what it takes, how far it is, what came of it. Plain data; some of it is kept with the
//! job as JSON, which only this crate reads.

use std::time::Duration;

use polyphony_video_worker::protocol::{Order, Precision, Stage, Weights};
use serde::{Deserialize, Serialize};

/// A video to be made, with every default filled in: the payload of its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the worker is told. Its id and its files are filled in when it is begun.
    pub order: Order,
    /// `sha256:` of the weights' files; empty: they are random, or not known yet.
    pub model_digest: String,
    /// The id of the call that asked for it.
    pub call: String,
    /// Multiplications and additions of all of it, for the time it takes.
    pub work: Work,
}

/// Floating-point operations of each stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Reading the prompt.
    pub text: f64,
    /// All denoising steps.
    pub denoising: f64,
    /// From latents to frames.
    pub decoding: f64,
}

/// How far a video is: the progress of its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What is made.
    pub plan: Plan,
    /// The worker that makes it, or made it. None: none yet.
    pub maker: Option<Maker>,
    /// Where it is. None: not begun.
    pub progress: Option<Progress>,
    /// The step that the last preview shows; 0: there is none.
    pub preview_step: u32,
    /// What came of it.
    pub film: Option<Film>,
}

/// The worker that makes a video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Maker {
    /// "cpu", "cuda:0".
    pub device: String,
    /// As "libtorch 2.11.0".
    pub version: String,
    /// How long loading the model took for this video, in seconds.
    pub load: f64,
}

/// How far a video is, while it is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What is done now.
    pub stage: Stage,
    /// Denoising steps that are done.
    pub step: u32,
    /// Parts of the decoding that are done, and all of them.
    pub decoded: (u32, u32),
    /// How long the last step took, in seconds; 0: none is done.
    pub step_seconds: f64,
    /// Memory of the device in use.
    pub memory_bytes: u64,
}

/// A video that is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// Its size.
    pub size_bytes: u64,
    /// `sha256:` over its bytes, in hexadecimal.
    pub digest: String,
    /// Memory of the device at the highest point.
    pub peak_memory_bytes: u64,
    /// How long it took from the prompt to the file, without loading, in seconds.
    pub seconds: f64,
}

/// What the device is, as its worker told.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// "cpu", "cuda:0".
    pub name: String,
    /// "NVIDIA H200", or the processor's name.
    pub title: String,
    /// Its memory in bytes.
    pub total_memory_bytes: u64,
    /// What was free of it when the worker started.
    pub free_memory_bytes: u64,
    /// What transformers are computed in.
    pub precision: Precision,
    /// As "libtorch 2.11.0".
    pub version: String,
}

/// What a video takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    /// Memory of the device at the highest point.
    pub peak_memory_bytes: u64,
    /// What of it can be had.
    pub available_memory_bytes: u64,
    /// Making it.
    pub inference: Duration,
    /// Loading the model before; zero: it is in memory.
    pub load: Duration,
    /// The time is that of videos like it, and not worked out.
    pub measured: bool,
}

/// A picture of how a video looks now.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The step that it shows.
    pub step: u32,
    /// The frame that it shows, from 0.
    pub frame: u32,
    /// A JPEG image.
    pub image: Vec<u8>,
}

// === impl Plan ===

impl Plan {
    /// Its weights are random: the picture means nothing.
    pub const fn is_dummy(&self) -> bool {
        matches!(self.order.weights, Weights::Dummy { .. })
    }
}

// === impl Work ===

impl Work {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.text + self.denoising + self.decoding
    }
}

// === impl Told ===

impl Told {
    /// Before it is begun.
    pub const fn planned(plan: Plan) -> Self {
        Self {
            plan,
            maker: None,
            progress: None,
            preview_step: 0,
            film: None,
        }
    }

    /// How much of the whole is done, 0 to 1.
    pub fn share(&self) -> f64 {
        let Some(progress) = &self.progress else {
            return 0.0;
        };
        if self.film.is_some() {
            return 1.0;
        }
        let work = &self.plan.work;
        let steps = f64::from(self.plan.order.num_inference_steps.max(1));
        let (part, parts) = progress.decoded;
        let done = match progress.stage {
            Stage::TextEncoding => 0.0,
            Stage::Denoising => work.text + work.denoising * f64::from(progress.step) / steps,
            Stage::Decoding => {
                let decoded = f64::from(part) / f64::from(parts.max(1));
                work.text + work.denoising + work.decoding * decoded
            }
            // What is left is quick, and not nothing.
            Stage::Encoding => work.total() * 0.99,
        };
        (done / work.total().max(1.0)).clamp(0.0, 1.0)
    }

    /// How long it will still take, by the last step. None: not known.
    pub fn remaining(&self) -> Option<Duration> {
        let progress = self.progress.as_ref()?;
        if progress.step_seconds <= 0.0 || self.film.is_some() {
            return None;
        }
        let work = &self.plan.work;
        let steps = f64::from(self.plan.order.num_inference_steps.max(1));
        let second = work.denoising / steps / progress.step_seconds;
        let left = work.total() * (1.0 - self.share());
        Duration::try_from_secs_f64(left / second).ok()
    }
}
