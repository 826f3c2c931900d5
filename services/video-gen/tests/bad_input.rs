//! What cannot be made is refused when it is asked for, by its field and with the remedy, and nothing of it waits.

use polyphony_proto::video::v1 as pb;
use polyphony_proto::video::v1::video_spec::{Length, Parameters};
use tonic::Code;
use tonic_types::StatusExt;

use super::support::{reason, request, serve, spec};

type Change = fn(&mut pb::VideoSpec);
type Spoil = dyn Fn(&mut pb::VideoSpec);

#[tokio::test]
async fn each_field_that_cannot_be_is_named() {
    let mut served = serve(&[]).await;
    let size = |width, height| Some(pb::FrameSize { width, height });
    let cases: Vec<(&str, Box<Spoil>)> = vec![
        ("spec.prompt", Box::new(|spec| spec.prompt = "  ".to_owned())),
        ("spec.prompt", Box::new(|spec| spec.prompt = "x".repeat(4_001))),
        (
            "spec.negative_prompt",
            Box::new(|spec| spec.negative_prompt = Some("x".repeat(4_001))),
        ),
        ("spec.size.width", Box::new(move |spec| spec.size = size(100, 64))),
        ("spec.size.height", Box::new(move |spec| spec.size = size(64, 0))),
        (
            "spec.size.width",
            Box::new(move |spec| spec.size = size(4_096, 4_096)),
        ),
        (
            "spec.size.width",
            Box::new(move |spec| spec.size = size(u32::MAX, 64)),
        ),
        (
            "spec.num_frames",
            Box::new(|spec| spec.length = Some(Length::NumFrames(0))),
        ),
        (
            "spec.num_frames",
            Box::new(|spec| spec.length = Some(Length::NumFrames(82))),
        ),
        (
            "spec.num_frames",
            Box::new(|spec| spec.length = Some(Length::NumFrames(1_001))),
        ),
        (
            "spec.duration",
            Box::new(|spec| {
                spec.length = Some(Length::Duration(prost_types::Duration {
                    seconds: 60,
                    nanos: 0,
                }))
            }),
        ),
        (
            "spec.duration",
            Box::new(|spec| {
                spec.length = Some(Length::Duration(prost_types::Duration {
                    seconds: -1,
                    nanos: 0,
                }))
            }),
        ),
        (
            "spec.frame_rate",
            Box::new(|spec| spec.frame_rate = Some(f32::NAN)),
        ),
        ("spec.frame_rate", Box::new(|spec| spec.frame_rate = Some(0.0))),
        (
            "spec.num_inference_steps",
            Box::new(|spec| spec.num_inference_steps = Some(201)),
        ),
        (
            "spec.guidance_scale",
            Box::new(|spec| spec.guidance_scale = Some(31.0)),
        ),
        (
            "spec.keyframes",
            Box::new(|spec| spec.keyframes = vec![pb::Keyframe::default()]),
        ),
        (
            "spec.include_audio",
            Box::new(|spec| spec.include_audio = Some(true)),
        ),
        (
            "spec.enhance_prompt",
            Box::new(|spec| spec.enhance_prompt = Some(true)),
        ),
        ("spec.load_format", Box::new(|spec| spec.load_format = 9)),
        (
            "spec.ltx_video",
            Box::new(|spec| spec.parameters = Some(Parameters::LtxVideo(pb::LtxVideoParameters::default()))),
        ),
        (
            "spec.ltx2",
            Box::new(|spec| spec.parameters = Some(Parameters::Ltx2(pb::Ltx2Parameters::default()))),
        ),
        (
            "spec.magi1",
            Box::new(|spec| spec.parameters = Some(Parameters::Magi1(pb::Magi1Parameters::default()))),
        ),
        (
            "spec.wan.flow_shift",
            Box::new(|spec| wan(spec, |wan| wan.flow_shift = Some(21.0))),
        ),
        (
            "spec.wan.sampler",
            Box::new(|spec| wan(spec, |wan| wan.sampler = 9)),
        ),
        (
            "spec.wan.guidance_scale_2",
            Box::new(|spec| wan(spec, |wan| wan.guidance_scale_2 = Some(1.0))),
        ),
        (
            "spec.wan.boundary_ratio",
            Box::new(|spec| wan(spec, |wan| wan.boundary_ratio = Some(0.5))),
        ),
        (
            "spec.expected_model_digest",
            Box::new(|spec| spec.expected_model_digest = "x".to_owned()),
        ),
    ];
    for (field, change) in cases {
        let mut asked = spec("a cat");
        change(&mut asked);
        let generate = pb::GenerateVideoRequest {
            spec: Some(asked.clone()),
            ..pb::GenerateVideoRequest::default()
        };
        let refused = served.begin(generate).await.expect_err(field);
        let estimated = served.estimate(asked).await.expect_err(field);
        assert_eq!(estimated.message(), refused.message());
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused:?}");
        let details = refused.get_error_details();
        let violations = &details.bad_request().expect("BadRequest").field_violations;
        assert_eq!(violations[0].field, field);
        assert!(
            violations[0].description.len() > 10 && !refused.message().contains("  "),
            "{}",
            refused.message()
        );
    }
    let queue = served.queue().await;
    assert!(queue.depth == 0 && !queue.devices[0].busy, "nothing waits");
}

fn wan(spec: &mut pb::VideoSpec, change: impl FnOnce(&mut pb::WanParameters)) {
    let mut parameters = pb::WanParameters::default();
    change(&mut parameters);
    spec.parameters = Some(Parameters::Wan(parameters));
}

#[tokio::test]
async fn models_that_cannot_be_had_say_why() {
    let mut served = serve(&[]).await;
    let cases = [
        ("sora", Code::NotFound, "NOT_FOUND", "wan2.1-t2v-1.3b"),
        (
            "waver-1.0",
            Code::FailedPrecondition,
            "MODEL_UNRELEASED",
            "weights and code are unreleased",
        ),
        (
            "wan2.2",
            Code::FailedPrecondition,
            "MODEL_NOT_YET",
            "not have it yet",
        ),
        (
            "ltx-video",
            Code::FailedPrecondition,
            "MODEL_NOT_YET",
            "not have it yet",
        ),
        (
            "ltx-2",
            Code::FailedPrecondition,
            "MODEL_NOT_YET",
            "not have it yet",
        ),
        (
            "magi-1",
            Code::FailedPrecondition,
            "MODEL_NOT_YET",
            "not have it yet",
        ),
    ];
    for (model, code, told, text) in cases {
        let mut asked = request("a cat");
        asked.spec.as_mut().expect("a spec").model = model.to_owned();
        let refused = served.begin(asked).await.expect_err(model);
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (code, told),
            "{refused:?}"
        );
        assert!(refused.message().contains(text), "{}", refused.message());
    }
    // Weights that are not on disk, named and not named.
    for model in ["", "wan2.1-t2v-14b"] {
        let mut asked = request("a cat");
        let spec = asked.spec.as_mut().expect("a spec");
        (spec.model, spec.load_format) = (model.to_owned(), 0);
        let refused = served.begin(asked).await.expect_err(model);
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::FailedPrecondition, "WEIGHTS_ABSENT")
        );
        assert!(
            refused.message().contains("polyphony models pull wan2.1-t2v-1"),
            "{}",
            refused.message()
        );
    }
}

#[tokio::test]
async fn what_the_device_cannot_hold_is_refused_by_the_estimate() {
    // The stand-in's device has 64 GiB.
    let mut served = serve(&["video-gen.dummy_size=full"]).await;
    let large: Change = |spec| {
        spec.model = "wan2.1-t2v-14b".to_owned();
        spec.size = Some(pb::FrameSize {
            width: 1_280,
            height: 720,
        });
        spec.length = Some(Length::NumFrames(81));
    };
    let mut asked = request("a cat");
    large(asked.spec.as_mut().expect("a spec"));
    let refused = served.refused(asked).await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "DEVICE_TOO_SMALL")
    );
    assert!(
        refused.message().contains("GiB") && refused.message().contains("smaller"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn requests_that_are_wrong_beside_their_spec_are_refused() {
    let mut served = serve(&[
        "video-gen.max_queue=1",
        "video-gen.high_priority_callers=spiffe://example.org/boss",
    ])
    .await;
    let cases: Vec<(&str, pb::GenerateVideoRequest)> = vec![
        (
            "request_id",
            pb::GenerateVideoRequest {
                request_id: "one".to_owned(),
                ..request("a")
            },
        ),
        (
            "priority",
            pb::GenerateVideoRequest {
                priority: 9,
                ..request("a")
            },
        ),
        (
            "deadline_duration",
            pb::GenerateVideoRequest {
                deadline_duration: Some(prost_types::Duration::default()),
                ..request("a")
            },
        ),
        (
            "continue_from",
            pb::GenerateVideoRequest {
                continue_from: Some(pb::ContinuationState::default()),
                ..request("a")
            },
        ),
        ("spec", pb::GenerateVideoRequest::default()),
    ];
    for (field, asked) in cases {
        let refused = served.begin(asked).await.expect_err(field);
        let details = refused.get_error_details();
        assert_eq!(
            details.bad_request().expect("BadRequest").field_violations[0].field,
            field
        );
    }
    let high = pb::GenerateVideoRequest {
        priority: pb::Priority::High.into(),
        ..request("a cat")
    };
    let refused = served.refused(high).await;
    assert_eq!(refused.code(), Code::PermissionDenied);
    for (name, code) in [
        ("videos/0123", Code::NotFound),
        ("", Code::InvalidArgument),
        ("0123", Code::InvalidArgument),
        ("videos/", Code::InvalidArgument),
        ("operations/video-gen-1", Code::InvalidArgument),
        (&format!("videos/{}", "1".repeat(65)), Code::InvalidArgument),
    ] {
        let get = pb::GetVideoRequest {
            name: name.to_owned(),
        };
        let refused = served.client.get_video(get).await.expect_err(name);
        assert_eq!(refused.code(), code, "{name}");
    }
    let list = pb::ListVideosRequest {
        page_token: "/etc".to_owned(),
        ..pb::ListVideosRequest::default()
    };
    assert_eq!(
        served
            .client
            .list_videos(list)
            .await
            .expect_err("no token")
            .code(),
        Code::InvalidArgument
    );
    let running = served.generate("slow one").await;
    served
        .until(&running.name, polyphony_proto::types::v1::JobState::Running)
        .await;
    let early = pb::DownloadVideoRequest {
        name: running.name.clone(),
        ..pb::DownloadVideoRequest::default()
    };
    let refused = served.client.download_video(early).await.expect_err("not done");
    assert_eq!(reason(&refused), "VIDEO_NOT_DONE");
    served.generate("two").await;
    let refused = served.refused(request("three")).await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::ResourceExhausted, "QUEUE_FULL")
    );
    assert!(refused.get_error_details().retry_info().is_some());
}
