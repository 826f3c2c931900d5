//! Recordings through a real socket, with the weights that the set-up installs.

use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use tonic::Code;

use crate::features::signal;
use crate::support::{ALL, features, inline, seconds, served, sine, tiny, wav_of};

#[tokio::test]
async fn a_recording_is_measured_and_the_receipt_says_by_what() {
    let served = served(&[]).await;
    let response = served
        .features(features(&ALL), wav_of(signal(22_050, 14.0, 0.3), 22_050, 1))
        .await
        .expect("measured");
    assert!((seconds(response.audio_duration) - 14.0).abs() < 1e-6);
    let tempo = response.tempo.expect("a tempo");
    assert!((tempo.bpm - 103.359).abs() < 0.01, "{}", tempo.bpm);
    assert_eq!(tempo.beat_offsets.len(), 23);
    // The first beat is at frame 38 of 512 samples.
    assert!((seconds(tempo.beat_offsets.first().copied()) - 38.0 * 512.0 / 22_050.0).abs() < 1e-6);
    let key = response.key.expect("a key");
    assert_eq!((key.tonic, key.mode), (2, pb::KeyMode::Major.into()));
    let loudness = response.loudness.expect("loudness");
    assert!((loudness.integrated_lufs.expect("sound") + 23.13).abs() < 0.05);
    assert!(loudness.true_peak_dbtp.is_some() && loudness.max_momentary_lufs.is_some());
    let kinds: Vec<i32> = response.matrices.iter().map(|matrix| matrix.kind).collect();
    assert_eq!(
        kinds,
        ALL[3..].iter().map(|kind| i32::from(*kind)).collect::<Vec<_>>()
    );
    for matrix in &response.matrices {
        assert_eq!(matrix.columns, 603);
        assert_eq!(matrix.values.len() as u32, matrix.rows * matrix.columns);
        assert!((seconds(matrix.hop_duration) - 512.0 / 22_050.0).abs() < 1e-6);
        assert!(seconds(matrix.start_offset).abs() < 1e-12);
    }
    let config = response.effective_config.expect("a config");
    assert_eq!((config.fft_size, config.mel_count), (Some(2_048), Some(128)));
    assert!((config.tuning_semitones.expect("a tuning") - 0.15).abs() < 1e-6);
    let receipt = response.receipt.expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("features", "")
    );
    assert!(receipt.engine_version.contains(env!("CARGO_PKG_VERSION")));
    assert!(!receipt.request_id.is_empty() && receipt.degraded.is_none());
}

#[tokio::test]
async fn stereo_of_another_rate_is_mixed_and_resampled_but_not_for_loudness() {
    let served = served(&[]).await;
    let left = sine(997.0, 4.0, 48_000);
    // -23 dBFS on both channels of a stereo file is -23 LUFS.
    let scale = 2.0 * 10f32.powf(-23.0 / 20.0);
    let stereo: Vec<f32> = left.iter().flat_map(|sample| [sample * scale; 2]).collect();
    let wanted = [Kind::Loudness, Kind::SpectralCentroid];
    let response = served
        .features(features(&wanted), wav_of(stereo, 48_000, 2))
        .await
        .expect("measured");
    let loudness = response.loudness.expect("loudness");
    assert!(
        (loudness.integrated_lufs.expect("sound") + 23.0).abs() < 0.1,
        "{loudness:?}"
    );
    let centroid = &response.matrices[0];
    assert_eq!(centroid.columns as usize, 1 + 4 * 22_050 / 512);
    assert!(
        (centroid.values[50] - 997.0).abs() < 20.0,
        "{}",
        centroid.values[50]
    );
}

#[tokio::test]
async fn the_pitch_of_a_tone_is_found_by_crepe() {
    let served = served(&[]).await;
    let mut samples = sine(220.0, 1.0, 16_000);
    samples.extend(vec![0.0; 16_000]);
    let response = served
        .pitch(tiny(), wav_of(samples.clone(), 16_000, 1))
        .await
        .expect("found; `setup/run` installs the weights");
    let track = response.track.expect("a track");
    assert_eq!((track.frequency_hertz.len(), track.periodicity.len()), (201, 201));
    assert!((seconds(track.hop_duration) - 0.01).abs() < 1e-9);
    for hz in &track.frequency_hertz[10..90] {
        assert!((1_200.0 * (hz / 220.0).log2()).abs() < 20.0, "{hz}");
    }
    assert!(
        track.frequency_hertz[130..190].iter().all(|hz| *hz == 0.0),
        "silence is unvoiced"
    );
    assert!(
        (0.4..0.6).contains(&response.voiced_ratio),
        "{}",
        response.voiced_ratio
    );
    let receipt = response.receipt.expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("crepe", "crepe-tiny")
    );
    assert!(
        receipt.model_digest.starts_with("sha256:") && receipt.engine_version.starts_with("onnxruntime ")
    );
    let config = response.effective_config.expect("a config");
    assert_eq!(config.decoder, i32::from(pb::PitchDecoder::Viterbi));
    assert_eq!(config.min_frequency_hertz, Some(50.0));

    // The digest that the receipt told is the one to expect; another is refused.
    let expecting = |digest: String| pb::PitchConfig {
        expected_model_digest: digest,
        ..tiny()
    };
    let bytes = wav_of(samples, 16_000, 1);
    served
        .pitch(expecting(receipt.model_digest), bytes.clone())
        .await
        .expect("the same model");
    let other = expecting(format!("sha256:{}", "0".repeat(64)));
    let status = served.pitch(other, bytes).await.expect_err("another model");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
}

#[tokio::test]
async fn capabilities_tell_models_features_and_limits() {
    let served = served(&["analysis.max_audio_duration=90s", "analysis.max_streams=3"]).await;
    let told = served
        .client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("capabilities")
        .into_inner();
    let names: Vec<&str> = told.models.iter().map(|model| model.model.as_str()).collect();
    assert!(
        names.starts_with(&["crepe-full", "crepe-tiny"]),
        "{names:?}; `setup/run` installs them"
    );
    assert!(
        told.models[0]
            .supported_fields
            .contains(&"config.decoder".to_owned())
    );
    assert_eq!(told.features.len(), 14);
    assert_eq!((told.max_streams, told.max_message_bytes), (3, 32 << 20));
    assert!((seconds(told.max_audio_duration) - 90.0).abs() < 1e-9);
}

#[tokio::test]
async fn without_onnx_runtime_features_are_served_and_pitch_says_what_is_missing() {
    let served = served(&["inference.onnxruntime=/nowhere/libonnxruntime.so"]).await;
    assert_eq!(
        served
            .readiness
            .is_serving(polyphony_proto::analysis::v1::analysis_service_server::SERVICE_NAME),
        Some(true)
    );
    let bytes = wav_of(sine(440.0, 1.0, 16_000), 16_000, 1);
    served
        .features(features(&[Kind::Rms]), bytes.clone())
        .await
        .expect("needs no model");
    let told = served
        .client
        .clone()
        .get_capabilities(pb::GetCapabilitiesRequest {})
        .await
        .expect("capabilities")
        .into_inner();
    assert!(told.models.is_empty() && told.features.len() == 14, "{told:?}");
    let status = served.pitch(tiny(), bytes).await.expect_err("no runtime");
    assert!(
        matches!(status.code(), Code::Unavailable | Code::FailedPrecondition)
            && status.message().contains("libonnxruntime"),
        "{status:?}"
    );
    let separation = pb::SeparateRequest {
        config: None,
        audio: inline(wav_of(sine(440.0, 1.0, 16_000), 16_000, 1)),
    };
    let status = served
        .client
        .clone()
        .separate(separation)
        .await
        .expect_err("no runtime");
    assert!(
        matches!(status.code(), Code::Unavailable | Code::FailedPrecondition),
        "{status:?}"
    );
}
