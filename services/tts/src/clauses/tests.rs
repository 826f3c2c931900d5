//! Clauses by example; what must hold for any text by chance.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::Prosody;

/// What is cut off a text that comes whole, with a bar between clauses.
fn cut(text: &str, cutting: Cutting) -> String {
    let mut clauses = Clauses::new(cutting);
    let mut over = clauses.push(text);
    over.extend(clauses.flush());
    over.iter().map(Script::text).collect::<Vec<_>>().join("|")
}

#[test]
fn sentences_end_where_a_reader_would_end_them() {
    for (text, expected) in [
        (
            "Dr. Smith paid $3.50. It was cheap!",
            "Dr. Smith paid $3.50.|It was cheap!",
        ),
        ("He said \"No.\" Then he left.", "He said \"No.\"|Then he left."),
        ("Is it?! Yes... No.", "Is it?!|Yes...|No."),
        (
            "Meet J. R. Smith at 5 p.m. tomorrow. Good.",
            "Meet J. R. Smith at 5 p.m. tomorrow.|Good.",
        ),
        (
            "Version 1.2.3 is out, see a.b.com for more. Fine",
            "Version 1.2.3 is out, see a.b.com for more.|Fine",
        ),
        (
            "Am 3. Mai ist z.B. Feiertag. Gut.",
            "Am 3. Mai ist z.B. Feiertag.|Gut.",
        ),
        ("One\n\nTwo, three\nfour. End.", "One|Two, three\nfour.|End."),
        (
            "你好，世界。今天天气很好！是的",
            "你好，世界。|今天天气很好！|是的",
        ),
        ("नमस्ते। आप कैसे हैं?", "नमस्ते।|आप कैसे हैं?"),
        ("Well (so to speak.) Go on.", "Well (so to speak.)|Go on."),
        ("  \n ", ""),
    ] {
        assert_eq!(cut(text, Cutting::SENTENCES), expected);
    }
}

#[test]
fn a_stream_begins_with_a_short_clause() {
    let text =
        "Well, to be honest, I do not know, but somebody in the other room may know it, or so they say. Ask.";
    let expected =
        "Well, to be honest,|I do not know, but somebody in the other room may know it,|or so they say.|Ask.";
    assert_eq!(cut(text, Cutting::STREAM), expected);
    // After a flush somebody waits again.
    let mut clauses = Clauses::new(Cutting::STREAM);
    clauses.push("First of all. ");
    clauses.flush();
    let again = clauses.push("And now again, it is short");
    assert_eq!(
        again.iter().map(Script::text).collect::<Vec<_>>(),
        ["And now again,"]
    );
}

#[test]
fn a_clause_waits_until_it_is_sure() {
    let mut clauses = Clauses::new(Cutting::STREAM);
    for text in ["It cos", "ts about 3", ".", "5", "0"] {
        assert!(clauses.push(text).is_empty(), "{text}");
    }
    assert!(clauses.push(".").is_empty());
    assert!(clauses.is_pending());
    assert_eq!(clauses.push(" T")[0].text(), "It costs about 3.50.");
    assert_eq!(clauses.flush()[0].text(), "T");
    assert!(!clauses.is_pending());
    assert!(clauses.flush().is_empty());
}

#[test]
fn long_clauses_are_cut_between_words() {
    let text = "word ".repeat(100);
    let lengths: Vec<_> = cut(&text, Cutting::STREAM)
        .split('|')
        .map(|clause| clause.split(' ').count())
        .collect();
    assert_eq!(lengths, [40, 40, 20]);
    let endless = "ä".repeat(2_000);
    let longest = cut(&endless, Cutting::STREAM)
        .split('|')
        .map(|clause| clause.chars().count())
        .max();
    assert_eq!(longest, Some(cut::MOST_CHARACTERS));
}

#[test]
fn whole_words_are_released_when_nobody_wants_to_wait() {
    let mut clauses = Clauses::new(Cutting::STREAM);
    clauses.push("one two thr");
    assert_eq!(
        clauses
            .release()
            .map(|script| script.text().to_owned())
            .as_deref(),
        Some("one two")
    );
    assert_eq!(clauses.release(), None);
    clauses.push("ee");
    assert_eq!(clauses.flush()[0].text(), "three");
    clauses.push("你好");
    assert_eq!(
        clauses
            .release()
            .map(|script| script.text().to_owned())
            .as_deref(),
        Some("你好")
    );
}

#[test]
fn what_is_cancelled_still_counts() {
    let mut clauses = Clauses::new(Cutting::STREAM);
    clauses.push("Gone");
    assert_eq!(clauses.cancel(), 4);
    let said = clauses.push("Here it is. ");
    assert_eq!(said[0].source(0..4), 4..8);
}

#[test]
fn a_document_is_cut_with_its_pauses() {
    let say = |text: &str| Item::Say(Script::plain(text, 0), Prosody::NATURAL);
    let pause = Item::Break(Duration::from_millis(100));
    let parts = parts(
        vec![pause.clone(), say("One. Two. "), pause, say("Three")],
        Cutting::SENTENCES,
    );
    let told: Vec<Vec<String>> = parts
        .iter()
        .map(|part| {
            let told = part.iter().map(|item| match item {
                Item::Say(script, _) => script.text().trim().to_owned(),
                Item::Break(_) => "-".to_owned(),
            });
            told.collect()
        })
        .collect();
    assert_eq!(told, [vec!["-"], vec!["One."], vec!["Two.", "-"], vec!["Three"]]);
}

#[test]
fn marks_survive_being_cut() {
    let mut script = Script::default();
    script.push_same("One. ", 0);
    script.push_mark("a");
    script.push_same("Two.", 5);
    script.push_mark("b");
    let parts = parts(vec![Item::Say(script, Prosody::NATURAL)], Cutting::SENTENCES);
    let names: Vec<Vec<_>> = parts
        .iter()
        .map(|part| match &part[0] {
            Item::Say(script, _) => script.marks().iter().map(|mark| mark.name.clone()).collect(),
            Item::Break(_) => Vec::new(),
        })
        .collect();
    assert_eq!(names.concat(), ["a", "b"]);
    assert!(names[0].is_empty() || names[0] == ["a"]);
}

/// Text that is full of what matters here.
fn texts() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "a", "Dr", "word", "3", ".", ",", " ", "\n", "\n\n", "!", "?", "\"", ")", "。", "，", "你", "…", "é",
        "😀", ":", "—",
    ]);
    prop::collection::vec(bits, 0..80).prop_map(|bits| bits.concat())
}

proptest! {
    #[test]
    fn nothing_is_lost_and_everything_knows_its_place(text in texts()) {
        let mut clauses = Clauses::new(Cutting::STREAM);
        let mut over = clauses.push(&text);
        over.extend(clauses.flush());
        let mut at = 0;
        for clause in &over {
            let source = clause.source(0..clause.text().len());
            let (start, end) = (source.start as usize, source.end as usize);
            prop_assert_eq!(&text[start..end], clause.text());
            prop_assert!(text[at..start].trim().is_empty());
            at = end;
        }
        prop_assert!(text[at..].trim().is_empty());
        prop_assert_eq!(clauses.position(), text.len() as u64);
    }

    #[test]
    fn it_does_not_matter_how_the_text_comes(text in texts(), size in 1_usize..7) {
        let mut whole = Clauses::new(Cutting::STREAM);
        let mut expected = whole.push(&text);
        expected.extend(whole.flush());
        let mut parted = Clauses::new(Cutting::STREAM);
        let characters: Vec<char> = text.chars().collect();
        let mut found = Vec::new();
        for bit in characters.chunks(size) {
            found.extend(parted.push(&bit.iter().collect::<String>()));
        }
        found.extend(parted.flush());
        prop_assert_eq!(found, expected);
    }
}
