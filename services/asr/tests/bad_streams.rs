//! Streams out of order, without end or without a word: one clear status within five seconds, and other streams go on.

use std::time::Duration;

use polyphony_config::HumanDuration;
use polyphony_proto::asr::v1 as pb;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{
    SOON, assert_refused, assert_untouched, audio, bystander, config, day, finals, first, linear16, marker,
    served, sound, streaming, wav,
};

#[tokio::test]
async fn streams_out_of_order_are_refused_by_field() {
    let served = served(config(), Duration::ZERO).await;
    let beside = bystander(&served).await;
    let good = || first(streaming(linear16()));
    let bad = |change: fn(&mut pb::StreamingRecognitionConfig)| {
        let mut asked = streaming(linear16());
        change(&mut asked);
        vec![first(asked)]
    };
    let cases = [
        ("streaming_config", vec![audio(&[0; 320])]),
        ("streaming_config", vec![]),
        ("streaming_config", vec![good(), good()]),
        ("audio", vec![good(), audio(&vec![0; 32 * 1024 + 1])]),
        ("audio", vec![good()]),
        (
            "audio",
            vec![first(Default::default()), audio(b"%PDF-1.7 and so on and so on")],
        ),
        (
            "audio",
            vec![first(Default::default()), audio(&wav(2.0)[..30_000])],
        ),
        ("marker.id", vec![good(), marker(&"m".repeat(129))]),
        (
            "request",
            vec![good(), pb::StreamingRecognizeRequest { request: None }],
        ),
        (
            "streaming_config.start_time",
            bad(|asked| {
                asked.start_time = Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                });
            }),
        ),
        (
            "streaming_config.partial_interval",
            bad(|asked| {
                asked.partial_interval = Some(prost_types::Duration { seconds: 0, nanos: 1 });
            }),
        ),
        (
            "streaming_config.commit_policy",
            bad(|asked| asked.commit_policy = pb::CommitPolicy::AlignAtt.into()),
        ),
        (
            "streaming_config.endpointing.vad_threshold",
            bad(|asked| {
                asked.endpointing = Some(pb::EndpointingConfig {
                    vad_threshold: Some(f32::NAN),
                    ..Default::default()
                });
            }),
        ),
    ];
    for (field, all) in cases {
        let (_, status) = timeout(SOON, served.stream(all))
            .await
            .unwrap_or_else(|_| panic!("{field}: no answer"));
        assert_refused(&status.expect_err(field), Code::InvalidArgument, field);
    }
    assert_untouched(beside).await;
}

#[tokio::test]
async fn a_stream_that_declares_a_day_is_told_at_its_limit() {
    let config = polyphony_asr::Config {
        max_stream_duration: HumanDuration::from_secs(3_600),
        ..config()
    };
    let served = served(config, Duration::ZERO).await;
    let all = vec![first(Default::default()), audio(&day())];
    let (_, status) = timeout(SOON, served.stream(all)).await.expect("soon");
    assert_refused(&status.expect_err("too long"), Code::ResourceExhausted, "audio");
}

#[tokio::test]
async fn a_client_that_falls_silent_is_ended() {
    let config = polyphony_asr::Config {
        stream_idle: HumanDuration::from_millis(200),
        ..config()
    };
    let served = served(config, Duration::ZERO).await;
    let mut open = bystander(&served).await;
    open.requests
        .send(audio(&sound(&[0.1, 0.9])))
        .await
        .expect("sends");
    let mut replies = Vec::new();
    let status = loop {
        match timeout(SOON, open.replies.message()).await.expect("soon") {
            Ok(reply) => replies.push(reply.expect("a status at the end")),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    // What was said is not lost.
    assert_eq!(finals(&replies), ["w0"]);
}
