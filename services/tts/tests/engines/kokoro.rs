//! The engine on a tiny Kokoro model with random weights, through the promise that all engines make. It babbles, but with
//! the phones and durations of the text.

use std::path::{Path, PathBuf};

use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_tts::Error;
use polyphony_tts::domain::{Cancel, Gender, Prosody, Script, Timing, Utterance};
use polyphony_tts::engine::Engine;
use polyphony_tts::engine::kokoro::{self, Files, KokoroEngine};

use super::support::{speak, timed, wheels};

const RATE: u32 = 24_000;
/// Voices of all languages there are.
const VOICES: [&str; 10] = [
    "af_one", "am_two", "bf_three", "ef_four", "ff_five", "hm_six", "if_seven", "pm_eight", "jf_nine",
    "zm_ten",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/kokoro")
        .join(name)
}

/// The model with voices, which are made here: the same numbers as those of `make_tiny_kokoro.py`.
fn files(folder: &Path) -> Files {
    let voices = VOICES.iter().enumerate().map(|(number, name)| {
        let values = (0..510 * 256).map(|at| (at * 7_919 + (number + 1) * 104_729) % 2_001);
        let bytes = values.flat_map(|value| (value as f32 / 1_000.0 - 1.0).to_le_bytes());
        let path = folder.join(format!("{name}.bin"));
        std::fs::write(&path, bytes.collect::<Vec<u8>>()).expect("a file");
        path
    });
    Files {
        graph: fixture("onnx/model.onnx"),
        vocabulary: fixture("tokenizer.json"),
        voices: voices.collect(),
    }
}

fn opened(files: &Files) -> Result<KokoroEngine, Error> {
    let config = InferenceConfig::default();
    KokoroEngine::open(
        files,
        &wheels().join("espeakng_loader"),
        ("someone/tiny", "sha256:0"),
        &Runtime::new(&config),
        &config,
    )
}

/// With the folder of its voices, for styles are read when they are needed.
fn engine() -> (tempfile::TempDir, KokoroEngine) {
    let folder = tempfile::tempdir().expect("a folder");
    let opened = opened(&files(folder.path()));
    let opened = opened.unwrap_or_else(|error| {
        panic!(
            "{}; `make setup` installs what it needs",
            polyphony_error::chain(&error)
        )
    });
    (folder, opened)
}

#[test]
fn it_says_what_it_is_before_and_after_it_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let engine = opened(&files).expect("a model");
    let info = engine.info();
    let told: Vec<_> = info
        .voices
        .iter()
        .map(|voice| (voice.id.as_str(), voice.languages[0].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("af_one", "en-US"),
            ("am_two", "en-US"),
            ("bf_three", "en-GB"),
            ("ef_four", "es"),
            ("ff_five", "fr-FR"),
            ("hm_six", "hi"),
            ("if_seven", "it"),
            ("pm_eight", "pt-BR"),
        ]
    );
    assert_eq!(
        info.voice("pm_eight").map(|voice| voice.gender),
        Some(Gender::Male)
    );
    assert_eq!(info.made.degraded, None);
    let unspoken: Vec<_> = info.unspoken.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(unspoken, ["jf_nine", "zm_ten"]);
    let foretold = kokoro::foretell(&files, "someone/tiny", "sha256:0").expect("voices");
    assert_eq!(
        (&foretold.voices, &foretold.unspoken),
        (&info.voices, &info.unspoken)
    );
    assert_eq!(foretold.sample_rate, RATE);
    let silent = Files {
        voices: files.voices[8..].to_vec(),
        ..files.clone()
    };
    assert!(kokoro::foretell(&silent, "someone/tiny", "sha256:0").is_err());
}

#[test]
fn words_and_phones_have_the_times_of_the_network() {
    let (_folder, engine) = engine();
    for (voice, text, words) in [
        (
            "af_one",
            "Dr. Smith paid $3.50; didn't he?",
            vec!["Dr", "Smith", "paid", "$3.50", "didn't", "he"],
        ),
        ("bf_three", "Well, no.", vec!["Well", "no"]),
        ("ef_four", "Hola, amigo.", vec!["Hola", "amigo"]),
        ("ff_five", "Bonjour, mon ami.", vec!["Bonjour", "mon", "ami"]),
        ("hm_six", "नमस्ते दुनिया", vec!["नमस्ते", "दुनिया"]),
        ("if_seven", "Ciao, bella.", vec!["Ciao", "bella"]),
        ("pm_eight", "Bom dia.", vec!["Bom", "dia"]),
    ] {
        let spoken = speak(&engine, &timed(voice, text)).expect("speech");
        spoken.assert_sound(RATE);
        assert_eq!(spoken.words(), words, "{voice}");
        let all: Vec<_> = spoken.pieces.iter().flat_map(|piece| &piece.words).collect();
        assert!(
            all.iter()
                .all(|word| word.start < word.end && word.timing == Timing::Model),
            "{all:?}"
        );
        assert!(all.iter().all(|word| !word.phones.is_empty()), "{all:?}");
    }
}

#[test]
fn voices_make_a_difference_and_the_speed_changes_the_length() {
    let (_folder, engine) = engine();
    let spoken = |voice: &str, rate, pitch| {
        let mut utterance = Utterance::new(voice, Script::plain("One two three four five.", 0));
        utterance.prosody = Prosody {
            rate,
            pitch,
            gain: 0.0,
        };
        let spoken = speak(&engine, &utterance).expect("speech");
        spoken.assert_sound(RATE);
        spoken
    };
    let normal = spoken("af_one", 1.0, 0.0);
    assert_eq!(normal.samples, spoken("af_one", 1.0, 0.0).samples);
    assert_ne!(normal.samples, spoken("am_two", 1.0, 0.0).samples);
    let length = normal.seconds(RATE);
    for rate in [0.25, 0.5, 2.0, 4.0] {
        let times = length / spoken("af_one", rate, 0.0).seconds(RATE);
        assert!((rate * 0.7..rate * 1.4).contains(&times), "{rate}: {times}");
    }
    for pitch in [-12.0, 12.0] {
        let times = spoken("af_one", 1.0, pitch).seconds(RATE) / length;
        assert!((0.6..1.4).contains(&times), "{pitch}: {times}");
    }
}

#[test]
fn a_text_of_more_phones_than_fit_is_spoken_in_parts() {
    let (_folder, engine) = engine();
    let text = "seventy seven thousand ".repeat(40);
    let spoken = speak(&engine, &timed("af_one", &text)).expect("speech");
    spoken.assert_sound(RATE);
    assert_eq!(spoken.words().len(), 120);
    assert!(spoken.pieces.len() > 1);
}

#[test]
fn pronunciations_are_said_within_their_sentence() {
    let (_folder, engine) = engine();
    let mut script = Script::plain("You say ", 0);
    script.push_phones("tomato", 8..14, "təˈmeɪtoʊ");
    script.push_same(" twice.", 14);
    let utterance = Utterance {
        items: Utterance::new("", script).items,
        ..timed("af_one", "")
    };
    let spoken = speak(&engine, &utterance).expect("speech");
    spoken.assert_sound(RATE);
    assert_eq!(spoken.words(), ["You", "say", "tomato", "twice"]);
}

#[test]
fn what_it_cannot_do_is_refused() {
    let (_folder, engine) = engine();
    for voice in ["jf_nine", "af_none"] {
        assert!(
            matches!(speak(&engine, &timed(voice, "a")), Err(Error::Request(_))),
            "{voice}"
        );
    }
    let seeded = Utterance {
        seed: Some(1),
        ..timed("af_one", "a")
    };
    assert!(matches!(speak(&engine, &seeded), Err(Error::Request(_))));
    let cancel = Cancel::default();
    cancel.cancel();
    let cancelled = engine.speak(&timed("af_one", "a b c"), &cancel, &mut |_| {});
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

#[test]
fn odd_texts_give_speech_or_nothing() {
    let (_folder, engine) = engine();
    for text in ["", " ", "...", "?!", "\u{1}", "😀", "[[a]]", "你好", "\n\n"] {
        speak(&engine, &timed("af_one", text))
            .expect("no trouble")
            .assert_sound(RATE);
    }
}
