//! The same tokens, times and log-probabilities as the reference.

use polyphony_asr::domain::{Cancel, DecodeOptions, Task};
use polyphony_asr::engine::Engine;
use polyphony_asr::engine::whisper::{Thresholds, TokenSegment, WhisperEngine};
use serde::Deserialize;

use super::sound::synthetic_speech;
use super::{folder, load};

#[derive(Debug, Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    seconds: u32,
    options: Options,
    language: String,
    /// Whether the reference found the language, or was told.
    found: bool,
    segments: Vec<GoldenSegment>,
}

/// As openai-whisper's `transcribe` calls them.
#[derive(Debug, Deserialize)]
struct Options {
    language: Option<String>,
    task: Option<String>,
    initial_prompt: Option<String>,
    #[serde(default)]
    word_timestamps: bool,
    no_speech_threshold: Option<f64>,
    logprob_threshold: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct GoldenSegment {
    start: f64,
    end: f64,
    text: String,
    tokens: Vec<u32>,
    avg_logprob: f64,
    no_speech_prob: f64,
    #[serde(default)]
    words: Vec<GoldenWord>,
}

#[derive(Debug, Deserialize)]
struct GoldenWord {
    word: String,
    start: f64,
    end: f64,
    probability: f64,
}

const CLOSE: f64 = 1e-4;
/// Times are multiples of 10 ms; this allows for their binary dust.
const SAME: f64 = 1e-6;

fn check(model: &str) -> usize {
    let golden = std::fs::read(folder(model).join("golden.json")).expect("golden");
    let golden: Golden = serde_json::from_slice(&golden).expect("golden");
    let engine = load(&folder(model));
    for case in &golden.cases {
        check_case(&engine, model, case);
    }
    golden.cases.len()
}

fn check_case(engine: &WhisperEngine, model: &str, case: &Case) {
    let Options {
        language,
        task,
        initial_prompt,
        word_timestamps,
        no_speech_threshold,
        logprob_threshold,
    } = &case.options;
    let options = DecodeOptions {
        language: language.clone().filter(|_| !case.found),
        task: if task.as_deref() == Some("translate") {
            Task::Translate
        } else {
            Task::Transcribe
        },
        word_times: *word_timestamps,
        initial_prompt: initial_prompt.clone().unwrap_or_default(),
        hallucination_filter: false,
    };
    let thresholds = no_speech_threshold
        .zip(*logprob_threshold)
        .map(|(no_speech, log_prob)| Thresholds { no_speech, log_prob });
    let audio = synthetic_speech(case.seconds);
    let got = engine
        .transcribe(&audio, &options, thresholds, &Cancel::default())
        .expect("transcription");

    let at = format!("{model} {}", case.name);
    assert_eq!(got.language.as_deref(), Some(case.language.as_str()), "{at}");
    let tokens = |segments: &[TokenSegment]| segments.iter().map(|it| it.tokens.clone()).collect::<Vec<_>>();
    let expected: Vec<_> = case
        .segments
        .iter()
        .map(|segment| segment.tokens.clone())
        .collect();
    assert_eq!(tokens(&got.segments), expected, "{at}");
    for (got, golden) in got.segments.iter().zip(&case.segments) {
        let at = format!("{at} at {}: {got:?}, expected {golden:?}", golden.start);
        assert_eq!(got.text, golden.text, "{at}");
        assert!(
            (got.start - golden.start).abs() < SAME && (got.end - golden.end).abs() < SAME,
            "{at}"
        );
        assert!((got.avg_log_prob - golden.avg_logprob).abs() < CLOSE, "{at}");
        assert!((got.no_speech_prob - golden.no_speech_prob).abs() < CLOSE, "{at}");
        if *word_timestamps {
            check_words(got, golden, &at);
        }
    }
}

fn check_words(got: &TokenSegment, golden: &GoldenSegment, at: &str) {
    assert_eq!(got.words.len(), golden.words.len(), "{at}");
    for (got, golden) in got.words.iter().zip(&golden.words) {
        assert_eq!(got.text, golden.word, "{at}");
        assert!(
            (got.start - golden.start).abs() < SAME && (got.end - golden.end).abs() < SAME,
            "{at}"
        );
        assert!((got.probability - golden.probability).abs() < CLOSE, "{at}");
        assert!(got.aligned, "{at}");
    }
}

#[test]
fn an_english_only_model_equals_the_reference() {
    assert!(check("en-80") >= 4);
}

#[test]
fn a_multilingual_model_equals_the_reference_and_so_do_its_word_times() {
    assert!(check("multi-80") >= 7);
}

#[test]
fn a_model_of_128_mel_bins_equals_the_reference() {
    assert!(check("multi-128") >= 5);
}

#[test]
fn what_the_model_can_do_is_read_from_its_files() {
    let english = load(&folder("en-80"));
    let info = english.info();
    assert_eq!(info.languages, ["en"]);
    assert!(!info.detects_language && !info.translates && info.takes_prompt);
    assert!(
        info.made.version.starts_with("onnxruntime 1."),
        "{}",
        info.made.version
    );

    let multilingual = load(&folder("multi-128"));
    assert_eq!(multilingual.info().languages, ["en", "zh", "de", "es", "ru"]);
    assert!(multilingual.info().detects_language && multilingual.info().translates);
}
