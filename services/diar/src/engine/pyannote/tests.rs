//! The parts of the engine against pyannote.audio, on tiny networks with random weights and on random windows and voices
//! (`tests/fixtures/make_pyannote_golden.py` makes both). They need ONNX Runtime, which the set-up installs.

use std::f64::consts::PI;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use polyphony_inference::{InferenceConfig, Runtime};
use serde_json::Value;

use super::analysis::{Analysis, Heard, Voices};
use super::encoder::{Encoder, Stretches};
use super::layout::Layout;
use super::people::People;
use super::segmentation::Segmentation;
use super::{decode, people};
use crate::clustering::agglomerative::Linkage;
use crate::clustering::{Vectors, Wanted};
use crate::domain::{Cancel, Clustering};

const SAMPLES: usize = 214_400;

/// As `sound` in `make_pyannote_golden.py`.
fn sound() -> Vec<f32> {
    let mut state = 12_345_u32;
    let sample = |n: usize| {
        let t = n as f64 / 16_000.0;
        let voice: f64 = (1..6)
            .map(|harmonic| {
                let harmonic = f64::from(harmonic);
                (2.0 * PI * harmonic * (110.0 * t + 10.0 * t * t)).sin() / harmonic
            })
            .sum();
        let syllables = (2.0 * PI * 1.3 * t).sin().powi(2);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state) / 2_147_483_648.0 - 1.0;
        (0.1 * voice * syllables + 0.02 * noise) as f32
    };
    (0..SAMPLES).map(sample).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pyannote")
        .join(name)
}

fn golden() -> Value {
    let text = std::fs::read(fixture("golden.json")).expect("the golden file");
    serde_json::from_slice(&text).expect("JSON")
}

fn runtime() -> Runtime {
    Runtime::new(&InferenceConfig::default())
}

fn encoder(name: &str) -> Encoder {
    let runtime = runtime();
    let loaded = runtime.get().expect("ONNX Runtime; `make setup` installs it");
    let opened = Encoder::open(loaded, &fixture(name), NonZeroUsize::MIN);
    opened.unwrap_or_else(|trouble| panic!("{name}: {trouble}"))
}

/// Standard base64, as Python writes it.
fn bytes(value: &Value) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = value.as_str().expect("base64").trim_end_matches('=');
    let digits: Vec<u32> = text
        .bytes()
        .map(|byte| DIGITS.iter().position(|digit| *digit == byte).expect("a digit") as u32)
        .collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let whole = four
            .iter()
            .enumerate()
            .fold(0, |whole, (at, digit)| whole | digit << (18 - 6 * at));
        bytes.extend_from_slice(&whole.to_be_bytes()[1..four.len()]);
    }
    bytes
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|number| number.as_f64().expect("a number"))
        .collect()
}

#[test]
fn windows_have_the_labels_that_pyannote_gives_them() {
    let runtime = runtime();
    let loaded = runtime.get().expect("ONNX Runtime; `make setup` installs it");
    let two = NonZeroUsize::new(2).expect("not zero");
    let network = Segmentation::open(loaded, &fixture("segmentation.onnx"), two).expect("opened");
    let starts: Vec<usize> = network.layout().starts(SAMPLES).collect();
    let labels = network
        .label(&sound(), &starts, &Cancel::default())
        .expect("labels");
    let golden = golden();
    let expected: Vec<Vec<u8>> = golden["labels"]
        .as_array()
        .expect("windows")
        .iter()
        .map(bytes)
        .collect();
    assert_eq!(labels.len(), expected.len());
    for (window, (found, expected)) in labels.iter().zip(&expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        // Where two classes are as likely as one another, the last digit decides.
        let other = found.iter().zip(expected).filter(|(a, b)| a != b).count();
        assert!(other <= 1, "window {window}: {other} frames differ");
        assert!(expected.iter().collect::<std::collections::BTreeSet<_>>().len() > 2);
    }
}

#[test]
fn voices_equal_those_of_torch_within_1e_4() {
    let golden = golden();
    for name in ["encoder", "titanet"] {
        let encoder = encoder(&format!("{name}.onnx"));
        let mut worst = 0.0_f64;
        for voice in golden["voices"].as_array().expect("voices") {
            let stretches: Stretches = voice["stretches"]
                .as_array()
                .expect("stretches")
                .iter()
                .map(|pair| {
                    let pair = numbers(pair);
                    pair[0] as usize..pair[1] as usize
                })
                .collect();
            let found = encoder
                .voices(&sound(), &[stretches], &Cancel::default())
                .expect("a voice");
            let expected = numbers(&voice[name]);
            assert_eq!(found.width(), expected.len());
            let size = expected.iter().map(|value| value.abs()).fold(0.0, f64::max);
            for (found, expected) in found.row(0).iter().zip(&expected) {
                worst = worst.max((f64::from(*found) - expected).abs() / size);
            }
        }
        println!("{name}: largest difference {worst:e}");
        assert!(worst < 1e-4, "{name}: {worst:e}");
    }
}

#[test]
fn people_and_turns_are_those_of_pyannote() {
    let layout = Layout::segmentation_3();
    for (number, case) in golden()["cases"].as_array().expect("cases").iter().enumerate() {
        let labels: Vec<Vec<u8>> = bytes(&case["labels"])
            .chunks_exact(layout.frames)
            .map(<[u8]>::to_vec)
            .collect();
        let values: Vec<f32> = bytes(&case["voices"])
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        let voices = Vectors::of(24, values);
        let heard: Vec<Heard> = case["heard"]
            .as_array()
            .expect("heard")
            .iter()
            .enumerate()
            .map(|(voice, pair)| Heard {
                window: numbers(pair)[0] as usize,
                person: 1 << numbers(pair)[1] as u8,
                frames: 0..layout.frames,
                voice,
                share: 1.0,
            })
            .collect();
        let asked = case["limits"]["num_clusters"]
            .as_u64()
            .map(|asked| asked as usize);
        let wanted = Wanted {
            method: Clustering::Agglomerative,
            linkage: Linkage::Centroid,
            threshold: 0.704_565_5_f32.powi(2) / 2.0,
            at_least: asked.unwrap_or(1),
            at_most: asked.unwrap_or(64),
            solid: 0.0,
        };
        let found = people::find(&voices, &heard, &wanted);
        // The same groups, whatever they are called.
        let expected: Vec<usize> = numbers(&case["who"])
            .into_iter()
            .map(|who| who as usize)
            .collect();
        let mut names = std::collections::BTreeMap::new();
        for (found, expected) in found.who.iter().zip(&expected) {
            assert_eq!(names.entry(*expected).or_insert(*found), found, "case {number}");
        }
        assert_eq!(names.len(), found.centres.len(), "case {number}");

        let analysis = Analysis {
            samples: u64::MAX,
            starts: (0..labels.len()).map(|window| window * 16_000).collect(),
            labels,
            heard,
            voices,
        };
        // By pyannote's numbers: of two whom as many windows hear, the lower one speaks.
        let numbered = People {
            who: expected,
            centres: Vectors::of(24, vec![0.0; 24 * names.len()]),
        };
        let decoded = decode::decode(&analysis, &layout, &numbered, 64);
        let mut turns: Vec<(u64, u64, usize)> = Vec::new();
        for (who, track) in decoded.tracks.iter().enumerate() {
            turns.extend(track.iter().map(|span| (span.start, span.end, who)));
        }
        turns.sort_unstable();
        let mut expected: Vec<(u64, u64, usize)> = case["turns"]
            .as_array()
            .expect("turns")
            .iter()
            .map(|turn| {
                let turn = numbers(turn);
                let sample = |seconds: f64| (seconds * 16_000.0) as u64;
                (sample(turn[0]), sample(turn[1]), turn[2] as usize)
            })
            .collect();
        expected.sort_unstable();
        assert_eq!(
            turns.len(),
            expected.len(),
            "case {number}: {turns:?} {expected:?}"
        );
        for (found, expected) in turns.iter().zip(&expected) {
            assert_eq!(found.2, expected.2, "case {number}");
            // pyannote's edges lie between two samples, and its last one a frame earlier.
            assert!(
                found.0.abs_diff(expected.0) <= 1 && found.1.abs_diff(expected.1) <= 271,
                "case {number}: {found:?} for {expected:?}"
            );
        }
    }
}

#[test]
fn a_graph_that_is_something_else_is_refused_with_the_reason() {
    let runtime = runtime();
    let loaded = runtime.get().expect("ONNX Runtime; `make setup` installs it");
    let said = Segmentation::open(loaded, &fixture("encoder.onnx"), NonZeroUsize::MIN).expect_err("refused");
    assert!(
        polyphony_error::chain(&said).to_string().contains("encoder.onnx"),
        "{said:?}"
    );
    let said = Encoder::open(loaded, &fixture("segmentation.onnx"), NonZeroUsize::MIN).expect_err("refused");
    assert!(
        polyphony_error::chain(&said)
            .to_string()
            .contains("segmentation.onnx"),
        "{said:?}"
    );
}

#[test]
fn moments_cover_all_that_a_window_hears_and_share_voices() {
    let runtime = runtime();
    let loaded = runtime.get().expect("ONNX Runtime; `make setup` installs it");
    let network =
        Segmentation::open(loaded, &fixture("segmentation.onnx"), NonZeroUsize::MIN).expect("opened");
    let encoder = encoder("encoder.onnx");
    let of =
        |voices| Analysis::of(&sound(), &network, &encoder, voices, &Cancel::default()).expect("analysed");
    let (moments, windows) = (of(Voices::OfMoments), of(Voices::OfWindows));
    assert_eq!(windows.voices.len(), windows.heard.len());
    assert!(moments.heard.len() > windows.heard.len() && moments.voices.len() < moments.heard.len() / 2);
    for whole in &windows.heard {
        let parts = || {
            let same = |part: &&Heard| (part.window, part.person) == (whole.window, whole.person);
            moments.heard.iter().filter(same)
        };
        assert!((parts().map(|part| part.share).sum::<f32>() - 1.0).abs() < 1e-5);
        let labels = &moments.labels[whole.window];
        let covered = (0..labels.len()).filter(|at| parts().any(|part| part.frames.contains(at)));
        let spoken = |at: &usize| labels[*at] & whole.person != 0;
        assert_eq!(
            covered.filter(spoken).count(),
            (0..labels.len()).filter(spoken).count()
        );
    }
}
