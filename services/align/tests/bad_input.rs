//! What must be refused, each with one clear status, soon.

use polyphony_proto::align::v1 as pb;
use polyphony_proto::types::v1 as types;
use tonic::Code;

use crate::support::{SPEECH, WORDS, align, english, inline, program, refused, request, silence};

#[tokio::test]
async fn audio_that_is_none_is_refused_in_its_field() {
    let client = program(&[]).await;
    let none = pb::AlignRequest {
        audio: None,
        ..request(english(), SPEECH, WORDS)
    };
    assert_eq!(refused(&client, none, Code::InvalidArgument).await.1, ["audio"]);
    let (reason, fields) = refused(&client, request(english(), [], WORDS), Code::InvalidArgument).await;
    assert_eq!(
        (reason.as_str(), fields.as_slice()),
        ("EMPTY_MEDIA", ["audio.inline".to_owned()].as_slice())
    );
    for (bytes, expected) in [
        (b"<html>not found</html>".repeat(50), "AUDIO_NOT_RECOGNIZED"),
        (SPEECH[..SPEECH.len() / 2].to_vec(), "AUDIO_"),
        (silence(0.0), "AUDIO_"),
    ] {
        let (reason, fields) =
            refused(&client, request(english(), bytes, WORDS), Code::InvalidArgument).await;
        assert!(reason.starts_with(expected), "{reason}");
        assert_eq!(fields, ["audio"]);
    }
    let mut blob = request(english(), [], WORDS);
    blob.audio = Some(types::Media {
        source: Some(types::media::Source::BlobDigest("sha256:0".to_owned())),
    });
    refused(&client, blob, Code::Unimplemented).await;
}

#[tokio::test]
async fn text_that_is_none_or_too_long_is_refused() {
    let client = program(&[]).await;
    for text in ["", " \n\t", "… — !", "\u{200b}"] {
        let (reason, fields) =
            refused(&client, request(english(), SPEECH, text), Code::InvalidArgument).await;
        assert_eq!(
            (reason.as_str(), fields.as_slice()),
            ("EMPTY_TEXT", ["text".to_owned()].as_slice()),
            "{text:?}"
        );
    }
    let missing = pb::AlignRequest {
        transcript: None,
        ..request(english(), SPEECH, "")
    };
    assert_eq!(
        refused(&client, missing, Code::InvalidArgument).await.0,
        "EMPTY_TEXT"
    );
    let long = "ab cd ".repeat(16_667)[..100_001].to_owned();
    let (reason, _) = refused(&client, request(english(), SPEECH, long), Code::InvalidArgument).await;
    assert_eq!(reason, "TEXT_TOO_LONG");
    let segment = |text: &str, start: i64| pb::TranscriptSegment {
        text: text.to_owned(),
        start_offset: Some(prost_types::Duration {
            seconds: start,
            nanos: 0,
        }),
        ..Default::default()
    };
    let segments = |segments| pb::AlignRequest {
        transcript: Some(pb::align_request::Transcript::Segments(pb::SegmentedTranscript {
            segments,
        })),
        ..request(english(), SPEECH, "")
    };
    let (_, fields) = refused(
        &client,
        segments(vec![segment("a", 2), segment("b", 1)]),
        Code::InvalidArgument,
    )
    .await;
    assert_eq!(fields, ["segments.segments[1].start_offset"]);
    let (_, fields) = refused(&client, segments(vec![segment("a", -2)]), Code::InvalidArgument).await;
    assert_eq!(fields, ["segments.segments[0].start_offset"]);
    refused(&client, segments(vec![]), Code::InvalidArgument).await;
}

#[tokio::test]
async fn text_that_cannot_be_that_of_the_audio_is_refused_soon() {
    let client = program(&[]).await;
    let long = "forward ten meters ".repeat(5_263);
    assert!(long.len() < 100_000);
    for text in [long, "go forward ten meters ".repeat(12)] {
        let (reason, _) = refused(
            &client,
            request(english(), SPEECH, text),
            Code::FailedPrecondition,
        )
        .await;
        assert_eq!(reason, "TEXT_DOES_NOT_FIT");
    }
}

#[tokio::test]
async fn configs_that_cannot_be_honoured_are_refused_by_their_fields() {
    let client = program(&[]).await;
    let config = |change: fn(&mut pb::AlignmentConfig)| {
        let mut config = english();
        change(&mut config);
        request(config, SPEECH, WORDS)
    };
    for (change, field) in [
        (
            (|config| config.language_code.clear()) as fn(&mut pb::AlignmentConfig),
            "config.language_code",
        ),
        (
            |config| config.language_code = "tlh-KX".to_owned(),
            "config.language_code",
        ),
        (
            |config| config.language_code = "x".repeat(100),
            "config.language_code",
        ),
        (|config| config.granularities = vec![0], "config.granularities[0]"),
        (
            |config| config.granularities = vec![2, 77],
            "config.granularities[1]",
        ),
        (|config| config.unaligned_policy = 77, "config.unaligned_policy"),
        (
            |config| config.normalization = pb::Normalization::None.into(),
            "config.normalization",
        ),
        (|config| config.normalization = 77, "config.normalization"),
        (
            |config| config.expected_model_digest = "md5:1".to_owned(),
            "config.expected_model_digest",
        ),
        (
            |config| {
                config.explicit_decoding = Some(types::ExplicitDecoding {
                    encoding: types::AudioEncoding::Linear16.into(),
                    ..Default::default()
                });
            },
            "config.explicit_decoding.sample_rate_hertz",
        ),
    ] {
        assert_eq!(
            refused(&client, config(change), Code::InvalidArgument).await.1,
            [field]
        );
    }
    let unknown = config(|config| config.model = "no/such-model".to_owned());
    refused(&client, unknown, Code::NotFound).await;
    let absent = config(|config| config.model = "onnx-community/wav2vec2-base-960h-ONNX".to_owned());
    assert_eq!(
        refused(&client, absent, Code::FailedPrecondition).await.0,
        "MODEL_NOT_INSTALLED"
    );
    let other = config(|config| config.expected_model_digest = format!("sha256:{}", "0".repeat(64)));
    assert_eq!(
        refused(&client, other, Code::FailedPrecondition).await.0,
        "MODEL_DIGEST_MISMATCH"
    );
}

#[tokio::test]
async fn what_is_too_long_is_refused_by_the_limit_that_it_meets() {
    let client = program(&["align.max_align_duration=1s"]).await;
    refused(
        &client,
        request(english(), SPEECH, WORDS),
        Code::ResourceExhausted,
    )
    .await;
    let raw = pb::AlignmentConfig {
        explicit_decoding: Some(types::ExplicitDecoding {
            encoding: types::AudioEncoding::Linear16.into(),
            sample_rate_hertz: 16_000,
            audio_channel_count: 1,
        }),
        ..english()
    };
    let request = pb::AlignRequest {
        audio: inline(vec![1; 3 << 20]),
        ..request(raw, [], WORDS)
    };
    refused(&client, request, Code::ResourceExhausted).await;
}

#[tokio::test]
async fn any_language_and_any_script_has_times() {
    let client = program(&[]).await;
    for (language, text) in [
        ("de-DE", "Geh zehn Meter vor"),
        ("zh-CN", "向前走十米"),
        ("ar", "عشرة أمتار إلى الأمام"),
        ("ru", "Иди 10 метров"),
        ("en", "go \u{1F680} 前 13:05 £13.60 — ten"),
        ("th", "ไปข้างหน้า"),
    ] {
        let config = pb::AlignmentConfig {
            language_code: language.to_owned(),
            granularities: vec![pb::Granularity::Character.into()],
            ..Default::default()
        };
        let response = align(&client, request(config, SPEECH, text))
            .await
            .expect(language);
        let mut end = 0;
        let mut before = 0.0;
        for word in &response.words {
            let range = word.source_text_range.expect("a range");
            assert_eq!(
                &text[range.start_byte as usize..range.end_byte as usize],
                word.word
            );
            assert!(
                text[end..range.start_byte as usize].trim().is_empty(),
                "{language}: a word is missing"
            );
            end = range.end_byte as usize;
            let (start, stop) = (
                crate::support::seconds(word.start_offset),
                crate::support::seconds(word.end_offset),
            );
            assert!(before <= start && start <= stop, "{language}: {word:?}");
            before = start;
        }
        assert_eq!(end, text.len(), "{language}");
    }
}
