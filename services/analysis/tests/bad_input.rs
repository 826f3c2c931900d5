//! Recordings and streams that cannot be used: one clear status within five seconds.

use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_proto::types::v1 as types;
use polyphony_testing::Rng;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::support::{
    SOON, Served, assert_refused, collect, features, inline, raw, raw_decoding, served, sine, tiny, wav_of,
};

fn wav() -> Vec<u8> {
    wav_of(vec![0.25; 16_000], 16_000, 1)
}

/// Asks all three methods for the same recording.
async fn refused_by_all(served: &Served, bytes: &[u8], what: &str) -> [Status; 3] {
    let told = async {
        let features = served
            .features(features(&[Kind::Rms, Kind::Mfcc]), bytes.to_vec())
            .await
            .expect_err(what);
        let pitch = served.pitch(tiny(), bytes.to_vec()).await.expect_err(what);
        let request = pb::SeparateRequest {
            config: None,
            audio: inline(bytes),
        };
        let separation = served.client.clone().separate(request).await.expect_err(what);
        [features, pitch, separation]
    };
    timeout(SOON, told)
        .await
        .unwrap_or_else(|_| panic!("{what}: no answer"))
}

#[tokio::test]
async fn recordings_that_are_none_are_refused_by_field() {
    let served = served(&[]).await;
    let whole = wav();
    let mut lies = whole.clone();
    lies[40..44].copy_from_slice(&4_000_000_u32.to_le_bytes());
    // The first half second of a WAV that declares a day, at 8 kHz, where a length still fits into 31 bits.
    let mut day = whole.clone();
    day[24..28].copy_from_slice(&8_000_u32.to_le_bytes());
    day[28..32].copy_from_slice(&16_000_u32.to_le_bytes());
    day[40..44].copy_from_slice(&(8_000_u32 * 2 * 86_400).to_le_bytes());
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
        for status in refused_by_all(&served, &bytes, what).await {
            assert_refused(&status, code, field);
        }
    }
    let infinite = raw(&[0.0, f32::INFINITY, 0.0]);
    let config = pb::FeaturesConfig {
        explicit_decoding: raw_decoding(types::AudioEncoding::Float32),
        ..features(&[Kind::Rms])
    };
    let status = served.features(config, infinite).await.expect_err("not finite");
    assert_refused(&status, Code::InvalidArgument, "audio");
}

#[tokio::test]
async fn media_that_is_elsewhere_is_refused_by_name() {
    use types::media::Source;
    let served = served(&[]).await;
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
        let request = pb::FeaturesRequest {
            config: Some(features(&[Kind::Rms])),
            audio: Some(types::Media { source }),
        };
        let status = served
            .client
            .clone()
            .features(request)
            .await
            .expect_err("refused");
        assert_refused(&status, code, field);
    }
}

#[tokio::test]
async fn streams_out_of_order_are_refused() {
    use pb::streaming_features_request::Request;
    let served = served(&[]).await;
    let audio = |bytes: Vec<u8>| Request::Audio(bytes.into());
    let config = || Request::Config(features(&[Kind::Rms]));
    let cases = [
        ("config", vec![audio(wav())]),
        ("config", vec![config(), config()]),
        ("audio", vec![config(), audio(vec![0; (32 << 10) + 1])]),
        (
            "audio",
            vec![
                config(),
                audio(b"%PDF-1.7 and so on and so on and so on".to_vec()),
            ],
        ),
        ("audio", vec![config()]),
    ];
    for (field, requests) in cases {
        let requests: Vec<_> = requests
            .into_iter()
            .map(|request| pb::StreamingFeaturesRequest {
                request: Some(request),
            })
            .collect();
        let stream = served
            .client
            .clone()
            .streaming_features(tokio_stream::iter(requests))
            .await;
        let told = timeout(SOON, collect(stream)).await.expect("soon");
        assert_refused(&told.1.expect_err(field), Code::InvalidArgument, field);
    }
}

#[tokio::test]
async fn an_answer_that_would_not_fit_names_the_ways_out() {
    let served = served(&["analysis.server.limits.max_send_message=128KiB"]).await;
    let bytes = wav_of(sine(440.0, 20.0, 16_000), 16_000, 1);
    let status = served
        .features(features(&[Kind::MelSpectrogram]), bytes.clone())
        .await
        .expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("summary_only") && status.message().contains("StreamingFeatures"));
    let summary = pb::FeaturesConfig {
        summary_only: Some(true),
        ..features(&[Kind::MelSpectrogram])
    };
    served.features(summary, bytes).await.expect("fits");
}

/// A WAV with bytes changed here and there either is measured or is refused in words, and the server lives.
#[tokio::test]
async fn damaged_files_are_measured_or_refused() {
    let served = served(&[]).await;
    let whole = wav_of(sine(440.0, 0.3, 8_000), 8_000, 1);
    let mut rng = Rng::new(7);
    let mut outcomes = [0, 0];
    for round in 0..60 {
        let mut bytes = whole.clone();
        // By turns in the header, where it hurts, and anywhere.
        let changed = if round % 2 == 0 {
            rng.mutate(&bytes[..64], 6)
        } else {
            rng.mutate(&bytes, 6)
        };
        if round % 2 == 0 {
            bytes.splice(..64, changed);
        } else {
            bytes = changed;
        }
        let all = features(&[
            Kind::Rms,
            Kind::Chroma,
            Kind::Tempo,
            Kind::Loudness,
            Kind::SpectralFlatness,
        ]);
        let answer = timeout(SOON, served.features(all, bytes)).await.expect("soon");
        match answer {
            Ok(_) => outcomes[0] += 1,
            Err(status) => {
                let expected = [Code::InvalidArgument, Code::ResourceExhausted];
                assert!(expected.contains(&status.code()), "{status:?}");
                outcomes[1] += 1;
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 5), "{outcomes:?}");
}
