//! Streams through a real socket, with the weights that the set-up installs.

use polyphony_proto::analysis::v1 as pb;
use polyphony_proto::analysis::v1::FeatureKind as Kind;
use polyphony_proto::analysis::v1::streaming_features_response::Event as Told;
use polyphony_proto::analysis::v1::streaming_pitch_response::Event as Heard;
use polyphony_proto::types::v1 as types;

use crate::features::signal;
use crate::support::{ALL, collect, features, raw, raw_decoding, seconds, served, sine, tiny, wav_of};

fn feature_pieces(config: pb::FeaturesConfig, bytes: &[u8], cut: usize) -> Vec<pb::StreamingFeaturesRequest> {
    use pb::streaming_features_request::Request;
    let mut all = vec![Request::Config(config)];
    all.extend(
        bytes
            .chunks(cut)
            .map(|piece| Request::Audio(piece.to_vec().into())),
    );
    all.into_iter()
        .map(|request| pb::StreamingFeaturesRequest {
            request: Some(request),
        })
        .collect()
}

fn pitch_request(request: pb::streaming_pitch_request::Request) -> pb::StreamingPitchRequest {
    pb::StreamingPitchRequest {
        request: Some(request),
    }
}

fn marker(id: &str) -> pb::StreamingPitchRequest {
    pitch_request(pb::streaming_pitch_request::Request::Marker(types::Marker {
        id: id.to_owned(),
    }))
}

fn pitch_pieces(config: pb::PitchConfig, bytes: &[u8], cut: usize) -> Vec<pb::StreamingPitchRequest> {
    use pb::streaming_pitch_request::Request;
    let mut all = vec![pitch_request(Request::Config(config))];
    all.extend(
        bytes
            .chunks(cut)
            .map(|piece| pitch_request(Request::Audio(piece.to_vec().into()))),
    );
    all
}

#[tokio::test]
async fn summaries_are_two_frames() {
    let served = served(&[]).await;
    let config = pb::FeaturesConfig {
        summary_only: Some(true),
        ..features(&[Kind::Mfcc, Kind::Rms])
    };
    let bytes = wav_of(sine(440.0, 2.0, 16_000), 16_000, 1);
    let whole = served
        .features(config.clone(), bytes.clone())
        .await
        .expect("measured");
    let shapes: Vec<_> = whole
        .matrices
        .iter()
        .map(|matrix| (matrix.rows, matrix.columns))
        .collect();
    assert_eq!(shapes, [(20, 2), (1, 2)]);
    let rms = &whole.matrices[1].values;
    assert!(
        (rms[0] - 0.5 / 2f32.sqrt()).abs() < 0.02 && rms[1] < 0.1,
        "{rms:?}"
    );
    let requests = feature_pieces(config, &bytes, 5_000);
    let (replies, ended) = collect(
        served
            .client
            .clone()
            .streaming_features(tokio_stream::iter(requests))
            .await,
    )
    .await;
    ended.expect("ends well");
    let told: Vec<&pb::FeatureMatrices> = replies
        .iter()
        .filter_map(|reply| match &reply.event {
            Some(Told::Matrices(matrices)) => Some(matrices),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 1, "only at the end");
    assert_eq!(told[0].matrices[1].columns, 2);
}

#[tokio::test]
async fn a_stream_tells_frames_while_it_sounds_and_the_whole_at_its_end() {
    let served = served(&[]).await;
    let bytes = wav_of(signal(22_050, 6.0, 0.0), 22_050, 1);
    let whole = served
        .features(features(&ALL), bytes.clone())
        .await
        .expect("measured");
    let mut seen: Option<Vec<Vec<f32>>> = None;
    for cut in [32 << 10, 3_001] {
        let requests = feature_pieces(features(&ALL), &bytes, cut);
        let answer = served
            .client
            .clone()
            .streaming_features(tokio_stream::iter(requests))
            .await;
        let (replies, ended) = collect(answer).await;
        ended.expect("ends well");
        let sequence: Vec<u64> = replies.iter().map(|reply| reply.sequence).collect();
        assert_eq!(sequence, (1..=replies.len() as u64).collect::<Vec<_>>());
        let Some(Told::Ready(ready)) = &replies[0].event else {
            panic!("{:?}", replies[0])
        };
        assert_eq!(ready.receipt.as_ref().expect("a receipt").engine, "features");
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); ALL.len()];
        for reply in &replies {
            if let Some(Told::Matrices(message)) = &reply.event {
                let size: usize = message
                    .matrices
                    .iter()
                    .map(|matrix| matrix.values.len() * 4)
                    .sum();
                assert!(size <= 32 << 10, "{size}");
                for matrix in &message.matrices {
                    let place = ALL
                        .iter()
                        .position(|kind| i32::from(*kind) == matrix.kind)
                        .expect("asked for");
                    let frame = values[place].len() / matrix.rows as usize;
                    let start = frame as f64 * 512.0 / 22_050.0;
                    assert!((seconds(matrix.start_offset) - start).abs() < 1e-6);
                    values[place].extend(&matrix.values);
                }
            }
        }
        let Some(Told::Ended(end)) = &replies.last().expect("replies").event else {
            panic!("{:?}", replies.last())
        };
        assert_eq!((&end.key, &end.loudness), (&whole.key, &whole.loudness));
        // How clear the beat is follows onsets, which follow the loudest so far.
        let beats = |tempo: &Option<pb::Tempo>| {
            tempo
                .as_ref()
                .map(|tempo| (tempo.bpm, tempo.beat_offsets.clone()))
        };
        assert_eq!(beats(&end.tempo), beats(&whole.tempo));
        assert_eq!(end.audio_duration, whole.audio_duration);
        assert_eq!(end.effective_config, whole.effective_config);
        for matrix in &whole.matrices {
            let place = ALL
                .iter()
                .position(|kind| i32::from(*kind) == matrix.kind)
                .expect("asked for");
            // Those that follow the loudest so far are compared beside librosa.
            let learns = [Kind::Mfcc, Kind::OnsetStrength, Kind::SpectralContrast].contains(&ALL[place]);
            assert_eq!(values[place].len(), matrix.values.len());
            assert!(learns || values[place] == matrix.values, "{:?}", ALL[place]);
        }
        assert!(
            seen.as_ref().is_none_or(|seen| *seen == values),
            "the cuts changed something"
        );
        seen = Some(values);
    }
}

#[tokio::test]
async fn pitch_is_followed_in_a_stream_whatever_its_cuts_and_markers_come_back() {
    let served = served(&[]).await;
    let bytes = raw(&sine(330.0, 2.0, 16_000));
    let config = pb::PitchConfig {
        explicit_decoding: raw_decoding(types::AudioEncoding::Float32),
        ..tiny()
    };
    let mut tracks: Vec<Vec<f32>> = Vec::new();
    for cut in [4_096, 1_001] {
        let mut requests = pitch_pieces(config.clone(), &bytes, cut);
        requests.insert(1, marker("before all"));
        requests.push(marker("after all"));
        let answer = served
            .client
            .clone()
            .streaming_pitch(tokio_stream::iter(requests))
            .await;
        let (replies, ended) = collect(answer).await;
        ended.expect("ends well");
        assert!(matches!(&replies[0].event, Some(Heard::Ready(_))));
        let markers: Vec<(usize, &str)> = replies
            .iter()
            .enumerate()
            .filter_map(|(at, reply)| match &reply.event {
                Some(Heard::Marker(marker)) => Some((at, marker.id.as_str())),
                _ => None,
            })
            .collect();
        // The first waits for nothing; the second for the frames before it, which look half a second ahead.
        assert_eq!(markers, [(1, "before all"), (replies.len() - 2, "after all")]);
        let mut hz: Vec<f32> = Vec::new();
        for reply in &replies {
            if let Some(Heard::Track(track)) = &reply.event {
                assert!((seconds(track.start_offset) - 0.01 * hz.len() as f64).abs() < 1e-9);
                hz.extend(&track.frequency_hertz);
            }
        }
        let Some(Heard::Ended(end)) = &replies.last().expect("replies").event else {
            panic!("{:?}", replies.last())
        };
        assert!((seconds(end.audio_duration) - 2.0).abs() < 1e-9);
        assert_eq!(hz.len(), 201);
        assert!(
            hz[20..180]
                .iter()
                .all(|hz| (1_200.0 * (hz / 330.0).log2()).abs() < 20.0)
        );
        tracks.push(hz);
    }
    assert_eq!(tracks[0], tracks[1]);
}
