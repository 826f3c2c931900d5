//! The arguments of what makes videos.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use super::seconds;

#[derive(Debug, clap::Args)]
pub(crate) struct Video {
    #[command(subcommand)]
    pub(crate) command: VideoCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VideoCommand {
    /// Make a video, watch it being made, and download it. Stopping this command does not stop the video: `watch` and
    /// `download` go on with it.
    Generate(Box<Generate>),
    /// Watch a video being made.
    Watch {
        /// The video, as `generate` or `list` names it.
        video: String,
        /// Keep the newest preview in this file, a JPEG image.
        #[arg(long, value_name = "FILE")]
        preview: Option<PathBuf>,
    },
    /// Cancel videos. It returns when the device is free.
    Cancel {
        /// The videos.
        #[arg(value_name = "VIDEO", required = true)]
        videos: Vec<String>,
    },
    /// List your videos, the newest first.
    List {
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<VideoState>,
        /// Only those of this model.
        #[arg(long, value_name = "ID")]
        model: Option<String>,
    },
    /// Tell what waits and what the device does.
    Queue,
    /// Tell what a video would take, without making it.
    Estimate(Box<Spec>),
    /// Download a video. A download that was interrupted goes on where it was.
    Download {
        /// The video.
        video: String,
        /// The file; it is there when it is complete.
        #[arg(short, long, value_name = "FILE", default_value = "video.mp4")]
        output: PathBuf,
    },
    /// Delete videos with their files.
    Delete {
        /// The videos.
        #[arg(value_name = "VIDEO", required = true)]
        videos: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) spec: Spec,
    /// The file; it is there when it is complete.
    #[arg(short, long, value_name = "FILE", default_value = "video.mp4")]
    pub(crate) output: PathBuf,
    /// Do not wait: print the video's name.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Its place in the queue.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) priority: VideoPriority,
    /// It fails when it is not done after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) deadline: Option<Duration>,
    /// A UUID: asking again with the same one leads to the same video.
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<String>,
    /// Keep the newest preview in this file, a JPEG image.
    #[arg(long, value_name = "FILE")]
    pub(crate) preview: Option<PathBuf>,
}

/// What to make.
#[derive(Debug, clap::Args)]
pub(crate) struct Spec {
    /// What is to be seen.
    #[arg(value_name = "PROMPT")]
    pub(crate) prompt: String,
    /// What is not to be seen. Default: the model's.
    #[arg(long, value_name = "TEXT")]
    pub(crate) negative_prompt: Option<String>,
    /// The model, as `wan2.1-t2v-1.3b`. Default: the best on disk, and where there is none a toy of random weights.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// The size in pixels, as `832x480`. Default: the model's.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size)]
    pub(crate) size: Option<(u32, u32)>,
    /// How many seconds. Default: the model's longest.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "frames")]
    pub(crate) duration: Option<Duration>,
    /// How many frames.
    #[arg(long, value_name = "N")]
    pub(crate) frames: Option<u32>,
    /// Frames a second. Default: the model's.
    #[arg(long, value_name = "N")]
    pub(crate) fps: Option<f32>,
    /// Makes it repeatable. Default: chosen.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Denoising steps. Default: the model's.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u32>,
    /// How closely to follow the prompt, 0 to 30; 1 is off. Default: the model's.
    #[arg(long, value_name = "SCALE")]
    pub(crate) guidance: Option<f32>,
    /// The solver. Default: the model's.
    #[arg(long, value_enum)]
    pub(crate) sampler: Option<VideoSampler>,
    /// How much of the time is spent at high noise. Default: the model's.
    #[arg(long, value_name = "SHIFT")]
    pub(crate) flow_shift: Option<f32>,
    /// Decode in tiles: slower, in less memory. Default: when it would not fit otherwise.
    #[arg(long)]
    pub(crate) vae_tiling: bool,
    /// Random weights: the picture means nothing. For tests.
    #[arg(long)]
    pub(crate) dummy: bool,
}

/// Where in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum VideoPriority {
    /// When nothing else waits.
    Low,
    /// In turn.
    #[default]
    Normal,
    /// Before the others, for those who may.
    High,
}

/// A solver of the denoising equation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VideoSampler {
    /// UniPC.
    Unipc,
    /// Euler.
    Euler,
}

/// Where a video is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VideoState {
    /// It waits.
    Queued,
    /// Its model is loaded.
    Loading,
    /// It is made.
    Running,
    /// It is there.
    Succeeded,
    /// It could not be made.
    Failed,
    /// It was cancelled.
    Cancelled,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once(['x', 'X', '×']);
    sides
        .and_then(|(width, height)| Some((width.trim().parse().ok()?, height.trim().parse().ok()?)))
        .ok_or_else(|| "give width and height in pixels, as 832x480".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers() {
        assert_eq!(size("832x480"), Ok((832, 480)));
        for text in ["", "832", "x", "832x", "ax480", "832x480x3", "-1x5"] {
            size(text).expect_err(text);
        }
    }
}
