//! Videos, the queue and estimates as text and as JSON.

use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use serde_json::{Value, json};

use crate::output;
use crate::wire::duration;

/// How much of a prompt is shown in a list.
const SHOWN: usize = 60;

pub(super) fn video(video: &pb::Video, json: bool) -> anyhow::Result<()> {
    if json {
        return output::object(&object(video));
    }
    let prompt = video.spec.as_ref().map_or("", |spec| spec.prompt.as_str());
    let shown: String = prompt.chars().take(SHOWN).collect();
    output::line(&format!(
        "{}  {:9}  {}",
        video.name,
        state(video.state()),
        shown.replace('\n', " ")
    ))
}

pub(super) fn object(video: &pb::Video) -> Value {
    let seconds = |span: Option<prost_types::Duration>| span.map(|span| duration(Some(span)).as_secs_f64());
    json!({
        "video": video.name,
        "operation": video.operation,
        "state": state(video.state()),
        "model": video.spec.as_ref().map(|spec| &spec.model),
        "prompt": video.spec.as_ref().map(|spec| &spec.prompt),
        "seed": video.spec.as_ref().and_then(|spec| spec.seed),
        "attempts": video.attempts,
        "dummyWeights": video.dummy_weights,
        "textEncoderOffloaded": video.text_encoder_offloaded,
        "error": video.error.as_ref().map(|error| &error.message),
        "queue": video.queue.as_ref().map(|queue| json!({
            "position": queue.position,
            "depth": queue.depth,
            "waitSeconds": seconds(queue.estimated_wait_duration),
        })),
        "progress": video.progress.as_ref().map(|progress| json!({
            "stage": stage(progress.stage()),
            "step": progress.step,
            "totalSteps": progress.total_steps,
            "percent": progress.progress_percent,
            "remainingSeconds": seconds(progress.remaining_duration),
            "memoryBytes": progress.memory_bytes,
        })),
        "file": video.file.as_ref().map(|file| json!({
            "sizeBytes": file.size_bytes,
            "digest": file.digest,
            "numFrames": file.num_frames,
            "frameRate": file.frame_rate,
        })),
    })
}

pub(super) fn queue(queue: &pb::GetQueueResponse, json: bool) -> anyhow::Result<()> {
    if json {
        let devices: Vec<Value> = queue.devices.iter().map(device).collect();
        return output::object(&json!({
            "depth": queue.depth,
            "maxDepth": queue.max_depth,
            "devices": devices,
        }));
    }
    output::line(&format!("{} of at most {} wait", queue.depth, queue.max_depth))?;
    for device in &queue.devices {
        let name = if device.device.is_empty() {
            "the device"
        } else {
            &device.device
        };
        let does = match (device.busy, device.video.is_empty()) {
            (false, _) => "is free".to_owned(),
            (true, true) => "makes another's video".to_owned(),
            (true, false) => format!("makes {}", device.video),
        };
        let free = device
            .estimated_free_duration
            .map(|free| format!(", free in some {:.0?}", duration(Some(free))))
            .unwrap_or_default();
        let model = if device.model.is_empty() {
            "no model"
        } else {
            &device.model
        };
        output::line(&format!("{name} {does}{free}; {model} in memory"))?;
    }
    Ok(())
}

fn device(device: &pb::DeviceQueue) -> Value {
    json!({
        "device": device.device,
        "model": device.model,
        "video": device.video,
        "busy": device.busy,
        "freeInSeconds": device.estimated_free_duration.map(|free| duration(Some(free)).as_secs_f64()),
    })
}

pub(super) fn estimate(estimate: &pb::EstimateVideoResponse, json: bool) -> anyhow::Result<()> {
    let (inference, load) = (
        duration(estimate.inference_duration),
        duration(estimate.load_duration),
    );
    let basis = match estimate.basis() {
        pb::EstimateBasis::Measured => "measured",
        pb::EstimateBasis::Calculated | pb::EstimateBasis::Unspecified => "calculated",
    };
    if json {
        return output::object(&json!({
            "peakMemoryBytes": estimate.peak_memory_bytes,
            "availableMemoryBytes": estimate.available_memory_bytes,
            "inferenceSeconds": inference.as_secs_f64(),
            "loadSeconds": load.as_secs_f64(),
            "basis": basis,
            "textEncoderOffloaded": estimate.text_encoder_offloaded,
            "queueDepth": estimate.queue.as_ref().map(|queue| queue.depth),
        }));
    }
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let turns = if estimate.text_encoder_offloaded {
        ", without the text encoder while it is denoised"
    } else {
        ""
    };
    output::line(&format!(
        "memory  {:.2} GiB of {:.2} GiB{turns}",
        gib(estimate.peak_memory_bytes),
        gib(estimate.available_memory_bytes)
    ))?;
    output::line(&format!("time    {inference:.1?} ({basis}), loading {load:.1?}"))
}

pub(super) const fn state(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Loading => "loading",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Unspecified => "unknown",
    }
}

pub(super) const fn stage(stage: pb::VideoStage) -> &'static str {
    match stage {
        pb::VideoStage::TextEncoding => "reading the prompt",
        pb::VideoStage::Denoising => "denoising",
        pb::VideoStage::Decoding => "decoding",
        pb::VideoStage::Encoding => "writing the file",
        pb::VideoStage::Unspecified => "begun",
    }
}
