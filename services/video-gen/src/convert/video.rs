//! A job as a video.

use std::time::Duration;

use polyphony_chassis::operations::lasting;
use polyphony_jobs::{Job, State};
use polyphony_models::{Degradation, Provenance};
use polyphony_proto::time::to_wire;
use polyphony_proto::types::v1 as types;
use polyphony_proto::video::v1 as pb;
use polyphony_video_worker::protocol::Stage;
use polyphony_wire::{Spent, receipt};

use super::spec::effective;
use crate::domain::Told;

/// What it is when what is kept of it cannot be read, which is told as a video without a spec.
fn told(job: &Job) -> Option<Told> {
    serde_json::from_slice(&job.progress).ok()
}

/// A video as it is now.
pub(crate) fn video(job: &Job) -> pb::Video {
    let told = told(job);
    let film = told
        .as_ref()
        .and_then(|told| told.film.as_ref().map(|film| (told, film)));
    let held = job.state.is_held();
    pb::Video {
        name: format!("videos/{}", job.id),
        operation: format!("operations/video-gen-{}", job.id),
        spec: told.as_ref().map(|told| effective(&told.plan.order)),
        owner: job.owner.clone(),
        state: lasting::state(job.state).into(),
        error: lasting::failure(job),
        queue: lasting::place(job),
        progress: told.as_ref().filter(|_| held).and_then(progress),
        attempts: job.attempts,
        file: film.map(|(told, film)| {
            let order = &told.plan.order;
            pb::VideoFile {
                media_type: "video/mp4".to_owned(),
                size_bytes: film.size_bytes,
                digest: film.digest.clone(),
                size: Some(pb::FrameSize {
                    width: order.width,
                    height: order.height,
                }),
                num_frames: order.num_frames,
                frame_rate: order.frame_rate,
                duration: Some(to_wire(seconds(
                    f64::from(order.num_frames) / f64::from(order.frame_rate.max(1.0)),
                ))),
                has_audio: false,
            }
        }),
        peak_memory_bytes: film.map_or(0, |(_, film)| film.peak_memory_bytes),
        dummy_weights: told.as_ref().is_some_and(|told| told.plan.is_dummy()),
        text_encoder_offloaded: told
            .as_ref()
            .and_then(|told| told.maker.as_ref())
            .is_some_and(|maker| maker.text_encoder_offloaded),
        continuation_state: None,
        create_time: Some(job.created.into()),
        start_time: job.started.map(Into::into),
        end_time: job.ended.map(Into::into),
        expire_time: job.expires.map(Into::into),
        receipt: told.as_ref().map(|told| made(job, told)),
    }
}

/// How far a video is, while it is made.
pub(crate) fn progress(told: &Told) -> Option<pb::VideoProgress> {
    let progress = told.progress.as_ref()?;
    let stage = match progress.stage {
        Stage::TextEncoding => pb::VideoStage::TextEncoding,
        Stage::Denoising => pb::VideoStage::Denoising,
        Stage::Decoding => pb::VideoStage::Decoding,
        Stage::Encoding => pb::VideoStage::Encoding,
    };
    let stepped = progress.step_seconds > 0.0;
    Some(pb::VideoProgress {
        stage: stage.into(),
        step: progress.step,
        total_steps: told.plan.order.num_inference_steps,
        progress_percent: (told.share() * 100.0) as u32,
        remaining_duration: told.remaining().map(to_wire),
        step_duration: stepped.then(|| to_wire(seconds(progress.step_seconds))),
        memory_bytes: progress.memory_bytes,
    })
}

/// With what it was made, as far as that is known.
fn made(job: &Job, told: &Told) -> types::Receipt {
    let plan = &told.plan;
    let (device, version) = told
        .maker
        .as_ref()
        .map(|maker| (maker.device.clone(), maker.version.clone()))
        .unwrap_or_default();
    let provenance = Provenance {
        model: plan.order.model.clone(),
        digest: plan.model_digest.clone(),
        engine: "wan",
        version,
        device,
        degraded: plan.is_dummy().then(|| Degradation {
            reason: "DUMMY_WEIGHTS",
            message: "the weights are random, as load_format asked for: the picture means nothing".to_owned(),
        }),
    };
    let between = |from: std::time::SystemTime, to: std::time::SystemTime| to.duration_since(from).ok();
    let load = told.maker.as_ref().map(|maker| seconds(maker.load));
    let spent = Spent {
        queue: job.started.and_then(|started| between(job.created, started)),
        load,
        inference: told.film.as_ref().map(|film| seconds(film.seconds)),
        total: job
            .ended
            .filter(|_| job.state == State::Succeeded)
            .and_then(|ended| between(job.created, ended)),
    };
    types::Receipt {
        seed: Some(plan.order.seed),
        ..receipt(&plan.call, &provenance, spent)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
