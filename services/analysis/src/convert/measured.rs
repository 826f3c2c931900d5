//! Features on their way to the wire.

use polyphony_proto::analysis::v1 as pb;
use polyphony_wire::wire_duration;

use super::features::kind;
use crate::features::key::{Key, Mode};
use crate::features::loudness::Loudness;
use crate::features::tempo::Tempo;
use crate::features::{Matrix, Settings};

/// The most values of a message of a stream: 32 KiB of them.
const MOST_VALUES: usize = 8 << 10;

pub(crate) fn loudness(loudness: Loudness) -> pb::Loudness {
    let Loudness {
        integrated_lufs,
        range_lu,
        max_momentary_lufs,
        max_short_term_lufs,
        true_peak_dbtp,
    } = loudness;
    pb::Loudness {
        integrated_lufs,
        range_lu,
        max_momentary_lufs,
        max_short_term_lufs,
        true_peak_dbtp,
    }
}

pub(crate) fn tempo(tempo: Tempo, settings: &Settings) -> pb::Tempo {
    let Tempo {
        bpm,
        beats,
        confidence,
    } = tempo;
    let at = |frame: u64| wire_duration(settings.rate.duration(frame * settings.hop as u64));
    pb::Tempo {
        bpm: bpm as f32,
        beat_offsets: beats.into_iter().map(at).collect(),
        confidence,
    }
}

pub(crate) fn key(key: Key) -> pb::MusicalKey {
    let Key {
        tonic,
        mode,
        correlation,
    } = key;
    let mode = match mode {
        Mode::Major => pb::KeyMode::Major,
        Mode::Minor => pb::KeyMode::Minor,
    };
    pb::MusicalKey {
        tonic: tonic.into(),
        mode: mode.into(),
        correlation,
    }
}

pub(crate) fn matrix(matrix: Matrix, settings: &Settings) -> pb::FeatureMatrix {
    let Matrix {
        feature,
        rows,
        first,
        values,
    } = matrix;
    let hop = settings.hop as u64;
    pb::FeatureMatrix {
        kind: kind(feature).into(),
        rows: rows as u32,
        columns: (values.len() / rows.max(1)) as u32,
        start_offset: Some(wire_duration(settings.rate.duration(first * hop))),
        hop_duration: Some(wire_duration(settings.rate.duration(hop))),
        values,
    }
}

/// Cuts matrices into messages that are not too large; each has at least a frame.
pub(crate) fn messages(mut matrices: Vec<Matrix>, settings: &Settings) -> Vec<pb::FeatureMatrices> {
    let most = (MOST_VALUES / settings.width().max(1)).max(1);
    let mut messages = Vec::new();
    while !matrices.is_empty() {
        let mut rest = Vec::new();
        let mut now = Vec::with_capacity(matrices.len());
        for mut matrix in matrices {
            let take = most * matrix.rows;
            if matrix.values.len() > take {
                let later = matrix.values.split_off(take);
                rest.push(Matrix {
                    first: matrix.first + most as u64,
                    values: later,
                    ..matrix
                });
            }
            now.push(self::matrix(matrix, settings));
        }
        messages.push(pb::FeatureMatrices { matrices: now });
        matrices = rest;
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Feature;

    #[test]
    fn messages_are_small_and_lose_nothing() {
        let settings = Settings::new(vec![Feature::Rms, Feature::MelSpectrogram]).expect("a rate");
        let matrix = |feature, rows, frames: usize| Matrix {
            feature,
            rows,
            first: 7,
            values: (0..rows * frames).map(|n| n as f32).collect(),
        };
        let messages = messages(
            vec![
                matrix(Feature::Rms, 1, 200),
                matrix(Feature::MelSpectrogram, 128, 100),
            ],
            &settings,
        );
        let count = |message: &pb::FeatureMatrices| {
            let values = message.matrices.iter().map(|matrix| matrix.values.len());
            values.sum::<usize>()
        };
        assert!(messages.iter().all(|message| count(message) <= MOST_VALUES));
        assert_eq!(messages.iter().map(count).sum::<usize>(), 200 + 12_800);
        let second = &messages[1].matrices[0];
        assert_eq!(second.values[0], 63.0);
        let start = second.start_offset.expect("a time");
        assert_eq!((start.seconds, start.nanos), (1, 625_396_825));
    }
}
