//! The names video generation is measured by. Calls themselves are counted by the chassis.

use metrics::{counter, gauge, histogram};

/// Videos that came to their end. Labels `model`, `state` (`succeeded`, `failed`, `cancelled`, `requeued`).
const VIDEOS: &str = "polyphony_video_gen_videos_total";
/// Seconds from the prompt to the file. Label `model`.
const SECONDS: &str = "polyphony_video_gen_inference_seconds";
/// Seconds of a denoising step. Label `model`.
const STEP: &str = "polyphony_video_gen_step_seconds";
/// Workers that died by themselves or were killed for their silence.
const DEATHS: &str = "polyphony_video_gen_worker_deaths_total";
/// Videos that wait.
const WAITING: &str = "polyphony_video_gen_waiting_videos";
/// Memory of the device in use, in bytes: of a video at its last step, else of the models in memory.
const MEMORY: &str = "polyphony_video_gen_device_memory_bytes";

pub(crate) fn ended(model: &str, state: &'static str) {
    counter!(VIDEOS, "model" => model.to_owned(), "state" => state).increment(1);
}

pub(crate) fn made(model: &str, took: f64) {
    histogram!(SECONDS, "model" => model.to_owned()).record(took);
}

pub(crate) fn step(model: &str, took: f64, memory_bytes: u64) {
    histogram!(STEP, "model" => model.to_owned()).record(took);
    memory(memory_bytes);
}

pub(crate) fn memory(bytes: u64) {
    gauge!(MEMORY).set(bytes as f64);
}

pub(crate) fn died() {
    counter!(DEATHS).increment(1);
}

pub(crate) fn waiting(depth: u32) {
    gauge!(WAITING).set(f64::from(depth));
}
