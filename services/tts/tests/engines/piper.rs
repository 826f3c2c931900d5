//! The engine on tiny VITS voices with random weights, through the promise that all engines make. They babble, but with
//! the phones and durations of the text.

use std::path::{Path, PathBuf};

use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_tts::Error;
use polyphony_tts::domain::{Cancel, Prosody, Script, Utterance};
use polyphony_tts::engine::Engine;
use polyphony_tts::engine::piper::{self, PiperEngine};

use super::support::{speak, timed, wheels};

const RATE: u32 = 16_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/voices")
        .join(name)
}

fn engine(name: &str) -> PiperEngine {
    let graph = fixture(&format!("{name}/voice.onnx"));
    let config = InferenceConfig::default();
    let opened = PiperEngine::open(
        &graph,
        &fixture(&format!("{name}/voice.onnx.json")),
        &wheels().join("espeakng_loader"),
        ("someone/en_US-tiny", "sha256:0"),
        &Runtime::new(&config),
        &config,
    );
    opened.unwrap_or_else(|error| {
        panic!(
            "{}; `make setup` installs what it needs",
            polyphony_error::chain(&error)
        )
    })
}

#[test]
fn it_says_what_it_is_before_and_after_it_is_loaded() {
    for (name, voices) in [
        ("one", vec!["en_US-tiny"]),
        ("many", vec!["en_US-tiny-p0", "en_US-tiny-p1", "en_US-tiny-p2"]),
    ] {
        let engine = engine(name);
        let info = engine.info();
        assert!(engine.streams());
        let ids: Vec<_> = info.voices.iter().map(|voice| voice.id.as_str()).collect();
        assert_eq!(ids, voices);
        assert_eq!(info.voices[0].languages, ["en-US"]);
        assert_eq!(info.made.degraded, None);
        let settings = fixture(&format!("{name}/voice.onnx.json"));
        let foretold = piper::foretell(&settings, "someone/en_US-tiny", "sha256:0").expect("settings");
        assert_eq!(
            (foretold.voices, foretold.abilities),
            (info.voices.clone(), info.abilities)
        );
        assert_eq!(foretold.sample_rate, RATE);
    }
}

#[test]
fn words_and_phones_have_the_times_of_the_network() {
    let engine = engine("one");
    let text = "Dr. Smith paid $3.50, of the well-known price; didn't he?";
    let spoken = speak(&engine, &timed("en_US-tiny", text)).expect("speech");
    spoken.assert_sound(RATE);
    assert_eq!(
        spoken.words(),
        [
            "Dr",
            "Smith",
            "paid",
            "$3.50",
            "of",
            "the",
            "well-known",
            "price",
            "didn't",
            "he"
        ]
    );
    let words: Vec<_> = spoken.pieces.iter().flat_map(|piece| &piece.words).collect();
    assert!(words.iter().all(|word| word.start < word.end), "{words:?}");
    assert!(
        words
            .iter()
            .all(|word| text[word.source.start as usize..word.source.end as usize] == word.text)
    );
    let smith: String = words[1]
        .phones
        .iter()
        .map(|phone| phone.symbol.as_str())
        .collect();
    assert_eq!(smith, "smˈɪθ");
    assert!(spoken.pieces.len() > 3, "it comes in windows");
}

#[test]
fn speakers_and_seeds_make_a_difference() {
    let engine = engine("many");
    let with = |voice: &str, seed| {
        let utterance = Utterance {
            seed,
            ..Utterance::new(voice, Script::plain("Hello, you.", 0))
        };
        speak(&engine, &utterance).expect("speech").samples
    };
    assert_eq!(with("en_US-tiny-p0", Some(5)), with("en_US-tiny-p0", Some(5)));
    assert_ne!(with("en_US-tiny-p0", Some(5)), with("en_US-tiny-p1", Some(5)));
    assert_ne!(with("en_US-tiny-p0", Some(5)), with("en_US-tiny-p0", Some(6)));
}

#[test]
fn rate_and_pitch_change_the_length_as_they_should() {
    let engine = engine("one");
    let length = |rate, pitch| {
        let mut utterance = Utterance {
            seed: Some(3),
            ..timed(
                "en_US-tiny",
                "One two three four five six seven eight nine ten eleven twelve.",
            )
        };
        utterance.prosody = Prosody {
            rate,
            pitch,
            gain: 0.0,
        };
        let spoken = speak(&engine, &utterance).expect("speech");
        spoken.assert_sound(RATE);
        spoken.seconds(RATE)
    };
    let normal = length(1.0, 0.0);
    // Frames are whole, so short phones do not get shorter for ever.
    assert!(
        length(0.25, 0.0) > normal * 3.0
            && length(2.0, 0.0) < normal * 0.75
            && length(4.0, 0.0) < normal * 0.6
    );
    for pitch in [-12.0, 12.0, 20.0] {
        let times = length(1.0, pitch) / normal;
        assert!((0.6..1.4).contains(&times), "{pitch}: {times}");
    }
}

#[test]
fn pronunciations_are_said_within_their_sentence() {
    let engine = engine("one");
    let mut script = Script::plain("You say ", 0);
    script.push_phones("tomato", 8..14, "təˈmɑːtəʊ");
    script.push_same(" twice.", 14);
    let spoken = speak(
        &engine,
        &Utterance {
            items: Utterance::new("", script).items,
            ..timed("en_US-tiny", "")
        },
    );
    let spoken = spoken.expect("speech");
    spoken.assert_sound(RATE);
    assert_eq!(spoken.words(), ["You", "say", "tomato", "twice"]);
    let tomato: Vec<_> = spoken.pieces.iter().flat_map(|piece| &piece.words).collect();
    let phones: String = tomato[2]
        .phones
        .iter()
        .map(|phone| phone.symbol.as_str())
        .collect();
    assert_eq!(phones, "təˈmɑːtəʊ");
    assert_eq!(tomato[2].source, 8..14);
}

#[test]
fn a_caller_who_goes_away_stops_it() {
    let engine = engine("one");
    let cancel = Cancel::default();
    let mut pieces = 0;
    let text = "One two three four five six seven eight nine ten. ".repeat(20);
    let result = engine.speak(&timed("en_US-tiny", &text), &cancel, &mut |_| {
        pieces += 1;
        cancel.cancel();
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(pieces < 20, "{pieces}");
}

#[test]
fn odd_texts_give_speech_or_nothing() {
    let engine = engine("one");
    for text in ["", " ", "...", "?!", "\u{1}", "😀", "[[a]]", "你好", "\n\n"] {
        speak(&engine, &timed("en_US-tiny", text))
            .expect("no trouble")
            .assert_sound(RATE);
    }
}
