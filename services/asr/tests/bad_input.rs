//! Recordings and configs that cannot be used: one clear status within five seconds, and other streams go on.

use std::time::Duration;

use polyphony_proto::asr::v1 as pb;
use polyphony_proto::types::v1 as types;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{
    SOON, assert_refused, assert_untouched, bystander, config, day, first, inline, linear16, served,
    streaming, wav,
};

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
async fn bytes_beyond_the_limit_are_exhausted_not_parsed() {
    let mut config = config();
    config.server.limits.max_receive_message = Some(polyphony_config::ByteSize::kib(64));
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
