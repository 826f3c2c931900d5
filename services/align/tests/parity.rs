//! The CTC engine against transformers and torchaudio, on tiny models with random weights
//! (`fixtures/make_tiny_ctc.py` makes both).
//!
//! Scores must be equal within 1e-4, and letters lie in the very frames. The tests need the ONNX Runtime library, which
//! the set-up installs; without it they fail and say how to get it.

use std::f64::consts::PI;
use std::path::{Path, PathBuf};
use std::time::Duration;

use polyphony_align::Error;
use polyphony_align::domain::{Cancel, Options, TimingSource, Unaligned, Word};
use polyphony_align::engine::ctc::{Ctc, Folder, info};
use polyphony_align::engine::{self, Engine};
use polyphony_align::session::{Event, Session};
use polyphony_align::text::Text;
use polyphony_inference::{InferenceConfig, Runtime};
use serde_json::Value;

const SECONDS: usize = 4;
/// A frame.
const FRAME: Duration = Duration::from_millis(20);

/// As `sound` in `make_tiny_ctc.py`.
fn sound() -> Vec<f32> {
    let mut state = 12_345_u32;
    let sample = |n: usize| {
        let t = n as f64 / 16_000.0;
        let voice: f64 = (1..6)
            .map(|harmonic| {
                let harmonic = f64::from(harmonic);
                (2.0 * PI * harmonic * (110.0 * t + 30.0 * t * t)).sin() / harmonic
            })
            .sum();
        let syllables = (2.0 * PI * 2.5 * t).sin().powi(2);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state) / 2_147_483_648.0 - 1.0;
        (0.1 * voice * syllables + 0.02 * noise + 0.01) as f32
    };
    (0..SECONDS * 16_000).map(sample).collect()
}

fn folder(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/ctc")
        .join(model)
}

fn load(model: &str) -> Ctc {
    let config = InferenceConfig {
        sessions: std::num::NonZeroUsize::new(1),
        ..InferenceConfig::default()
    };
    let files = [
        "config.json",
        "vocab.json",
        "preprocessor_config.json",
        "onnx/model.onnx",
    ];
    let folder = Folder::new(folder(model), files);
    let info = info("tiny", "sha256:0", Vec::new());
    Ctc::load(&folder, info, &Runtime::new(&config), &config).expect("`make setup` installs ONNX Runtime")
}

fn golden(model: &str) -> Value {
    let content = std::fs::read(folder(model).join("golden.json")).expect("a golden file");
    serde_json::from_slice(&content).expect("JSON")
}

fn options() -> Options {
    Options {
        characters: true,
        ..Options::default()
    }
}

#[test]
fn scores_equal_those_of_transformers_within_1e_4() {
    for model in ["base", "mms"] {
        let bytes = std::fs::read(folder(model).join("logits.bin")).expect("golden scores");
        let expected = bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        let (logits, columns) = load(model).logits(&sound(), &Cancel::default()).expect("scores");
        assert_eq!(logits.len(), bytes.len() / 4);
        assert_eq!(
            logits.len() / columns,
            golden(model)["frames"].as_u64().expect("frames") as usize
        );
        let worst = logits
            .iter()
            .zip(expected)
            .map(|(found, expected)| (found - expected).abs())
            .fold(0.0, f32::max);
        assert!(worst < 1e-4 * 30.0, "{model}: {worst}");
        println!("{model}: largest difference {worst:e}");
    }
}

/// What a golden case says of a word: begin, end, and its letters.
fn letters(case: &Value, word: usize) -> Vec<(String, Duration, Duration, f32)> {
    let all = case["letters"].as_array().expect("letters").iter();
    all.filter(|letter| letter[0].as_u64() == Some(word as u64))
        .map(|letter| {
            let frame = |at: usize| FRAME * letter[at].as_u64().expect("a frame") as u32;
            let score = letter[4].as_f64().expect("a score").exp() as f32;
            (
                letter[1].as_str().expect("a character").to_owned(),
                frame(2),
                frame(3),
                score,
            )
        })
        .collect()
}

fn check(case: &Value, number: usize, word: &Word) {
    let letters = letters(case, number);
    let Some((first, last)) = letters.first().zip(letters.last()) else {
        assert_eq!(word.timing, TimingSource::Interpolated, "{word:?}");
        return;
    };
    assert_eq!(word.time, first.1..last.2, "{word:?}");
    let wild = letters.iter().all(|(text, ..)| text.is_empty());
    assert_eq!(word.timing == TimingSource::Wildcard, wild, "{word:?}");
    let told = word
        .characters
        .iter()
        .filter(|unit| unit.timing == TimingSource::Aligned);
    let named = letters.iter().filter(|(text, ..)| !text.is_empty());
    assert_eq!(told.clone().count(), named.clone().count(), "{word:?}");
    for (unit, (text, start, end, score)) in told.zip(named) {
        assert_eq!((&unit.text, &unit.time), (text, &(*start..*end)), "{word:?}");
        assert!((unit.score - score).abs() < 1e-4, "{word:?}: {score}");
    }
    let all: String = word.characters.iter().map(|unit| unit.text.as_str()).collect();
    assert_eq!(all, word.text, "every character has a time");
    assert!(word.characters.is_sorted_by_key(|unit| unit.time.start));
}

#[test]
fn letters_lie_where_torchaudio_puts_them() {
    for model in ["base", "mms"] {
        let engine = load(model);
        let golden = golden(model);
        for case in golden["cases"].as_array().expect("cases") {
            let text = Text::new(case["text"].as_str().expect("a text"));
            let found =
                engine::align(&engine, &sound(), &text, &options(), &Cancel::default()).expect("aligns");
            assert_eq!(found.words.len(), text.words());
            for (number, word) in found.words.iter().enumerate() {
                check(case, number, word);
            }
        }
    }
}

#[test]
fn numbers_have_no_sound_when_they_are_not_let_match_any() {
    let engine = load("mms");
    let text = Text::new("we saw 27 dogs");
    let align = |unaligned| {
        let options = Options {
            unaligned,
            ..options()
        };
        engine::align(&engine, &sound(), &text, &options, &Cancel::default()).expect("aligns")
    };
    let spread = align(Unaligned::Interpolate);
    let number = &spread.words[2];
    assert_eq!(
        (number.text.as_str(), number.timing),
        ("27", TimingSource::Interpolated)
    );
    assert_eq!(number.time, spread.words[1].time.end..spread.words[3].time.start);
    let told = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
    assert_eq!(told(&align(Unaligned::Omit).words), ["we", "saw", "dogs"]);
    assert_eq!(told(&align(Unaligned::Merge).words), ["we", "saw 27", "dogs"]);
}

#[test]
fn a_text_with_more_letters_than_frames_is_a_misfit() {
    let engine = load("base");
    let text = Text::new("letters ".repeat(60));
    let found = engine::align(&engine, &sound(), &text, &options(), &Cancel::default());
    assert!(matches!(found, Err(Error::Misfit)));
    let found = engine::align(&engine, &[], &Text::new("a"), &options(), &Cancel::default());
    assert!(matches!(found, Err(Error::Misfit)));
}

#[test]
fn a_stream_tells_every_word_once_in_order_however_it_is_cut() {
    let engine = load("base");
    let audio = sound().repeat(6);
    let mut told: Vec<Vec<(String, Duration, Duration)>> = Vec::new();
    for cut in [1_000, 7_777, audio.len()] {
        let mut session =
            Session::new(&engine, &options(), Duration::from_secs(4), &Cancel::default()).expect("begins");
        let mut events = Vec::new();
        session
            .text("Hello, little co-op:", (None, None), "A")
            .expect("text");
        session
            .text("it's 13:05 all's well!", (None, None), "B")
            .expect("text");
        for piece in audio.chunks(cut) {
            session.push(piece, &mut events).expect("hears");
        }
        session.finish(&mut events).expect("ends");
        let words = events.iter().filter_map(|event| match event {
            Event::Words(words) => Some(words),
            _ => None,
        });
        let words: Vec<_> = words.flatten().collect();
        let texts: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(
            texts,
            ["Hello,", "little", "co-op:", "it's", "13:05", "all's", "well!"]
        );
        assert!(words.is_sorted_by_key(|word| word.time.start));
        let speakers: Vec<_> = words.iter().map(|word| word.speaker.as_str()).collect();
        assert_eq!(speakers, ["A", "A", "A", "B", "B", "B", "B"]);
        told.push(
            words
                .iter()
                .map(|word| (word.text.clone(), word.time.start, word.time.end))
                .collect(),
        );
    }
    assert!(told.iter().all(|other| *other == told[0]), "{told:#?}");
}

#[test]
fn a_folder_that_is_no_model_is_refused_by_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, content: &str| std::fs::write(folder.path().join(name), content).expect("writes");
    let config = InferenceConfig::default();
    let files = ["config.json", "vocab.json", "onnx/model.onnx"];
    let tried = |files: &[&str]| {
        let folder = Folder::new(folder.path(), files.iter().copied());
        let loaded = Ctc::load(
            &folder,
            info("x", "", Vec::new()),
            &Runtime::new(&config),
            &config,
        );
        polyphony_error::chain(&loaded.expect_err("no model")).to_string()
    };
    assert!(tried(&[]).contains("config.json"));
    for (config, vocabulary, problem) in [
        ("{}", "{}", "vocab_size"),
        (
            r#"{"vocab_size": 4000000000, "conv_kernel": [10], "conv_stride": [5]}"#,
            "{}",
            "vocab_size",
        ),
        (
            r#"{"vocab_size": 3, "conv_kernel": [0], "conv_stride": [5]}"#,
            "{}",
            "conv_kernel",
        ),
        (
            r#"{"vocab_size": 3, "conv_kernel": [10], "conv_stride": [5]}"#,
            r#"{"a": 7}"#,
            "beyond vocab_size",
        ),
        (
            r#"{"vocab_size": 3, "conv_kernel": [10], "conv_stride": [5]}"#,
            r#"{"a": 1}"#,
            "blank",
        ),
    ] {
        write("config.json", config);
        write("vocab.json", vocabulary);
        let told = tried(&files);
        assert!(told.contains(problem), "{told}");
    }
}

#[test]
fn what_an_engine_is_told_before_it_is_loaded() {
    let engine = load("base");
    let told = engine.info();
    assert!(told.made.version.starts_with("onnxruntime ") && told.made.device == "cpu");
    assert!(!told.phones && !told.spoken_form && !told.needs_language);
}
