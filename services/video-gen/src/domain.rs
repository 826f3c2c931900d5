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
    /// How long loading the model or parts of it took for this video, in seconds.
    pub load: f64,
    /// The text encoder was not in memory while the video was made of its vectors.
    #[serde(default)]
    pub text_encoder_offloaded: bool,
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
    /// What the worker itself takes of it, without any model.
    pub base_memory_bytes: u64,
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
    /// The text encoder leaves memory before the video is denoised.
    pub text_encoder_offloaded: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first version kept it. What is kept outlives programs: a field that comes later needs a default.
    const KEPT: &str = r#"{"plan":{"order":{"id":"new","model":"wan2.1-t2v-1.3b","weights":{"from":"folder","path":"/m"},
        "prompt":"a cat","negative_prompt":"","width":832,"height":480,"num_frames":81,"frame_rate":16.0,"seed":7,
        "num_inference_steps":50,"guidance_scale":5.0,"sampler":"unipc","flow_shift":3.0,"vae_tiling":false,
        "preview_every_steps":0,"preview_folder":null,"output":"","receipt":"{}"},"model_digest":"sha256:00","call":"c",
        "work":{"text":1.0,"denoising":6.0,"decoding":1.0}},"maker":{"device":"cuda:0","version":"libtorch 2.11.0",
        "load":1.5},"progress":{"stage":"denoising","step":25,"decoded":[0,0],"step_seconds":2.0,"memory_bytes":9},
        "preview_step":25,"film":null}"#;

    #[test]
    fn what_the_first_version_kept_can_be_read() {
        let told: Told = serde_json::from_str(KEPT).expect("as it was");
        assert!(!told.plan.order.offload_text_encoder);
        assert_eq!(told.plan.order.num_inference_steps, 50);
        // Of eight parts, one for the prompt and half of six are done; a step of an eighth of a part takes two seconds.
        assert!((told.share() - 0.5).abs() < 1e-9);
        let left = told.remaining().expect("a step is done").as_secs_f64();
        assert!((left - 4.0 / 0.06).abs() < 1e-6, "{left}");
    }
}
