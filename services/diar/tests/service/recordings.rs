//! `Diarize`: what is found, and what is refused.

use std::time::{Duration, Instant};

use polyphony_proto::diar::v1 as pb;
use tonic::Code;

use super::support::{CONVERSATION, RATE, assert_refused, inline, recording, seconds, served};

fn asked(config: pb::DiarizationConfig) -> pb::DiarizeRequest {
    pb::DiarizeRequest {
        config: Some(config),
        audio: recording(&CONVERSATION),
        output_formats: vec![pb::OutputFormat::Rttm.into()],
    }
}

#[tokio::test]
async fn two_people_in_turn_are_told_apart() {
    let mut served = served(&[]).await;
    let config = pb::DiarizationConfig {
        include_exclusive: Some(true),
        include_speaker_embeddings: Some(true),
        ..pb::DiarizationConfig::default()
    };
    let response = served
        .client
        .diarize(asked(config))
        .await
        .expect("answered")
        .into_inner();
    let labels: Vec<_> = response
        .exclusive_segments
        .iter()
        .filter(|segment| seconds(segment.end_offset) - seconds(segment.start_offset) > 1.0)
        .map(|segment| segment.speaker_label.as_str())
        .collect();
    assert_eq!(
        labels,
        ["SPEAKER_00", "SPEAKER_01", "SPEAKER_00", "SPEAKER_01"],
        "{response:?}"
    );
    assert_eq!(response.speakers.len(), 2);
    for speaker in &response.speakers {
        let length: f32 = speaker.embedding.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-3, "{length}");
        assert!(seconds(speaker.speech_duration) > 4.0, "{speaker:?}");
    }
    let content = &response.rendered.first().expect("RTTM").content;
    assert_eq!(content.lines().count(), response.segments.len());
    assert!(content.starts_with("SPEAKER recording 1 "), "{content}");
    let receipt = response.receipt.expect("a receipt");
    assert_eq!(receipt.engine, "ge2e");
    assert!(receipt.model_digest.starts_with("sha256:"));
    let effective = response.effective_config.expect("effective");
    assert!(effective.clustering_threshold.is_some() && effective.max_speakers == Some(20));
}

#[tokio::test]
async fn a_number_of_people_that_is_given_is_kept() {
    let mut served = served(&[]).await;
    for number in [1, 2] {
        let config = pb::DiarizationConfig {
            num_speakers: Some(number),
            ..pb::DiarizationConfig::default()
        };
        let response = served
            .client
            .diarize(asked(config))
            .await
            .expect("answered")
            .into_inner();
        assert_eq!(response.speakers.len(), number as usize);
    }
}

#[tokio::test]
async fn silence_has_no_speaker() {
    let mut served = served(&[]).await;
    let request = pb::DiarizeRequest {
        audio: recording(&vec![0.0; RATE * 3]),
        ..pb::DiarizeRequest::default()
    };
    let response = served
        .client
        .diarize(request)
        .await
        .expect("answered")
        .into_inner();
    assert!(response.segments.is_empty() && response.speakers.is_empty());
    assert!((seconds(response.audio_duration) - 3.0).abs() < 0.01);
}

#[tokio::test]
async fn what_is_wrong_is_named_within_five_seconds() {
    let mut served = served(&["diar.max_diarize_duration=10s"]).await;
    let began = Instant::now();
    let good = recording(&vec![0.0; RATE]);
    let cases = [
        (
            None,
            pb::DiarizationConfig::default(),
            Code::InvalidArgument,
            "audio",
        ),
        (
            inline(Vec::new()),
            pb::DiarizationConfig::default(),
            Code::InvalidArgument,
            "audio.inline",
        ),
        (
            inline(b"<html>not sound</html>".repeat(100)),
            pb::DiarizationConfig::default(),
            Code::InvalidArgument,
            "audio",
        ),
        (
            recording(&vec![0.0; RATE * 11]),
            pb::DiarizationConfig::default(),
            Code::ResourceExhausted,
            "audio",
        ),
        (
            good.clone(),
            pb::DiarizationConfig {
                min_speakers: Some(3),
                max_speakers: Some(2),
                ..pb::DiarizationConfig::default()
            },
            Code::InvalidArgument,
            "config.min_speakers",
        ),
    ];
    for (audio, config, code, field) in cases {
        let request = pb::DiarizeRequest {
            config: Some(config),
            audio,
            output_formats: Vec::new(),
        };
        let status = served.client.diarize(request).await.expect_err("refused");
        assert_refused(&status, code, field);
    }
    let unknown = pb::DiarizeRequest {
        config: Some(pb::DiarizationConfig {
            model: "nobody/nothing".to_owned(),
            ..pb::DiarizationConfig::default()
        }),
        audio: good,
        output_formats: Vec::new(),
    };
    let status = served.client.diarize(unknown).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
