//! Features against `WhisperFeatureExtractor` of transformers, on signals that both sides make by formula.

use std::f64::consts::PI;

use polyphony_audio::mel::{WHISPER_SAMPLES, WhisperMel};

const GOLDEN: &[u8] = include_bytes!("../fixtures/mel_golden.bin");

/// As `signal` in `make_mel_golden.py`.
pub(crate) fn signal(samples: usize) -> Vec<f32> {
    let mut state = 12_345u32;
    (0..samples)
        .map(|n| {
            let t = n as f64 / 16_000.0;
            let chirp = 0.3 * (2.0 * PI * (100.0 * t + 400.0 * t * t)).sin();
            let tone = 0.05 * (2.0 * PI * 3333.0 * t).sin();
            let hum = 0.2 * (2.0 * PI * 60.0 * t).sin() * (2.0 * PI * 1.5 * t).sin();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state) / 4_294_967_296.0 - 0.5;
            let silent = (samples / 3..samples / 2).contains(&n);
            if silent {
                0.0
            } else {
                (chirp + tone + hum + 0.01 * noise) as f32
            }
        })
        .collect()
}

fn next(golden: &mut &[u8]) -> [u8; 4] {
    let (head, tail) = golden.split_first_chunk().expect("more of the golden file");
    *golden = tail;
    *head
}

fn number(golden: &mut &[u8]) -> usize {
    u32::from_le_bytes(next(golden)) as usize
}

#[test]
fn features_equal_those_of_the_reference_within_1e_4() {
    let mut golden = GOLDEN;
    let (mut cases, mut worst) = (0, 0.0f32);
    while !golden.is_empty() {
        let [bins, samples, padded, frames, count] = [(); 5].map(|()| number(&mut golden));
        let mut mel = WhisperMel::new(bins).expect("filters");
        let audio = signal(samples);
        let features = if padded == WHISPER_SAMPLES {
            mel.features_30s(&audio)
        } else {
            mel.features(&audio)
        };
        assert_eq!(
            (features.mels, features.frames, features.data.len()),
            (bins, frames, bins * frames)
        );
        for _ in 0..count {
            let (row, column) = (number(&mut golden), number(&mut golden));
            let expected = f32::from_le_bytes(next(&mut golden));
            let found = features.data[row * frames + column];
            worst = worst.max((found - expected).abs());
            assert!(
                worst < 1e-4,
                "{bins} bins, {samples} samples, mel {row}, frame {column}: {found} for {expected}"
            );
        }
        cases += 1;
    }
    assert_eq!(cases, 10);
    println!("largest difference {worst:e}");
}

#[test]
fn longer_audio_is_cut_to_30_seconds_and_none_gives_silence() {
    let mut mel = WhisperMel::new(80).expect("filters");
    let long = signal(WHISPER_SAMPLES + 5_000);
    assert!(mel.features_30s(&long) == mel.features_30s(&long[..WHISPER_SAMPLES]));
    let nothing = mel.features_30s(&[]);
    assert_eq!(nothing.frames, 3_000);
    assert!(nothing.data.iter().all(|value| *value == -1.5));
    assert_eq!(mel.features(&[0.5; 159]).frames, 0);
}
