//! The real worker, from a prompt to a file: a toy of random weights. It is the one that `POLYPHONY_TEST_VIDEO_WORKER` names,
//! as `make test` does, else the one that `make video` installs; without it these fail.

use std::time::{Duration, Instant};

use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;

use super::support::{Served, joined, serve_with, spec};

async fn serve() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = std::env::var_os("POLYPHONY_TEST_VIDEO_WORKER").unwrap_or_default();
    let patient = ["video-gen.worker_silence=1m", "video-gen.cancel_timeout=30s"];
    serve_with(folder, worker.as_ref(), &patient).await
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_toy_is_made_from_a_prompt_twice_the_same_with_its_receipt_in_the_file() {
    let mut served = serve().await;
    let first = served.generate("a cat in the rain").await;
    let heard = served.watch(&first.name, 2).await;
    let preview = heard.iter().find(|message| !message.preview_image.is_empty());
    let preview = preview.expect("a preview");
    assert!(
        preview.preview_image.starts_with(&[0xFF, 0xD8, 0xFF]),
        "a JPEG image"
    );
    let done = heard
        .last()
        .and_then(|message| message.video.clone())
        .expect("told");
    assert_eq!(done.state(), JobState::Succeeded, "{:?}", done.error);
    assert!(done.dummy_weights && done.peak_memory_bytes > 0);
    let file = joined(&served.download(&first.name, 0).await);
    assert_eq!(&file[4..8], b"ftyp", "an MP4 file");
    assert!(
        contains(&file, "a cat in the rain") && contains(&file, "dummy_weights"),
        "its receipt"
    );

    let second = served.generate("a cat in the rain").await;
    let again = served.ended(&second.name).await;
    assert_eq!(again.file, done.file, "the same seed makes the same bytes");
    let estimate = served.estimate(spec("a cat")).await.expect("told");
    assert_eq!(estimate.basis(), pb::EstimateBasis::Measured);
}

#[tokio::test]
async fn cancelling_frees_the_device_within_a_step() {
    let mut served = serve().await;
    let long = pb::GenerateVideoRequest {
        spec: Some(pb::VideoSpec {
            num_inference_steps: Some(200),
            ..spec("a cat")
        }),
        ..pb::GenerateVideoRequest::default()
    };
    let begun = served.begin(long).await.expect("begins");
    let step = loop {
        let running = served.until(&begun.name, JobState::Running).await;
        let progress = running.progress.unwrap_or_default();
        if let Some(step) = progress.step_duration {
            break Duration::new(step.seconds.unsigned_abs(), step.nanos.unsigned_abs());
        }
    };
    let asked = Instant::now();
    let cancelled = served.cancel(&begun.name).await.expect("runs");
    let took = asked.elapsed();
    assert_eq!(cancelled.video.expect("a video").state(), JobState::Cancelled);
    // A machine that does much besides is given time.
    assert!(
        took < step * 3 + Duration::from_secs(1),
        "{took:?} for steps of {step:?}"
    );
    let next = served.generate("a dog").await;
    assert_eq!(served.ended(&next.name).await.state(), JobState::Succeeded);
}
