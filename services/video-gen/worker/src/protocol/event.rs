//! What the worker tells its parent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Weights;

/// A line of the worker's standard output: `{"event": "ready", …}`. Seconds are of the wall clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The first line: the device is there. When it is not, `failed` comes instead, and the worker exits.
    Ready {
        /// [`VERSION`](super::VERSION).
        protocol: u32,
        /// The worker's own version.
        version: String,
        /// "cpu", "cuda:0".
        device: String,
        /// "NVIDIA H200", or the processor's name.
        device_name: String,
        /// The device's memory in bytes.
        total_memory_bytes: u64,
        /// How much of it is free now, in bytes.
        free_memory_bytes: u64,
        /// What the worker takes of it besides models and videos, in bytes: its libraries, and what they keep or will. 0 on
        /// a GPU, where only tensors are counted.
        base_memory_bytes: u64,
        /// LibTorch's version, as "2.11.0".
        torch_version: String,
        /// What numbers transformers are computed in.
        precision: Precision,
    },
    /// A model is being brought into memory.
    Loading {
        /// Its id.
        model: String,
        /// Its weights.
        weights: Weights,
    },
    /// A model is in memory.
    Loaded {
        /// Its id.
        model: String,
        /// Its weights.
        weights: Weights,
        /// What its weights take of the device at most at once, in bytes.
        bytes: u64,
        /// How long it took; next to nothing when it was there.
        seconds: f64,
    },
    /// A model is no longer in memory.
    Unloaded {
        /// Its id.
        model: String,
        /// Its weights.
        weights: Weights,
        /// What was freed, in bytes; 0 when it was not there.
        bytes: u64,
    },
    /// An order has come to another stage. The first one tells that it was taken up.
    Stage {
        /// The order's id.
        id: String,
        /// Which.
        stage: Stage,
    },
    /// A part of the model was brought into memory for an order, because it was not there.
    PartLoaded {
        /// The order's id.
        id: String,
        /// Which.
        part: Part,
        /// What it takes of the device, in bytes.
        bytes: u64,
        /// How long it took.
        seconds: f64,
    },
    /// A denoising step is done.
    Step {
        /// The order's id.
        id: String,
        /// Steps that are done, from 1.
        step: u32,
        /// Steps in all.
        of: u32,
        /// How long this one took.
        seconds: f64,
        /// The device's memory that is in use, in bytes.
        memory_bytes: u64,
    },
    /// Frames were decoded.
    Decoded {
        /// The order's id.
        id: String,
        /// Parts of the decoding that are done, from 1.
        part: u32,
        /// Parts in all.
        of: u32,
    },
    /// There is a preview.
    Preview {
        /// The order's id.
        id: String,
        /// The step it shows.
        step: u32,
        /// The frame it shows, from 0.
        frame: u32,
        /// A JPEG image, whole.
        path: PathBuf,
    },
    /// The file is there, whole and synced.
    Done {
        /// The order's id.
        id: String,
        /// Its size in bytes.
        size_bytes: u64,
        /// SHA-256 of its bytes, hexadecimal.
        sha256: String,
        /// Its frames.
        frames: u32,
        /// The device's memory in use at the highest point, `base_memory_bytes` included, in bytes.
        peak_memory_bytes: u64,
        /// What took how long.
        timings: Timings,
    },
    /// The order was given up; nothing of it is left, and the device is free.
    Cancelled {
        /// The order's id.
        id: String,
    },
    /// An order, a load or a line has failed; nothing of it is left, and the worker goes on.
    Failed {
        /// The order's id; none when it is no order that failed.
        id: Option<String>,
        /// The model that was to be loaded or used, where one is known.
        model: Option<String>,
        /// What kind of failure.
        kind: FailureKind,
        /// What is wrong and what helps, for people.
        message: String,
    },
}

/// A stage in the making of a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the prompt.
    TextEncoding,
    /// Denoising.
    Denoising,
    /// From latents to frames.
    Decoding,
    /// From frames to a file.
    Encoding,
}

/// A part of a model that is in memory as a whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What makes vectors of prompts.
    TextEncoder,
    /// What makes a video of them.
    TransformerAndVae,
}

/// What numbers transformers are computed in. The VAE is always FP32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// bfloat16; what must be FP32 stays so.
    Bf16,
    /// 32-bit floats.
    Fp32,
}

/// What took how long, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// Loading the model or parts of it; 0 when it was in memory.
    pub load: f64,
    /// Reading the prompts.
    pub text_encoding: f64,
    /// Denoising, previews included.
    pub denoising: f64,
    /// From latents to frames.
    pub decoding: f64,
    /// From frames to a synced file.
    pub encoding: f64,
}

/// What kind of failure it is, which is whose fault it is and whether it can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The order or the line is wrong: it will fail again.
    InvalidArgument,
    /// No such model.
    UnknownModel,
    /// The weights are not there, or are not the model's.
    Weights,
    /// The device has not enough memory, or is not to be had.
    Device,
    /// A file could not be written.
    Storage,
    /// A fault of the worker.
    Internal,
}
