//! Whatever is sent, the answer is one clear status within five seconds, and other streams go on.

use std::time::Duration;

use polyphony_config::HumanDuration;
use polyphony_proto::asr::v1 as pb;
use polyphony_proto::asr::v1::streaming_recognize_response::Event;
use polyphony_proto::types::v1 as types;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{
    Open, Served, assert_refused, audio, config, first, inline, linear16, marker, pieces, served, sound,
    streaming,
};

const SOON: Duration = Duration::from_secs(5);

fn wav(seconds: f32) -> Vec<u8> {
    let pcm = polyphony_audio::pcm::Pcm::mono(
        vec![0.25; (seconds * 16_000.0) as usize],
        polyphony_audio::pcm::SampleRate::SPEECH,
    );
    polyphony_audio::write::wav(&pcm, polyphony_audio::write::WavFormat::S16).expect("small")
}

/// The first half second of a WAV that declares a day, at 8 kHz, where a length still fits into 31 bits.
fn day() -> Vec<u8> {
    let mut day = wav(0.5);
    day[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    day[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    day[40..44].copy_from_slice(&(8_000_u32 * 2 * 86_400).to_le_bytes());
    day
}

/// A stream that must not feel what happens beside it.
async fn bystander(served: &Served) -> Open {
    let mut open = served.open().await.expect("opens");
    open.requests
        .send(first(streaming(linear16())))
        .await
        .expect("sends");
    let ready = open.replies.message().await.expect("ok").expect("a reply");
    assert!(matches!(ready.event, Some(Event::Ready(_))));
    open
}

async fn assert_untouched(mut open: Open) {
    for piece in pieces(&sound(&[0.5, 1.0, 1.0]), 16_000) {
        open.requests.send(piece).await.expect("sends");
    }
    drop(open.requests);
    let mut last = None;
    while let Some(reply) = open.replies.message().await.expect("untouched") {
        last = reply.event;
    }
    let Some(Event::Ended(ended)) = last else {
        panic!("{last:?}")
    };
    assert_eq!(ended.utterance_count, 1);
}

#[tokio::test]
async fn recordings_that_are_none_are_refused_by_field() {
    let served = served(config(), Duration::ZERO).await;
    let beside = bystander(&served).await;
    let whole = wav(1.0);
    let mut lies = whole.clone();
    lies[40..44].copy_from_slice(&4_000_000_u32.to_le_bytes());
    let day = day();
    let cases: [(&str, Vec<u8>, Code, &str); 5] = [
        (
            "not audio",
            b"%PDF-1.7 and so on and so on".to_vec(),
            Code::InvalidArgument,
            "audio",
        ),
        (
            "truncated",
            whole[..whole.len() / 2].to_vec(),
            Code::InvalidArgument,
            "audio",
        ),
        ("a lie about its length", lies, Code::InvalidArgument, "audio"),
        ("nothing", Vec::new(), Code::InvalidArgument, "audio.inline"),
        ("a day of silence", day, Code::ResourceExhausted, "audio"),
    ];
    for (what, bytes, code, field) in cases {
        let answer = timeout(SOON, served.recognize(pb::RecognitionConfig::default(), bytes)).await;
        let status = answer
            .unwrap_or_else(|_| panic!("{what}: no answer"))
            .expect_err(what);
        assert_refused(&status, code, field);
    }
    let raw = timeout(SOON, served.recognize(linear16(), vec![1]))
        .await
        .expect("soon")
        .expect_err("half a sample");
    assert_refused(&raw, Code::InvalidArgument, "audio");
    assert_untouched(beside).await;
}

#[tokio::test]
async fn media_that_is_elsewhere_is_refused_by_name() {
    let served = served(config(), Duration::ZERO).await;
    use types::media::Source;
    for (source, code, field) in [
        (
            Some(Source::Uri("https://example.com/a.wav".to_owned())),
            Code::PermissionDenied,
            "audio.uri",
        ),
        (
            Some(Source::BlobDigest("sha256:0".to_owned())),
            Code::Unimplemented,
            "audio.blob_digest",
        ),
        (None, Code::InvalidArgument, "audio"),
    ] {
        let request = pb::RecognizeRequest {
            config: None,
            audio: Some(types::Media { source }),
        };
        let status = served
            .client
            .clone()
            .recognize(request)
            .await
            .expect_err("refused");
        assert_refused(&status, code, field);
    }
}

#[tokio::test]
async fn configs_that_cannot_be_honoured_are_refused_by_field() {
    let served = served(config(), Duration::ZERO).await;
    let features = |features| pb::RecognitionConfig {
        features: Some(features),
        ..Default::default()
    };
    let explicit =
        |encoding: types::AudioEncoding, sample_rate_hertz, audio_channel_count| pb::RecognitionConfig {
            decoding: Some(pb::recognition_config::Decoding::ExplicitDecoding(
                types::ExplicitDecoding {
                    encoding: encoding.into(),
                    sample_rate_hertz,
                    audio_channel_count,
                },
            )),
            ..Default::default()
        };
    let phrases = pb::SpeechAdaptation {
        phrase_sets: vec![pb::PhraseSet {
            phrases: vec![pb::Phrase::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let cases = [
        (
            "language_codes[0]",
            pb::RecognitionConfig {
                language_codes: vec!["tlh".to_owned()],
                ..Default::default()
            },
        ),
        (
            "language_codes",
            pb::RecognitionConfig {
                language_codes: vec!["en".to_owned(); 2],
                ..Default::default()
            },
        ),
        (
            "task",
            pb::RecognitionConfig {
                task: pb::Task::Translate.into(),
                ..Default::default()
            },
        ),
        (
            "task",
            pb::RecognitionConfig {
                task: 99,
                ..Default::default()
            },
        ),
        (
            "initial_prompt",
            pb::RecognitionConfig {
                initial_prompt: "so".to_owned(),
                ..Default::default()
            },
        ),
        (
            "expected_model_digest",
            pb::RecognitionConfig {
                expected_model_digest: "abc".to_owned(),
                ..Default::default()
            },
        ),
        (
            "adaptation.phrase_sets",
            pb::RecognitionConfig {
                adaptation: Some(phrases),
                ..Default::default()
            },
        ),
        (
            "features.profanity_filter",
            features(pb::RecognitionFeatures {
                profanity_filter: Some(true),
                ..Default::default()
            }),
        ),
        (
            "features.max_alternatives",
            features(pb::RecognitionFeatures {
                max_alternatives: Some(3),
                ..Default::default()
            }),
        ),
        (
            "features.diarization",
            features(pb::RecognitionFeatures {
                diarization: Some(Default::default()),
                ..Default::default()
            }),
        ),
        (
            "features.multi_channel_mode",
            features(pb::RecognitionFeatures {
                multi_channel_mode: 2,
                ..Default::default()
            }),
        ),
        (
            "features.enable_word_confidence",
            features(pb::RecognitionFeatures {
                enable_word_confidence: Some(true),
                ..Default::default()
            }),
        ),
        (
            "explicit_decoding.encoding",
            explicit(types::AudioEncoding::Unspecified, 0, 0),
        ),
        (
            "explicit_decoding.sample_rate_hertz",
            explicit(types::AudioEncoding::Linear16, 0, 1),
        ),
        (
            "explicit_decoding.sample_rate_hertz",
            explicit(types::AudioEncoding::Flac, 16_000, 0),
        ),
        (
            "explicit_decoding.audio_channel_count",
            explicit(types::AudioEncoding::Linear16, 16_000, 9),
        ),
    ];
    for (field, config) in cases {
        let status = served.recognize(config.clone(), wav(0.5)).await.expect_err(field);
        assert_refused(&status, Code::InvalidArgument, &format!("config.{field}"));
        let (_, status) = served.stream(vec![first(streaming(config))]).await;
        assert_refused(
            &status.expect_err(field),
            Code::InvalidArgument,
            &format!("streaming_config.config.{field}"),
        );
    }
    let wrong = pb::RecognitionConfig {
        expected_model_digest: format!("sha256:{}", "1".repeat(64)),
        ..Default::default()
    };
    assert_eq!(
        served
            .recognize(wrong, wav(0.5))
            .await
            .expect_err("another")
            .code(),
        Code::FailedPrecondition
    );
    let unknown = pb::RecognitionConfig {
        model: "no/such-model".to_owned(),
        ..Default::default()
    };
    let status = served.recognize(unknown, wav(0.5)).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
    let resource = tonic_types::StatusExt::get_error_details(&status)
        .resource_info()
        .cloned()
        .expect("ResourceInfo");
    assert_eq!(resource.resource_name, "no/such-model");
}

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
    let status = timeout(SOON, open.replies.message())
        .await
        .expect("soon")
        .expect_err("idle");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn bytes_beyond_the_limit_are_exhausted_not_parsed() {
    let mut config = config();
    config.server.limits.max_receive_message = polyphony_config::ByteSize::kib(64);
    let served = served(config, Duration::ZERO).await;
    let request = pb::RecognizeRequest {
        config: None,
        audio: inline(vec![0; 128 << 10]),
    };
    let status = served
        .client
        .clone()
        .recognize(request)
        .await
        .expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
}
