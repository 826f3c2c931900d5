//! Where memory is short the text encoder takes turns with the rest of the model: by the estimate, in what the worker is told,
//! in the books of what is in memory, and in what is told of the video.

use polyphony_proto::types::v1::JobState;
use polyphony_proto::video::v1 as pb;

use super::support::{Served, reason, request, serve, spec, video};

/// With the sizes of Wan 2.1 1.3B in FP32; the stand-in computes nothing.
const FULL: &str = "video-gen.dummy_size=full";

async fn estimate(served: &mut Served, spec: pb::VideoSpec) -> pb::EstimateVideoResponse {
    let request = pb::EstimateVideoRequest { spec: Some(spec) };
    let told = served.client.estimate_video(request).await.expect("told");
    told.into_inner()
}

fn loads(served: &Served) -> Vec<String> {
    let notes = served.notes();
    notes
        .into_iter()
        .filter(|note| note.starts_with("load") || note == "unload")
        .collect()
}

async fn made(served: &mut Served, spec: pb::VideoSpec) -> pb::Video {
    let request = pb::GenerateVideoRequest {
        spec: Some(spec),
        ..pb::GenerateVideoRequest::default()
    };
    let begun = served.client.generate_video(request).await.expect("begins");
    let done = served.ended(&video(begun.get_ref()).name).await;
    assert_eq!(done.state(), JobState::Succeeded, "{:?}", done.error);
    done
}

fn load_seconds(video: &pb::Video) -> f64 {
    let timings = video.receipt.as_ref().and_then(|receipt| receipt.timings);
    let load = timings.and_then(|timings| timings.load_duration).expect("told");
    load.seconds as f64 + f64::from(load.nanos) / 1e9
}

#[tokio::test]
async fn what_does_not_fit_beside_the_text_encoder_is_made_without_it() {
    let mut roomy = serve(&[FULL]).await;
    let resident = estimate(&mut roomy, spec("a cat")).await;
    assert!(!resident.text_encoder_offloaded);
    let done = made(&mut roomy, spec("a cat")).await;
    assert!(!done.text_encoder_offloaded);
    assert_eq!(loads(&roomy), ["load"]);

    let limit = format!("video-gen.memory_limit={}", resident.peak_memory_bytes - 1);
    let mut short = serve(&[FULL, &limit]).await;
    let turns = estimate(&mut short, spec("a cat")).await;
    assert!(turns.text_encoder_offloaded);
    // Of three quarters of the weights, which are the encoder's, and of the rest each stage has one.
    assert!(
        turns.peak_memory_bytes < turns.available_memory_bytes,
        "{turns:?}"
    );
    let tiled = |estimate: &pb::EstimateVideoResponse| {
        let parameters = estimate.effective_spec.clone().expect("told").parameters;
        let Some(pb::video_spec::Parameters::Wan(wan)) = parameters else {
            panic!("of another family")
        };
        wan.vae_tiling.expect("filled in")
    };
    assert!(!tiled(&turns), "tiles change the picture, and were not needed");
    let done = made(&mut short, spec("a cat")).await;
    assert!(done.text_encoder_offloaded);
    // The stand-in says that the encoder took 2.5 s.
    assert!(load_seconds(&done) >= 2.5, "{}", load_seconds(&done));
    assert_eq!(loads(&short), ["load in turns"]);
    let again = estimate(&mut short, spec("a dog")).await;
    assert!(
        again.load_duration.is_some_and(|load| load.seconds > 0),
        "{again:?}"
    );

    // One that fits is made with both, and the next one in turns again: each time room is made for what it takes.
    let small = pb::VideoSpec {
        size: Some(pb::FrameSize {
            width: 16,
            height: 16,
        }),
        length: Some(pb::video_spec::Length::NumFrames(1)),
        ..spec("a mouse")
    };
    let done = made(&mut short, small).await;
    assert!(!done.text_encoder_offloaded && load_seconds(&done) < 2.5);
    let done = made(&mut short, spec("a cat")).await;
    assert!(done.text_encoder_offloaded);
    assert_eq!(
        loads(&short),
        ["load in turns", "unload", "load", "unload", "load in turns"]
    );
}

#[tokio::test]
async fn the_configuration_may_say_always_or_never() {
    let mut always = serve(&["video-gen.offload_text_encoder=always"]).await;
    assert!(estimate(&mut always, spec("a cat")).await.text_encoder_offloaded);
    assert!(made(&mut always, spec("a cat")).await.text_encoder_offloaded);
    assert_eq!(loads(&always), ["load in turns"]);

    let mut roomy = serve(&[FULL]).await;
    let resident = estimate(&mut roomy, spec("a cat")).await;
    let limit = format!("video-gen.memory_limit={}", resident.peak_memory_bytes / 2);
    let mut never = serve(&[FULL, &limit, "video-gen.offload_text_encoder=never"]).await;
    let told = estimate(&mut never, spec("a cat")).await;
    assert!(!told.text_encoder_offloaded && told.peak_memory_bytes > told.available_memory_bytes);
    let refused = never
        .client
        .generate_video(request("a cat"))
        .await
        .expect_err("no room");
    assert_eq!(reason(&refused), "DEVICE_TOO_SMALL");
    assert!(
        refused.message().contains("video-gen.offload_text_encoder"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn the_budget_of_models_counts_what_is_in_memory_at_once() {
    // 1.3B in FP32 has 21.2 GiB of encoder and 5.6 GiB of the rest.
    let mut served = serve(&[FULL, "models.memory_budget=24GiB"]).await;
    let told = estimate(&mut served, spec("a cat")).await;
    assert!(told.text_encoder_offloaded, "{told:?}");
    assert!(made(&mut served, spec("a cat")).await.text_encoder_offloaded);

    let mut short = serve(&[FULL, "models.memory_budget=20GiB"]).await;
    let begun = short.generate("a cat").await;
    let failed = short.ended(&begun.name).await;
    assert_eq!(failed.state(), JobState::Failed);
    let error = failed.error.expect("why");
    assert!(error.message.contains("memory_budget"), "{}", error.message);
}
