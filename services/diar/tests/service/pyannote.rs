//! The production engine from a model store to a client, with graphs that hear tones (`fixtures/make_pyannote_oracles.py`),
//! so that the right answer is known, also where two speak at once.

use std::f64::consts::PI;
use std::fs;
use std::path::Path;

use polyphony_proto::diar::v1 as pb;
use polyphony_proto::diar::v1::streaming_diarize_request::Request as Message;
use polyphony_proto::diar::v1::streaming_diarize_response::Event;
use polyphony_proto::types::v1 as types;

use super::support::{RATE, Served, recording, seconds, served};

/// Who speaks when, by the frequency of the tone, in seconds.
const TURNS: [(f64, f64, f64); 5] = [
    (500.0, 0.0, 6.0),
    (1_250.0, 6.0, 14.0),
    (500.0, 12.0, 16.0),
    (2_750.0, 17.0, 23.0),
    (500.0, 23.0, 30.0),
];
/// A frame, and what its sound is spread over.
const CLOSE: f64 = 0.08;

/// Tones that swell and fade by 26 dB three times a second over a little noise.
fn sound() -> Vec<f32> {
    let mut state = 1_u32;
    let sample = |n: usize| {
        let t = n as f64 / RATE as f64;
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state) / 2_147_483_648.0 - 1.0;
        let tones: f64 = TURNS
            .iter()
            .filter(|(_, start, end)| (*start..*end).contains(&t))
            .map(|(hz, ..)| {
                (2.0 * PI * hz * t).sin() * 10_f64.powf(-0.65 - 0.65 * (2.0 * PI * 3.0 * t).sin())
            })
            .sum();
        (0.1 * tones + 0.001 * noise) as f32
    };
    (0..30 * RATE).map(sample).collect()
}

/// Serves the oracles from a catalogue of a person.
async fn oracle(settings: &[&str]) -> Served {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/oracle");
    let entry = |id: &str, task: &str, file: &str| {
        format!(
            r#"
            [[model]]
            id = "{id}"
            task = "{task}"
            engine = "pyannote"
            description = "hears tones"
            licence = "CC0-1.0"
            source = {{ kind = "folder", path = {folder:?} }}
            variant = [{{ name = "fp32", memory_bytes = 900000000, files = [{{ path = "{file}" }}] }}]
            "#
        )
    };
    let catalogue = [
        entry("a-tones-segmentation", "segmentation", "segmentation.onnx"),
        entry("a-tones", "diar", "encoder.onnx"),
    ];
    // It lives as long as the process: the program looks at it again.
    let store = tempfile::tempdir().expect("a folder").keep();
    fs::create_dir(store.join("catalogue.d")).expect("a folder");
    fs::write(store.join("catalogue.d/tones.toml"), catalogue.concat()).expect("written");
    let dir = format!("models.dir={}", store.display());
    let settings: Vec<&str> = settings.iter().copied().chain([dir.as_str()]).collect();
    served(&settings).await
}

/// Segments by their person, as times.
fn turns(segments: &[pb::SpeakerSegment], label: &str) -> Vec<(f64, f64)> {
    let mut turns: Vec<(f64, f64)> = segments
        .iter()
        .filter(|segment| segment.speaker_label == label)
        .map(|segment| (seconds(segment.start_offset), seconds(segment.end_offset)))
        .collect();
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    turns
}

fn assert_turns(found: &[(f64, f64)], expected: &[(f64, f64)], close: f64) {
    assert_eq!(found.len(), expected.len(), "{found:?} for {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found.0 - expected.0).abs() < close && (found.1 - expected.1).abs() < close,
            "{found:?} for {expected:?}"
        );
    }
}

#[tokio::test]
async fn people_who_speak_at_once_are_both_heard() {
    let mut served = oracle(&["diar.engine=auto"]).await;
    let request = pb::DiarizeRequest {
        config: Some(pb::DiarizationConfig {
            include_exclusive: Some(true),
            include_speaker_embeddings: Some(true),
            // Tones are not as far apart as people.
            clustering_threshold: Some(0.3),
            // They swell and fade.
            min_duration_off: Some(prost_types::Duration {
                seconds: 0,
                nanos: 300_000_000,
            }),
            ..pb::DiarizationConfig::default()
        }),
        audio: recording(&sound()),
        output_formats: Vec::new(),
    };
    let response = served
        .client
        .diarize(request)
        .await
        .expect("answered")
        .into_inner();
    let receipt = response.receipt.clone().expect("a receipt");
    assert_eq!(
        (receipt.engine.as_str(), receipt.model.as_str()),
        ("pyannote", "a-tones")
    );
    assert!(receipt.degraded.is_none(), "{receipt:?}");
    let all = &response.segments;
    assert_turns(
        &turns(all, "SPEAKER_00"),
        &[(0.0, 6.0), (12.0, 16.0), (23.0, 30.0)],
        CLOSE,
    );
    assert_turns(&turns(all, "SPEAKER_01"), &[(6.0, 14.0)], CLOSE);
    assert_turns(&turns(all, "SPEAKER_02"), &[(17.0, 23.0)], CLOSE);
    assert_eq!(response.speakers.len(), 3, "{response:?}");
    assert!(
        response
            .speakers
            .iter()
            .all(|speaker| speaker.embedding.len() == 80)
    );
    let long =
        |overlap: &&pb::OverlapRegion| seconds(overlap.end_offset) - seconds(overlap.start_offset) > CLOSE;
    let overlaps: Vec<_> = response.overlaps.iter().filter(long).collect();
    assert_eq!(overlaps.len(), 1, "{:?}", response.overlaps);
    assert_eq!(overlaps[0].speaker_labels, ["SPEAKER_00", "SPEAKER_01"]);
    assert!((seconds(overlaps[0].start_offset) - 12.0).abs() < CLOSE);
    assert!((seconds(overlaps[0].end_offset) - 14.0).abs() < CLOSE);
    let mut exclusive: Vec<(f64, f64)> = response
        .exclusive_segments
        .iter()
        .map(|segment| (seconds(segment.start_offset), seconds(segment.end_offset)))
        .collect();
    exclusive.sort_by(|a, b| a.0.total_cmp(&b.0));
    for pair in exclusive.windows(2) {
        assert!(pair[0].1 <= pair[1].0 + 1e-6, "{exclusive:?}");
    }
}

#[tokio::test]
async fn a_stream_tells_of_both_who_speak_at_once() {
    let mut served = oracle(&["diar.engine=pyannote"]).await;
    let config = pb::StreamingDiarizationConfig {
        config: Some(pb::DiarizationConfig {
            explicit_decoding: Some(types::ExplicitDecoding {
                encoding: types::AudioEncoding::Linear16.into(),
                sample_rate_hertz: 16_000,
                audio_channel_count: 1,
            }),
            clustering_threshold: Some(0.3),
            min_duration_off: Some(prost_types::Duration {
                seconds: 0,
                nanos: 300_000_000,
            }),
            ..pb::DiarizationConfig::default()
        }),
        ..pb::StreamingDiarizationConfig::default()
    };
    let bytes: Vec<u8> = sound()
        .iter()
        .flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes())
        .collect();
    let audio = bytes
        .chunks(10_000)
        .map(|chunk| Message::Audio(chunk.to_vec().into()));
    let messages: Vec<_> = std::iter::once(Message::StreamingConfig(config))
        .chain(audio)
        .map(|message| pb::StreamingDiarizeRequest {
            request: Some(message),
        })
        .collect();
    let stream = served
        .client
        .streaming_diarize(tokio_stream::iter(messages))
        .await;
    let mut replies = stream.expect("opened").into_inner();
    let mut known = std::collections::BTreeMap::new();
    let (mut ended, mut told_early) = (None, false);
    while let Some(reply) = replies.message().await.expect("no error") {
        match reply.event.expect("an event") {
            Event::Segments(segments) => {
                told_early = true;
                known.extend(
                    segments
                        .segments
                        .into_iter()
                        .map(|segment| (segment.segment_id, segment)),
                );
            }
            Event::Ended(said) => ended = Some(said),
            _ => {}
        }
    }
    let ended = ended.expect("the end is said");
    assert!(told_early);
    let segments: Vec<pb::SpeakerSegment> = known.into_values().collect();
    assert_eq!(ended.speakers.len(), 3, "{segments:?}");
    // Half a second of a window that has just begun may be heard otherwise.
    assert_turns(
        &turns(&segments, "SPEAKER_00"),
        &[(0.0, 6.0), (12.0, 16.0), (23.0, 30.0)],
        0.12,
    );
    assert_turns(&turns(&segments, "SPEAKER_01"), &[(6.0, 14.0)], 0.12);
    assert_turns(&turns(&segments, "SPEAKER_02"), &[(17.0, 23.0)], 0.12);
}
