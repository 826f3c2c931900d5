//! Delivery of a model that is scripted: what comes out, when.

use std::ops::RangeInclusive;

use polyphony_models::Provenance;

use super::*;
use crate::domain::{Abilities, Gender, Prosody};

const RATE: u32 = 1_000;

/// Speaks each word for 100 samples, with pauses of 50 between them, in blocks of 60 samples.
struct Talker {
    info: EngineInfo,
}

impl Talker {
    fn new(abilities: Abilities) -> Self {
        Self {
            info: EngineInfo {
                made: Provenance {
                    engine: "talker",
                    version: String::new(),
                    model: "m".to_owned(),
                    digest: String::new(),
                    device: "cpu".to_owned(),
                    degraded: None,
                },
                sample_rate: RATE,
                voices: vec![Voice {
                    id: "v".to_owned(),
                    title: "V".to_owned(),
                    languages: vec!["en".to_owned()],
                    gender: Gender::Unknown,
                }],
                unspoken: Vec::new(),
                abilities,
            },
        }
    }

    fn able() -> Self {
        Self::new(Abilities {
            word_times: true,
            phone_times: true,
            seed: true,
            pronunciations: true,
        })
    }
}

impl Model for Talker {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn native(&self) -> Native {
        let any: RangeInclusive<f32> = 0.1..=10.0;
        Native {
            rates: any,
            pitches: 0.0..=0.0,
        }
    }

    fn say(&self, line: &Line<'_>, _cancel: &Cancel, out: &mut dyn FnMut(Sound)) -> Result<(), Error> {
        let text = line.script.text();
        let mut timeline = Timeline::default();
        let (mut at, mut clock) = (0, 0);
        let sound = (100.0 / line.rate) as usize;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let start = at + text[at..].find(word).expect("the word");
            at = start + word.len();
            if clock > 0 {
                timeline.pauses.push(clock..clock + 50);
                clock += 50;
            }
            timeline.words.push(TimedWord {
                range: start..at,
                time: clock..clock + sound,
                phones: vec![("a".to_owned(), clock..clock + sound)],
            });
            clock += sound;
        }
        out(Sound::Timeline(timeline));
        for block in vec![0.5; clock].chunks(60) {
            out(Sound::Audio(block.to_vec()));
        }
        Ok(())
    }
}

fn spoken(utterance: &Utterance) -> Vec<Piece> {
    let mut pieces = Vec::new();
    deliver(&Talker::able(), utterance, &Cancel::default(), &mut |piece| {
        pieces.push(piece)
    })
    .expect("speech");
    pieces
}

fn words(pieces: &[Piece]) -> Vec<(String, u128, u128)> {
    let words = pieces.iter().flat_map(|piece| &piece.words);
    words
        .map(|word| (word.text.clone(), word.start.as_millis(), word.end.as_millis()))
        .collect()
}

fn utterance(text: &str) -> Utterance {
    Utterance {
        word_times: true,
        ..Utterance::new("v", Script::plain(text, 10))
    }
}

#[test]
fn each_word_comes_with_the_audio_it_begins_in() {
    let pieces = spoken(&utterance("one two three"));
    let mut clock = 0;
    for piece in &pieces {
        let end = clock + piece.samples.len() as u128;
        assert!(
            piece
                .words
                .iter()
                .all(|word| (clock..end).contains(&word.start.as_millis()))
        );
        clock = end;
    }
    assert_eq!(clock, 400);
    let expected = [("one", 0, 100), ("two", 150, 250), ("three", 300, 400)];
    assert_eq!(
        words(&pieces),
        expected.map(|(word, start, end)| (word.to_owned(), start, end))
    );
    assert_eq!(pieces[2].words[0].source, 14..17);
    assert!(pieces[0].words[0].phones.is_empty());
}

#[test]
fn rate_breaks_and_pauses_move_the_words() {
    let mut twice = utterance("one two");
    twice.items.insert(0, Item::Break(Duration::from_millis(30)));
    twice.items.push(twice.items[1].clone());
    twice.prosody = Prosody {
        rate: 2.0,
        pitch: 0.0,
        gain: 0.0,
    };
    twice.silence_scale = 2.0;
    let expected = [
        ("one", 30, 80),
        ("two", 180, 230),
        ("one", 230, 280),
        ("two", 380, 430),
    ];
    let pieces = spoken(&twice);
    assert_eq!(
        words(&pieces),
        expected.map(|(word, start, end)| (word.to_owned(), start, end))
    );
    assert_eq!(pieces.iter().map(|piece| piece.samples.len()).sum::<usize>(), 430);
}

#[test]
fn marks_are_passed_where_the_next_word_begins() {
    let mut script = Script::default();
    script.push_mark("begin");
    script.push_same("one ", 0);
    script.push_mark("middle");
    script.push_same("two", 4);
    script.push_mark("end");
    let mut alone = Script::default();
    alone.push_mark("alone");
    let mut marked = Utterance::new("v", script);
    marked.items.push(Item::Break(Duration::from_millis(40)));
    marked.items.push(Item::Say(alone, Prosody::NATURAL));
    let pieces = spoken(&marked);
    let marks: Vec<_> = pieces
        .iter()
        .flat_map(|piece| &piece.marks)
        .map(|mark| (mark.name.as_str(), mark.at.as_millis()))
        .collect();
    assert_eq!(
        marks,
        [("begin", 0), ("middle", 150), ("end", 250), ("alone", 290)]
    );
    assert!(words(&pieces).is_empty(), "nobody asked for words");
}

#[test]
fn volume_is_in_the_samples() {
    let mut quiet = utterance("one");
    quiet.prosody.gain = -20.0;
    let peak = spoken(&quiet)
        .iter()
        .flat_map(|piece| piece.samples.clone())
        .fold(0.0_f32, f32::max);
    assert!((peak - 0.05).abs() < 1e-6);
    quiet.items = vec![Item::Say(
        Script::plain("one", 0),
        Prosody {
            gain: f32::NEG_INFINITY,
            ..Prosody::NATURAL
        },
    )];
    assert!(
        spoken(&quiet)
            .iter()
            .all(|piece| piece.samples.iter().all(|sample| *sample == 0.0))
    );
}

#[test]
fn what_is_silent_gives_nothing() {
    assert!(spoken(&utterance("")).is_empty());
    assert!(spoken(&utterance("  \n ")).is_empty());
}

#[test]
fn what_it_cannot_do_is_refused_by_name_before_any_audio() {
    let unable = Talker::new(Abilities {
        word_times: false,
        phone_times: false,
        seed: false,
        pronunciations: false,
    });
    let plain = || Utterance::new("v", Script::plain("one", 0));
    let with = |change: fn(&mut Utterance)| {
        let mut changed = plain();
        change(&mut changed);
        changed
    };
    let mut marked = Script::plain("one", 0);
    marked.push_mark("m");
    let mut said = Script::default();
    said.push_phones("one", 0..3, "wʌn");
    for (wrong, named) in [
        (with(|utterance| utterance.seed = Some(1)), "config.seed"),
        (
            with(|utterance| utterance.word_times = true),
            "config.enable_word_time_offsets",
        ),
        (
            with(|utterance| utterance.phone_times = true),
            "config.enable_phoneme_time_offsets",
        ),
        (with(|utterance| utterance.voice = "w".to_owned()), "config.voice"),
        (Utterance::new("v", marked), "input.ssml"),
        (Utterance::new("v", said), "config.custom_pronunciations"),
    ] {
        let mut pieces = 0;
        let refused = deliver(&unable, &wrong, &Cancel::default(), &mut |_| pieces += 1);
        let Err(Error::Request(fault)) = refused else {
            panic!("{named}")
        };
        assert_eq!(fault.violations[0].field, named);
        assert_eq!(pieces, 0);
    }
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(matches!(
        deliver(&unable, &plain(), &cancel, &mut |_| {}),
        Err(Error::Cancelled)
    ));
}
