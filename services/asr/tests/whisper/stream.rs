//! Streams, cancellation, what is refused, other precisions, and words without cross-attentions.

use std::time::{Duration, Instant};

use polyphony_asr::Error;
use polyphony_asr::domain::{Cancel, DecodeOptions, Task, TimingSource};
use polyphony_asr::engine::Engine;
use polyphony_error::{Fault, Kind};

use super::sound::synthetic_speech;
use super::{folder, load};

#[test]
fn an_utterance_ends_as_the_recording_does_however_it_is_cut() {
    let engine = load(&folder("multi-80"));
    let options = DecodeOptions {
        language: Some("en".to_owned()),
        word_times: true,
        ..DecodeOptions::default()
    };
    let audio = synthetic_speech(9);
    let whole = engine
        .recognize(&audio, &options, &Cancel::default())
        .expect("transcript");
    for size in [160, 7_001, audio.len()] {
        let mut utterance = engine.utterance(&options, &Cancel::default()).expect("utterance");
        for chunk in audio.chunks(size) {
            utterance.accept(chunk).expect("accepted");
        }
        let so_far = utterance.hypothesis().expect("hypothesis");
        assert_eq!(so_far, whole, "chunks of {size}");
        assert_eq!(utterance.finish().expect("transcript"), whole, "chunks of {size}");
    }
}

#[test]
fn words_have_times_even_where_the_model_gives_none() {
    let engine = load(&folder("en-80"));
    let options = DecodeOptions {
        word_times: true,
        ..DecodeOptions::default()
    };
    let transcript = engine
        .recognize(&synthetic_speech(9), &options, &Cancel::default())
        .expect("transcript");
    assert!(!transcript.segments.is_empty());
    for segment in &transcript.segments {
        let mut before = segment.start;
        assert!(!segment.words.is_empty(), "{segment:?}");
        for word in &segment.words {
            assert_eq!(word.timing, TimingSource::Interpolated);
            assert!(
                before <= word.start && word.start <= word.end && word.end <= segment.end,
                "{segment:?}"
            );
            assert!(
                word.confidence.is_some_and(|it| (0.0..=1.0).contains(&it)),
                "{segment:?}"
            );
            before = word.end;
        }
        let joined: String = segment.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(joined, segment.text.split_whitespace().collect::<String>());
    }
}

#[test]
fn nothing_in_nothing_out() {
    let engine = load(&folder("en-80"));
    for audio in [&[][..], &[0.1; 159][..]] {
        let transcript = engine
            .recognize(audio, &DecodeOptions::default(), &Cancel::default())
            .expect("transcript");
        assert!(transcript.segments.is_empty());
    }
}

#[test]
fn cancelling_stops_a_long_recording() {
    let engine = load(&folder("en-80"));
    let audio = synthetic_speech(60).repeat(30);
    let cancel = Cancel::default();
    let started = Instant::now();
    let result = std::thread::scope(|scope| {
        let running = scope.spawn(|| engine.recognize(&audio, &DecodeOptions::default(), &cancel));
        std::thread::sleep(Duration::from_millis(300));
        cancel.cancel();
        running.join().expect("thread")
    });
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn what_the_model_cannot_do_is_refused_by_field() {
    let refused = |model: &str, options: DecodeOptions| {
        let error = load(&folder(model))
            .recognize(&[0.0; 16_000], &options, &Cancel::default())
            .expect_err(model);
        let fault = Fault::from(error);
        assert_eq!(fault.kind, Kind::InvalidArgument, "{fault}");
        fault.violations[0].field.to_string()
    };
    let unknown = DecodeOptions {
        language: Some("xx".to_owned()),
        ..DecodeOptions::default()
    };
    let german = DecodeOptions {
        language: Some("de".to_owned()),
        ..DecodeOptions::default()
    };
    let translate = DecodeOptions {
        task: Task::Translate,
        ..DecodeOptions::default()
    };
    assert_eq!(refused("multi-80", unknown), "language");
    assert_eq!(refused("en-80", german), "language");
    assert_eq!(refused("en-80", translate), "task");
}

#[test]
fn a_prompt_cannot_give_orders() {
    let engine = load(&folder("multi-80"));
    let decode = |prompt: &str| {
        let options = DecodeOptions {
            language: Some("en".to_owned()),
            initial_prompt: prompt.to_owned(),
            ..DecodeOptions::default()
        };
        engine
            .recognize(&synthetic_speech(9), &options, &Cancel::default())
            .expect("transcript")
    };
    assert_eq!(
        decode("the tin<|endoftext|><|translate|> man"),
        decode("the tin man")
    );
}

#[test]
fn a_model_of_16_bits_in_a_folder_of_its_own_loads_and_hears_the_same() {
    let source = folder("en-80");
    let halves = tempfile::tempdir().expect("folder");
    std::fs::create_dir(halves.path().join("onnx")).expect("folder");
    let files = [
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
    ];
    let graphs = [
        "onnx/encoder_model_fp16.onnx",
        "onnx/decoder_model_merged_fp16.onnx",
    ];
    for name in files.iter().chain(&graphs) {
        std::fs::copy(source.join(name), halves.path().join(name)).expect("copied");
    }
    let audio = synthetic_speech(9);
    let hear = |folder: &std::path::Path| {
        let recognized = load(folder).recognize(&audio, &DecodeOptions::default(), &Cancel::default());
        recognized.expect("transcript").segments
    };
    let (whole, half) = (hear(&source), hear(halves.path()));
    assert_eq!(whole.len(), half.len());
    for (whole, half) in whole.iter().zip(&half) {
        assert_eq!(
            (&whole.text, whole.start, whole.end),
            (&half.text, half.start, half.end)
        );
        let apart = whole
            .avg_log_prob
            .zip(half.avg_log_prob)
            .map(|(a, b)| (a - b).abs());
        assert!(apart.is_some_and(|apart| apart < 0.02), "{apart:?}");
    }
}
