//! The real worker, from a prompt to a file: a toy of random weights. It is the one that `POLYPHONY_TEST_VIDEO_WORKER` names,
//! as `make test` does, else the one that `make video` installs; without it these fail.

use std::time::{Duration, Instant};

use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_service_client::VideoServiceClient;
use polyphony_proto::video::v1::video_service_server::SERVICE_NAME;
use polyphony_video_gen::VideoGen;

use super::support::{Served, request, settings, video};

async fn serve() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = std::env::var_os("POLYPHONY_TEST_VIDEO_WORKER").unwrap_or_default();
    let mut settings = settings(folder.path(), std::path::Path::new(&worker));
    settings.push("video-gen.worker_silence=1m".to_owned());
    settings.push("video-gen.cancel_timeout=30s".to_owned());
    let running = polyphony_harness::program::<VideoGen>(SERVICE_NAME, &settings).await;
    let client = VideoServiceClient::new(running.channel().await);
    Served {
        client,
        running,
        folder,
    }
}

async fn bytes(served: &mut Served, name: &str) -> Vec<u8> {
    let request = pb::DownloadVideoRequest {
        name: name.to_owned(),
        ..pb::DownloadVideoRequest::default()
    };
    let mut pieces = served
        .client
        .download_video(request)
        .await
        .expect("done")
        .into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await.expect("goes on") {
        bytes.extend_from_slice(&piece.content);
    }
    bytes
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
    let file = bytes(&mut served, &first.name).await;
    assert_eq!(&file[4..8], b"ftyp", "an MP4 file");
    assert!(
        contains(&file, "a cat in the rain") && contains(&file, "dummy_weights"),
        "its receipt"
    );

    let second = served.generate("a cat in the rain").await;
    let again = served.ended(&second.name).await;
    assert_eq!(again.file, done.file, "the same seed makes the same bytes");
    let estimate = pb::EstimateVideoRequest {
        spec: request("a cat").spec,
    };
    let estimate = served
        .client
        .estimate_video(estimate)
        .await
        .expect("told")
        .into_inner();
    assert_eq!(estimate.basis(), pb::EstimateBasis::Measured);
}

#[tokio::test]
async fn cancelling_frees_the_device_within_a_step() {
    let mut served = serve().await;
    let long = pb::GenerateVideoRequest {
        spec: Some(pb::VideoSpec {
            num_inference_steps: Some(200),
            ..super::support::spec("a cat")
        }),
        ..pb::GenerateVideoRequest::default()
    };
    let begun = video(
        &served
            .client
            .generate_video(long)
            .await
            .expect("begins")
            .into_inner(),
    );
    let step = loop {
        let running = served.until(&begun.name, JobState::Running).await;
        let progress = running.progress.unwrap_or_default();
        if let Some(step) = progress.step_duration {
            break Duration::new(step.seconds.unsigned_abs(), step.nanos.unsigned_abs());
        }
    };
    let asked = Instant::now();
    let cancel = pb::CancelVideoRequest {
        name: begun.name.clone(),
    };
    let cancelled = served
        .client
        .cancel_video(cancel)
        .await
        .expect("runs")
        .into_inner();
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
