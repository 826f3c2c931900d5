//! The engine on espeak-ng, through the promise that all engines make.

use std::time::Duration;

use polyphony_tts::Error;
use polyphony_tts::domain::{Cancel, Gender, Item, Prosody, Script, Utterance};
use polyphony_tts::engine::Engine;
use polyphony_tts::engine::espeak::EspeakEngine;

use super::support::{Spoken, say, speak, timed, wheels};

const EN: &str = "espeak-en-us";

fn engine() -> EspeakEngine {
    let folder = wheels().join("espeakng_loader");
    EspeakEngine::open(&folder, "espeak-ng".to_owned(), "sha256:0".to_owned())
        .unwrap_or_else(|error| panic!("{}; `make setup` installs it", polyphony_error::chain(&error)))
}

fn spoken(utterance: &Utterance) -> Spoken {
    let spoken = speak(&engine(), utterance).expect("speech");
    spoken.assert_sound(engine().info().sample_rate);
    spoken
}

#[test]
fn it_says_what_it_is() {
    let engine = engine();
    let info = engine.info();
    assert_eq!(
        info.made.degraded.as_ref().map(|degraded| degraded.reason),
        Some("NO_NEURAL_VOICE")
    );
    assert_eq!(info.voices[0].id, EN);
    assert!(info.voices.len() > 200);
    assert!(info.voices.iter().all(|voice| !voice.languages.is_empty()));
    assert_eq!(
        info.voice_for("de-AT").map(|voice| voice.id.as_str()),
        Some("espeak-de")
    );
    assert_eq!(
        info.voice("espeak-fr-fr-f").map(|voice| voice.gender),
        Some(Gender::Female)
    );
    assert!(info.voice_for("xx").is_none());
    let ids: std::collections::HashSet<_> = info.voices.iter().map(|voice| &voice.id).collect();
    assert_eq!(ids.len(), info.voices.len());
}

#[test]
fn words_and_phones_are_told_with_their_audio() {
    let text = "Dr. Smith paid $3.50, didn't he?";
    let spoken = spoken(&timed(EN, text));
    assert_eq!(spoken.words(), ["Dr", "Smith", "paid", "$3.50", "didn't", "he"]);
    let word = &spoken.pieces[0].words[1];
    assert_eq!(word.source, 4..9);
    let phones: String = word.phones.iter().map(|phone| phone.symbol.as_str()).collect();
    assert_eq!(phones, "smˈɪθ");
}

#[test]
fn prosody_is_honoured_beyond_what_the_library_can() {
    let text = "One two three four five six seven eight nine ten.";
    let length = |rate, pitch| {
        let mut utterance = Utterance::new(EN, Script::plain(text, 0));
        utterance.prosody = Prosody {
            rate,
            pitch,
            gain: 0.0,
        };
        spoken(&utterance).seconds(22_050)
    };
    let normal = length(1.0, 0.0);
    for rate in [0.25_f32, 0.5, 2.0, 4.0] {
        let times = normal / length(rate, 0.0);
        assert!((rate * 0.75..rate * 1.3).contains(&times), "{rate}: {times}");
    }
    for pitch in [-20.0, 20.0] {
        let times = length(1.0, pitch) / normal;
        assert!((0.8..1.25).contains(&times), "{pitch}: {times}");
    }
}

#[test]
fn a_document_is_spoken_with_its_breaks_and_marks() {
    let document = "<speak>One<break time='500ms'/><mark name='here'/>two <prosody volume='silent'>three</prosody> \
                    <phoneme ph='fɔː'>four</phoneme></speak>";
    let speech = polyphony_tts::ssml::compile(document, 0, "en-US").expect("well-formed");
    let mut utterance = timed(EN, "");
    utterance.items = speech.items;
    let spoken = spoken(&utterance);
    assert_eq!(spoken.words(), ["One", "two", "three", "four"]);
    let words: Vec<_> = spoken.pieces.iter().flat_map(|piece| &piece.words).collect();
    let mark = spoken
        .pieces
        .iter()
        .flat_map(|piece| &piece.marks)
        .next()
        .expect("the mark");
    assert_eq!(mark.at, words[1].start);
    assert!(words[1].start - words[0].end >= Duration::from_millis(500));
    let at = |time: Duration| (time.as_secs_f64() * 22_050.0) as usize;
    let loud = |word: usize| {
        spoken.samples[at(words[word].start)..at(words[word].end)]
            .iter()
            .any(|s| s.abs() > 0.01)
    };
    assert!(loud(1) && !loud(2) && loud(3));
    assert_eq!(
        &document[words[3].source.start as usize..words[3].source.end as usize],
        "four"
    );
}

#[test]
fn pauses_can_be_cut() {
    let length = |silence_scale| {
        let utterance = Utterance {
            silence_scale,
            ..timed(EN, "One, two, three, four, five.")
        };
        spoken(&utterance).seconds(22_050)
    };
    let (none, natural, long) = (length(0.0), length(1.0), length(3.0));
    assert!(
        none < natural - 0.5 && natural + 1.0 < long,
        "{none} {natural} {long}"
    );
}

#[test]
fn odd_texts_give_speech_or_nothing() {
    for text in ["", " ", "...", "\u{1}\u{2}", "😀", "[[a]]", "<speak>"] {
        spoken(&timed(EN, text));
    }
    let mut many = timed(EN, "a");
    many.items = vec![say("", Prosody::NATURAL), Item::Break(Duration::ZERO)];
    assert!(spoken(&many).samples.is_empty());
}

#[test]
fn what_it_cannot_do_is_refused() {
    let seeded = Utterance {
        seed: Some(1),
        ..timed(EN, "a")
    };
    assert!(matches!(speak(&engine(), &seeded), Err(Error::Request(_))));
    assert!(matches!(
        speak(&engine(), &timed("espeak-xx", "a")),
        Err(Error::Request(_))
    ));
    let mut wrong = Script::default();
    wrong.push_phones("a", 0..1, "ʛ͡ʘ");
    assert!(matches!(
        speak(&engine(), &Utterance::new(EN, wrong)),
        Err(Error::Request(_))
    ));
    let cancel = Cancel::default();
    cancel.cancel();
    let cancelled = engine().speak(&timed(EN, "a b c"), &cancel, &mut |_| {});
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}
