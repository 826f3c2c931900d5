//! Configs that cannot be honoured are refused by the paths of their fields, whole and streamed, within five seconds.

use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_proto::types::v1 as types;
use tokio::time::timeout;
use tonic::Code;

use crate::support::{SOON, assert_refused, collect, features, inline, served, tiny, wav_of};

fn wav() -> Vec<u8> {
    wav_of(vec![0.25; 16_000], 16_000, 1)
}

#[tokio::test]
async fn feature_configs_that_cannot_be_honoured_are_refused_by_field_whole_and_streamed() {
    let served = served(&[]).await;
    let with = |kinds: &[Kind], change: fn(&mut pb::FeaturesConfig)| {
        let mut config = features(kinds);
        change(&mut config);
        config
    };
    let rms = &[Kind::Rms][..];
    let cases = [
        ("features", features(&[])),
        ("features", features(&[Kind::Rms, Kind::Mfcc, Kind::Rms])),
        ("features[1]", features(&[Kind::Rms, Kind::Unspecified])),
        (
            "features[0]",
            with(&[], |config| config.features = vec![99; 1_000_000]),
        ),
        (
            "sample_rate_hertz",
            with(rms, |config| config.sample_rate_hertz = Some(7_999)),
        ),
        (
            "sample_rate_hertz",
            with(rms, |config| config.sample_rate_hertz = Some(u32::MAX)),
        ),
        ("fft_size", with(rms, |config| config.fft_size = Some(0))),
        ("fft_size", with(rms, |config| config.fft_size = Some(2_000))),
        ("fft_size", with(rms, |config| config.fft_size = Some(1 << 31))),
        ("hop_length", with(rms, |config| config.hop_length = Some(0))),
        ("hop_length", with(rms, |config| config.hop_length = Some(8_193))),
        (
            "hop_length",
            with(&[Kind::Tempo], |config| {
                config.sample_rate_hertz = Some(192_000);
                config.hop_length = Some(64);
            }),
        ),
        ("mel_count", with(rms, |config| config.mel_count = Some(0))),
        ("mel_count", with(rms, |config| config.mel_count = Some(257))),
        ("mfcc_count", with(rms, |config| config.mfcc_count = Some(129))),
        (
            "mfcc_count",
            with(&[Kind::Mfcc], |config| config.mel_count = Some(19)),
        ),
        (
            "start_tempo_bpm",
            with(rms, |config| config.start_tempo_bpm = Some(f32::NAN)),
        ),
        (
            "start_tempo_bpm",
            with(rms, |config| config.start_tempo_bpm = Some(-1.0)),
        ),
        (
            "tuning_semitones",
            with(rms, |config| config.tuning_semitones = Some(0.6)),
        ),
        (
            "fft_size",
            with(&[Kind::SpectralContrast], |config| {
                config.sample_rate_hertz = Some(8_000)
            }),
        ),
        (
            "fft_size",
            with(&[Kind::SpectralContrast], |config| {
                config.sample_rate_hertz = Some(192_000);
                config.fft_size = Some(256);
            }),
        ),
        (
            "explicit_decoding.sample_rate_hertz",
            with(rms, |config| {
                config.explicit_decoding = Some(types::ExplicitDecoding {
                    encoding: types::AudioEncoding::Linear16.into(),
                    ..Default::default()
                });
            }),
        ),
    ];
    for (field, config) in cases {
        let field = format!("config.{field}");
        let told = async {
            let whole = served.features(config.clone(), wav()).await.expect_err(&field);
            let first = pb::StreamingFeaturesRequest {
                request: Some(pb::streaming_features_request::Request::Config(config)),
            };
            let stream = served
                .client
                .clone()
                .streaming_features(tokio_stream::iter([first]))
                .await;
            (whole, collect(stream).await.1.expect_err(&field))
        };
        let (whole, stream) = timeout(SOON, told)
            .await
            .unwrap_or_else(|_| panic!("{field}: no answer"));
        assert_refused(&whole, Code::InvalidArgument, &field);
        assert_refused(&stream, Code::InvalidArgument, &field);
    }
}

#[tokio::test]
async fn pitch_configs_that_cannot_be_honoured_are_refused_by_field_whole_and_streamed() {
    let served = served(&[]).await;
    let with = |change: fn(&mut pb::PitchConfig)| {
        let mut config = tiny();
        change(&mut config);
        config
    };
    let cases = [
        (
            "min_frequency_hertz",
            with(|config| {
                config.min_frequency_hertz = Some(400.0);
                config.max_frequency_hertz = Some(400.0);
            }),
        ),
        (
            "min_frequency_hertz",
            with(|config| config.min_frequency_hertz = Some(31.0)),
        ),
        (
            "max_frequency_hertz",
            with(|config| config.max_frequency_hertz = Some(f32::NAN)),
        ),
        (
            "hop_duration",
            with(|config| config.hop_duration = Some(prost_types::Duration { seconds: 0, nanos: 0 })),
        ),
        (
            "hop_duration",
            with(|config| {
                config.hop_duration = Some(prost_types::Duration {
                    seconds: i64::MIN,
                    nanos: -1,
                })
            }),
        ),
        ("decoder", with(|config| config.decoder = 9)),
        (
            "voicing_threshold",
            with(|config| config.voicing_threshold = Some(1.5)),
        ),
        (
            "silence_threshold_db",
            with(|config| config.silence_threshold_db = Some(1.0)),
        ),
        (
            "expected_model_digest",
            with(|config| config.expected_model_digest = "abc".to_owned()),
        ),
    ];
    for (field, config) in cases {
        let field = format!("config.{field}");
        let whole = served.pitch(config.clone(), wav()).await.expect_err(&field);
        assert_refused(&whole, Code::InvalidArgument, &field);
        let first = pb::StreamingPitchRequest {
            request: Some(pb::streaming_pitch_request::Request::Config(config)),
        };
        let stream = served
            .client
            .clone()
            .streaming_pitch(tokio_stream::iter([first]))
            .await;
        let status = collect(stream).await.1.expect_err(&field);
        assert_refused(&status, Code::InvalidArgument, &field);
    }
    let unknown = with(|config| config.model = "no/such-model".to_owned());
    let status = served.pitch(unknown, wav()).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}

#[tokio::test]
async fn separation_configs_that_cannot_be_honoured_are_refused_by_field() {
    let served = served(&[]).await;
    let with = |change: fn(&mut pb::SeparationConfig)| {
        let mut config = pb::SeparationConfig::default();
        change(&mut config);
        config
    };
    let cases = [
        ("overlap", with(|config| config.overlap = Some(0.95))),
        ("overlap", with(|config| config.overlap = Some(f32::NAN))),
        ("shifts", with(|config| config.shifts = Some(11))),
        ("include_rest", with(|config| config.include_rest = Some(true))),
        ("stem_encoding", with(|config| config.stem_encoding = 7)),
        (
            "segment_duration",
            with(|config| {
                config.segment_duration = Some(prost_types::Duration {
                    seconds: -1,
                    nanos: 0,
                })
            }),
        ),
        (
            "stems",
            with(|config| config.stems = vec!["x".to_owned(); 100_000]),
        ),
    ];
    for (field, config) in cases {
        let field = format!("config.{field}");
        let request = pb::SeparateRequest {
            config: Some(config),
            audio: inline(wav()),
        };
        let status = served.client.clone().separate(request).await.expect_err(&field);
        assert_refused(&status, Code::InvalidArgument, &field);
    }
    let request = pb::SeparateRequest {
        config: Some(with(|config| config.model = "no/such-model".to_owned())),
        audio: inline(wav()),
    };
    let status = served
        .client
        .clone()
        .separate(request)
        .await
        .expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}
