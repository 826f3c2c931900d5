//! The library itself: voices, speech, phones, and what it must not be brought to do by a text.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use polyphony_espeak::{Error, Espeak, Gender, Pronunciation, Script, Settings, Speech, Voice};

fn espeak() -> Espeak {
    let home = std::env::var_os("POLYPHONY_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".local/share/polyphony"))
    });
    let folder = home.expect("a home folder").join("wheels/espeakng_loader");
    Espeak::open(&folder).unwrap_or_else(|error| panic!("{error}; `make setup` installs it"))
}

fn voice(name: &str) -> Voice {
    espeak().voice(name).expect("a voice of the wheel")
}

fn render(name: &str, text: &str) -> Speech {
    espeak()
        .render(&voice(name), Script::plain(text), Settings::default(), &|| false)
        .expect("speech")
}

fn heard<'a>(text: &'a str, speech: &Speech) -> Vec<&'a str> {
    speech
        .words
        .iter()
        .map(|word| &text[word.range.clone()])
        .collect()
}

/// Seconds.
fn length(speech: &Speech) -> f32 {
    speech.samples.len() as f32 / Speech::SAMPLE_RATE as f32
}

fn assert_sound(text: &str, speech: &Speech) {
    let mut last = 0;
    for word in &speech.words {
        assert!(word.time.start <= word.time.end, "{word:?} of {text:?}");
        assert!(
            word.time.start >= last && word.time.end <= speech.samples.len(),
            "{word:?} of {text:?}"
        );
        last = word.time.end;
        assert!(
            text.get(word.range.clone()).is_some_and(|word| !word.is_empty()),
            "{word:?} of {text:?}"
        );
    }
    assert!(speech.words.is_sorted_by_key(|word| word.range.start), "{text:?}");
    for phone in &speech.phones {
        assert!(phone.time.start <= phone.time.end && phone.time.end <= speech.samples.len());
        assert!(!phone.symbol.is_empty());
    }
    assert!(
        speech
            .phones
            .windows(2)
            .all(|two| two[0].time.end <= two[1].time.start),
        "{text:?}"
    );
}

#[test]
fn opening_it_again_is_the_same_and_elsewhere_is_refused() {
    let espeak = espeak();
    assert!(espeak.version().starts_with("1."), "{}", espeak.version());
    assert!(espeak.voices().len() > 100);
    let error = Espeak::open_files(&PathBuf::from("/nowhere/lib.so"), &PathBuf::from("/nowhere"));
    assert!(matches!(error, Err(Error::Elsewhere { .. })));
    assert!(matches!(
        Espeak::open(&PathBuf::from("/nowhere")),
        Err(Error::Missing { .. })
    ));
}

#[test]
fn voices_have_languages_as_bcp_47() {
    let espeak = espeak();
    let american = espeak.voice_for("en-US").expect("a voice");
    assert_eq!(american.identifier, "gmw/en-US");
    assert_eq!(american.languages, ["en-US", "en"]);
    assert_eq!(american.gender, Gender::Male);
    assert_eq!(espeak.voice_for("zh-CN").map(Voice::language), Some("cmn"));
    assert!(espeak.voice_for("xx").is_none());
    assert!(espeak.voice("zz").is_none());
}

#[test]
fn words_and_phones_have_times_in_order() {
    let text =
        "Hello, wörld of 1,234. It's $3.50, isn't it?\r\n\r\nA well-known (and old) 😀 thing; of the best!";
    let speech = render("en-us", text);
    assert_sound(text, &speech);
    let words = heard(text, &speech);
    let expected = [
        "Hello",
        "wörld",
        "of",
        "1,234",
        "It's",
        "$3.50",
        "isn't",
        "it",
        "A",
        "well-known",
        "and",
        "old",
        "😀",
        "thing",
        "of",
        "the",
        "best",
    ];
    assert_eq!(words, expected);
    assert!(
        speech.words.iter().all(|word| !word.time.is_empty()),
        "{:?}",
        speech.words
    );
    let first: Vec<_> = speech
        .phones
        .iter()
        .take(4)
        .map(|phone| phone.symbol.as_str())
        .collect();
    assert_eq!(first, ["h", "ə", "l", "ˈoʊ"]);
    let loud = |time: &std::ops::Range<usize>| {
        speech.samples[time.clone()]
            .iter()
            .any(|&sample| sample.abs() > 500)
    };
    assert!(speech.words.iter().all(|word| loud(&word.time)));
}

#[test]
fn other_scripts_have_their_words() {
    let chinese = "你好，世界。今天天气很好！2023年";
    let speech = render("cmn", chinese);
    assert_sound(chinese, &speech);
    let words = heard(chinese, &speech);
    assert_eq!(words.concat(), chinese.replace(['，', '。', '！'], ""));
    assert!(words.len() > 5, "{words:?}");

    for (name, text, count) in [
        ("ar", "مرحبا بالعالم، كيف حالك؟", 4),
        ("hi", "नमस्ते दुनिया। आप कैसे हैं?", 5),
        ("de", "Donaudampfschifffahrtsgesellschaft ist 21 Jahre alt.", 5),
        ("ru", "Привет, мир! Как дела?", 4),
        ("fr", "L'été, c'est là.", 3),
    ] {
        let speech = render(name, text);
        assert_sound(text, &speech);
        assert_eq!(
            heard(text, &speech).len(),
            count,
            "{name}: {:?}",
            heard(text, &speech)
        );
    }
}

#[test]
fn the_same_text_gives_the_same_words_and_phones_at_the_same_times() {
    let text = "This is a short sentence, said twice.";
    let first = render("en-us", text);
    render("de", "Etwas anderes dazwischen.");
    let second = render("en-us", text);
    assert_eq!(heard(text, &first), heard(text, &second));
    assert_eq!(first.phones.len(), second.phones.len());
    for (one, other) in first.phones.iter().zip(&second.phones) {
        assert_eq!(one.symbol, other.symbol);
        // A period of the voice more or less in each phone before it.
        assert!(
            one.time.start.abs_diff(other.time.start) < 1_000,
            "{one:?} {other:?}"
        );
    }
}

#[test]
fn rate_and_pitch_are_heard() {
    let (espeak, voice) = (espeak(), voice("en-us"));
    let text = "One two three four five six seven eight nine ten.";
    let spoken = |settings| {
        espeak
            .render(&voice, Script::plain(text), settings, &|| false)
            .expect("speech")
    };
    let normal = length(&spoken(Settings::default()));
    let rate = |rate| length(&spoken(Settings { rate, pitch: 0.0 }));
    assert!(
        (1.6..2.4).contains(&(rate(0.5) / normal)),
        "{}",
        rate(0.5) / normal
    );
    assert!(
        (0.4..0.62).contains(&(rate(2.0) / normal)),
        "{}",
        rate(2.0) / normal
    );
    let crossings = |pitch| {
        let samples = spoken(Settings { rate: 1.0, pitch }).samples;
        samples
            .windows(2)
            .filter(|two| (two[0] < 0) != (two[1] < 0))
            .count()
    };
    assert!(crossings(12.0) > crossings(-12.0));
}

#[test]
fn pronunciations_replace_what_is_written() {
    let (espeak, voice) = (espeak(), voice("en-us"));
    let text = "You say tomato, I say it.";
    let pronunciations = [Pronunciation {
        range: 8..14,
        ipa: "təˈmɑːtəʊ".to_owned(),
    }];
    let script = Script {
        text,
        pronunciations: &pronunciations,
    };
    let speech = espeak.render(&voice, script, Settings::default(), &|| false);
    let speech = speech.expect("speech");
    assert_sound(text, &speech);
    assert_eq!(heard(text, &speech), ["You", "say", "tomato", "I", "say", "it"]);
    let of_word = |at| -> String {
        let phones = speech.phones.iter().filter(|phone| phone.word == Some(at));
        phones.map(|phone| phone.symbol.as_str()).collect()
    };
    assert!(of_word(2).contains("ɑː"), "{}", of_word(2));

    let wrong = [Pronunciation {
        range: 8..14,
        ipa: "tə☃".to_owned(),
    }];
    let script = Script {
        text,
        pronunciations: &wrong,
    };
    let error = espeak
        .render(&voice, script, Settings::default(), &|| false)
        .expect_err("no such sound");
    assert!(
        matches!(error, Error::Pronunciation { ref symbol, .. } if symbol == "☃"),
        "{error}"
    );
}

#[test]
fn text_becomes_phones_clause_by_clause() {
    let text = "Hello, wörld. Is it 3.5? Yes";
    let clauses = espeak().phonemes(&voice("en-us"), text, None).expect("phones");
    let told: Vec<_> = clauses
        .iter()
        .map(|clause| {
            (
                clause.ipa.as_str(),
                &text[clause.range.clone()],
                clause.terminator,
                clause.ends_sentence,
            )
        })
        .collect();
    let expected = [
        ("həlˈoʊ", "Hello, ", Some(','), false),
        ("wˈɜːld", "wörld. ", Some('.'), true),
        ("ɪz ɪt θɹˈiː pɔɪnt fˈaɪv", "Is it 3.5? ", Some('?'), true),
        ("jˈɛs", "Yes", None, true),
    ];
    assert_eq!(told, expected);
}

#[test]
fn phones_do_not_depend_on_what_was_asked_before() {
    let text = "A plain text. With [[brackets]] in it.";
    let before = espeak().phonemes(&voice("en-us"), text, None).expect("phones");
    let cancelled = espeak().render(
        &voice("de"),
        Script::plain("Ein Satz."),
        Settings::default(),
        &|| true,
    );
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    let pronunciations = [Pronunciation {
        range: 0..3,
        ipa: "a".to_owned(),
    }];
    let script = Script {
        text: "Ein Satz.",
        pronunciations: &pronunciations,
    };
    espeak()
        .render(&voice("de"), script, Settings::default(), &|| false)
        .expect("speech");
    assert_eq!(
        espeak().phonemes(&voice("en-us"), text, None).expect("phones"),
        before
    );
}

#[test]
fn a_cancelled_caller_is_noticed_soon() {
    let asked = AtomicUsize::new(0);
    let text = "This goes on and on. ".repeat(200);
    let cancelled = || asked.fetch_add(1, Ordering::Relaxed) > 3;
    let result = espeak().render(
        &voice("en-us"),
        Script::plain(&text),
        Settings::default(),
        &cancelled,
    );
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(asked.load(Ordering::Relaxed) < 10);
}

#[test]
fn a_long_text_comes_in_parts() {
    let text = "Some words that end here. ".repeat(60);
    let (mut parts, mut bytes) = (0, 0);
    let each = |speech: Speech| {
        assert_eq!(speech.text.start, bytes);
        assert!(speech.samples.len() < 40 * Speech::SAMPLE_RATE as usize);
        (parts, bytes) = (parts + 1, speech.text.end);
        ControlFlow::Continue(())
    };
    let spoken = espeak().speak(
        &voice("en-us"),
        Script::plain(&text),
        Settings::default(),
        &|| false,
        each,
    );
    assert!(spoken.is_ok());
    assert_eq!((parts, bytes), (4, text.len()));
    let error = espeak().render(
        &voice("en-us"),
        Script::plain(&" ".repeat(2 << 20)),
        Settings::default(),
        &|| false,
    );
    assert!(matches!(error, Err(Error::TooLong { .. })));
}

#[test]
fn odd_texts_are_spoken_or_silent_and_never_more() {
    let long = "a".repeat(900);
    let digits = "9".repeat(400);
    let marks = "e\u{301}\u{302}\u{303}".repeat(100);
    let newlines = "\n".repeat(2_000);
    let mixed: String = (1..0x1200).step_by(3).filter_map(char::from_u32).collect();
    let texts = [
        "",
        " ",
        "\n\n\n",
        "...",
        "?!?!",
        "\u{0}\u{1}50S\u{7f}",
        "[[",
        "]]",
        "[[[[a]]]]",
        "<speak>&amp;</speak>",
        "\u{feff}",
        "\u{202e}abc",
        "😀😀😀",
        "\u{10ffff}",
        "%s%n%d",
        &long,
        &digits,
        &marks,
        &newlines,
        &mixed,
    ];
    for text in texts {
        for name in ["en-us", "cmn", "ar"] {
            let speech = render(name, text);
            assert_sound(text, &speech);
            let clauses = espeak().phonemes(&voice(name), text, None).expect("phones");
            assert_eq!(
                clauses.last().map_or(0, |clause| clause.range.end),
                text.len(),
                "{name} {text:?}"
            );
        }
    }
}
