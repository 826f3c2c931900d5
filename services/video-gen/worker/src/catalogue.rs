//! The models by name: which can be had, what each can make, and its defaults.
//!
//! Nothing here looks at the disk; whether weights are there is the model store's to say.

use std::path::PathBuf;

use crate::protocol::{DummySize, Order, Sampler, Weights};
use crate::shapes::Shapes;

mod check;
mod wan;

pub use check::Refused;

/// A model that this worker makes videos with.
#[derive(Debug)]
pub struct Model {
    /// Its id.
    pub id: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its name for people.
    pub title: &'static str,
    /// Its repository on the model hub, in the diffusers layout.
    pub repository: &'static str,
    /// The licence of its weights, an SPDX id.
    pub license: &'static str,
    /// The sizes it was trained for, width and height, the default first.
    pub sizes: &'static [(u32, u32)],
    /// Width and height are multiples of this.
    pub size_multiple: u32,
    /// Frames are one more than a multiple of this.
    pub frame_multiple: u32,
    /// The most frames it was trained for.
    pub max_frames: u32,
    /// What it was made for, and what it should not show, in the words it was tuned with.
    pub negative_prompt: &'static str,
    /// The sizes of its layers.
    pub shapes: Shapes,
}

/// What an order has where nothing else was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames.
    pub num_frames: u32,
    /// Frames a second.
    pub frame_rate: f32,
    /// Denoising steps.
    pub num_inference_steps: u32,
    /// How closely to follow the prompt.
    pub guidance_scale: f32,
}

/// A model that cannot be had.
#[derive(Debug)]
pub struct Unavailable {
    /// Its id.
    pub id: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its name for people.
    pub title: &'static str,
    /// Why, for people.
    pub reason: &'static str,
    /// Whether anyone could have it.
    pub released: bool,
}

/// Why a name leads to no model.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// Nobody knows it.
    #[error("no model is called \"{name}\"; there are {known}")]
    Unknown {
        /// As it was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// It is known and cannot be had.
    #[error("{} cannot be had: {}", .0.title, .0.reason)]
    Unavailable(&'static Unavailable),
}

/// Every model that this worker makes videos with, the default first.
pub fn models() -> &'static [Model] {
    wan::MODELS
}

/// The models that are known and cannot be had.
pub fn unavailable() -> &'static [Unavailable] {
    UNAVAILABLE
}

/// The model of a name: an id or an alias, in any case of letters.
///
/// # Errors
///
/// A name that is unknown, or of a model that cannot be had.
pub fn find(name: &str) -> Result<&'static Model, Missing> {
    let is = |id: &str, aliases: &[&str]| {
        id.eq_ignore_ascii_case(name) || aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    };
    if let Some(model) = models().iter().find(|model| is(model.id, model.aliases)) {
        return Ok(model);
    }
    if let Some(model) = UNAVAILABLE.iter().find(|model| is(model.id, model.aliases)) {
        return Err(Missing::Unavailable(model));
    }
    Err(Missing::Unknown {
        name: name.chars().take(80).collect(),
        known: models()
            .iter()
            .map(|model| model.id)
            .collect::<Vec<_>>()
            .join(", "),
    })
}

const NOT_YET: &str = "this worker does not have it yet; wan2.1-t2v-1.3b and wan2.1-t2v-14b are there";

static UNAVAILABLE: &[Unavailable] = &[
    Unavailable {
        id: "wan2.2-ti2v-5b",
        aliases: &["wan2.2"],
        title: "Wan 2.2 TI2V 5B",
        reason: NOT_YET,
        released: true,
    },
    Unavailable {
        id: "wan2.2-t2v-a14b",
        aliases: &[],
        title: "Wan 2.2 T2V A14B",
        reason: NOT_YET,
        released: true,
    },
    Unavailable {
        id: "ltx-video-2b",
        aliases: &["ltx-video"],
        title: "LTX-Video 2B",
        reason: NOT_YET,
        released: true,
    },
    Unavailable {
        id: "ltx-video-13b",
        aliases: &[],
        title: "LTX-Video 13B",
        reason: NOT_YET,
        released: true,
    },
    Unavailable {
        id: "ltx-2",
        aliases: &["ltx2"],
        title: "LTX-2",
        reason: NOT_YET,
        released: true,
    },
    Unavailable {
        id: "magi-1",
        aliases: &["magi1"],
        title: "MAGI-1",
        reason: NOT_YET,
        released: true,
    },
    Unavailable {
        id: "waver-1.0",
        aliases: &["waver"],
        title: "Waver 1.0",
        reason: "its weights and code are unreleased",
        released: false,
    },
];

// === impl Model ===

impl Model {
    /// The sizes of the layers, of these weights. A folder has the model's own; the worker also takes one of toy size.
    pub fn shapes_of(&self, weights: &Weights) -> Shapes {
        match weights {
            Weights::Folder { .. }
            | Weights::Dummy {
                size: DummySize::Full,
            } => self.shapes,
            Weights::Dummy { size: DummySize::Toy } => Shapes::TOY,
        }
    }

    /// What an order has where nothing else was asked for. Toys are small and short, so that a processor makes one in
    /// seconds.
    pub fn defaults(&self, weights: &Weights) -> Defaults {
        let (width, height) = self.sizes.first().copied().unwrap_or((832, 480));
        match weights {
            Weights::Dummy { size: DummySize::Toy } => Defaults {
                width: 192,
                height: 112,
                num_frames: 17,
                frame_rate: 16.0,
                num_inference_steps: 8,
                guidance_scale: 5.0,
            },
            _ => Defaults {
                width,
                height,
                num_frames: self.max_frames,
                frame_rate: 16.0,
                num_inference_steps: 50,
                guidance_scale: 5.0,
            },
        }
    }

    /// An order with these defaults, whose prompt and file are still to be said.
    pub fn order(&self, id: &str, weights: Weights) -> Order {
        let Defaults {
            width,
            height,
            num_frames,
            frame_rate,
            num_inference_steps,
            guidance_scale,
        } = self.defaults(&weights);
        Order {
            id: id.to_owned(),
            model: self.id.to_owned(),
            weights,
            prompt: String::new(),
            negative_prompt: self.negative_prompt.to_owned(),
            width,
            height,
            num_frames,
            frame_rate,
            seed: 0,
            num_inference_steps,
            guidance_scale,
            sampler: Sampler::Unipc,
            flow_shift: self.flow_shift(width, height),
            vae_tiling: false,
            offload_text_encoder: false,
            preview_every_steps: 0,
            preview_folder: None,
            output: PathBuf::new(),
            receipt: String::new(),
        }
    }

    /// The share of high noise that fits a size: 3 up to 480p, 5 above.
    pub fn flow_shift(&self, width: u32, height: u32) -> f32 {
        if u64::from(width) * u64::from(height) > 832 * 480 {
            5.0
        } else {
            3.0
        }
    }

    /// The nearest number of frames that it can make, at least one.
    pub fn nearest_frames(&self, frames: u32) -> u32 {
        let steps = (frames.saturating_sub(1) + self.frame_multiple / 2) / self.frame_multiple;
        (steps * self.frame_multiple + 1).min(self.max_frames)
    }

    /// Whether it can make this order, as far as the order alone says.
    ///
    /// # Errors
    ///
    /// The first field that cannot be so, with what it could be.
    pub fn check(&self, order: &Order) -> Result<(), Refused> {
        check::check(self, order)
    }
}

#[cfg(test)]
mod tests;
