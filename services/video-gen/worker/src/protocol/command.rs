//! What the parent tells the worker.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A line of the worker's standard input: `{"command": "load", …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Brings a model into the device's memory: `loading`, then `loaded` or `failed`. One that is there is `loaded` at once.
    Load {
        /// Its id in the [`catalogue`](crate::catalogue).
        model: String,
        /// Its weights.
        weights: Weights,
        /// Its text encoder takes turns with the rest of it: now the weights are checked, and each part comes when an order
        /// needs it.
        #[serde(default)]
        offload_text_encoder: bool,
    },
    /// Takes a model out of the device's memory: `unloaded`, also when it was not there.
    Unload {
        /// Its id.
        model: String,
        /// Its weights.
        weights: Weights,
    },
    /// Makes a video. A model that is not loaded is loaded first, with `loading` and `loaded`.
    Generate {
        /// What to make.
        order: Box<Order>,
    },
    /// Gives an order up, whether it is under way or waits: `cancelled` when the device is free, which is within a
    /// denoising step. An order that is unknown or done is not answered, for its end was told already.
    Cancel {
        /// The order's id.
        id: String,
    },
}

/// Where weights come from. Two of them are two models in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum Weights {
    /// A folder in the layout of a diffusers repository (`model_index.json`, `transformer/`, `text_encoder/`, `vae/`,
    /// `scheduler/`, `tokenizer/`).
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// Random ones, the same every time. The picture means nothing, and says so.
    Dummy {
        /// How large.
        size: DummySize,
    },
}

/// How large a model of random weights is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DummySize {
    /// The model's structure with few and small layers: for a machine without a GPU.
    Toy,
    /// The model's own sizes: for measuring.
    Full,
}

/// A video to make, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What it is called in events: 1 to 128 bytes, unlike any other that was not ended yet.
    pub id: String,
    /// The model's id in the [`catalogue`](crate::catalogue).
    pub model: String,
    /// Its weights.
    pub weights: Weights,
    /// What is to be seen.
    pub prompt: String,
    /// What is not to be seen; empty is nothing.
    pub negative_prompt: String,
    /// Pixels across, a multiple of the model's [`size_multiple`](crate::catalogue::Model::size_multiple).
    pub width: u32,
    /// Pixels down, likewise.
    pub height: u32,
    /// Frames: one more than a multiple of the model's [`frame_multiple`](crate::catalogue::Model::frame_multiple).
    pub num_frames: u32,
    /// Frames a second, 1 to 120. It is written into the file and changes nothing of the picture.
    pub frame_rate: f32,
    /// The same seed makes the same bytes, on the same device and version.
    pub seed: u64,
    /// Denoising steps, 1 to 200.
    pub num_inference_steps: u32,
    /// How closely to follow the prompt, 0 to 30; at 1 and below there is no guidance, and a step costs half.
    pub guidance_scale: f32,
    /// The solver.
    pub sampler: Sampler,
    /// How much of the time is spent at high noise, more than 0, at most 20.
    pub flow_shift: f32,
    /// Decode in tiles: slower, in less memory, with seams that are blended.
    pub vae_tiling: bool,
    /// The text encoder is in memory while prompts are read and the rest of the model afterwards, never both: in less
    /// memory, with time for loading. The bytes of the video are the same.
    #[serde(default)]
    pub offload_text_encoder: bool,
    /// A preview every so many steps; 0 is none.
    pub preview_every_steps: u32,
    /// Where previews are written: a folder that exists. None: the folder of `output`. Who reads them deletes them.
    #[serde(default)]
    pub preview_folder: Option<PathBuf>,
    /// The MP4 file to write, in a folder that exists. It appears whole or not at all.
    pub output: PathBuf,
    /// What is written into the file's metadata, as its comment: how it was made.
    pub receipt: String,
}

/// A solver of the denoising equation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// UniPC (Zhao et al. 2023) of order 2, for flow matching.
    Unipc,
    /// Euler, for flow matching.
    Euler,
}
