//! SSML by example, and what must hold for any document by chance.

use proptest::prelude::*;

use super::*;
use crate::domain::Saying;

fn speech(document: &str) -> Speech {
    compile(document, 0, "en-US").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(inner: &str) -> String {
    let document = format!("<speak>{inner}</speak>");
    let error = compile(&document, 0, "en-US").expect_err(&document);
    error.to_string()
}

/// What is said, and with what prosody; a break as its length.
fn told(document: &str) -> Vec<(String, Prosody)> {
    let items = speech(document).items.into_iter().map(|item| match item {
        Item::Say(script, prosody) => (script.text().trim().to_owned(), prosody),
        Item::Break(pause) => (format!("{pause:?}"), Prosody::NATURAL),
    });
    items.collect()
}

fn script(document: &str) -> Script {
    match speech(document).items.swap_remove(0) {
        Item::Say(script, _) => script,
        Item::Break(_) => panic!("a break"),
    }
}

#[test]
fn breaks_and_prosody_part_what_is_said() {
    let document = r#"<?xml version="1.0"?>
        <speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-GB">
        One<break time="250ms"/>two <prosody rate="150%" pitch="+2st" volume="-6dB">three
        <prosody rate="fast" volume="silent">four</prosody></prosody><!-- no --><break strength="weak"/></speak>"#;
    let natural = Prosody::NATURAL;
    let outer = Prosody {
        rate: 1.5,
        pitch: 2.0,
        gain: -6.0,
    };
    let inner = Prosody {
        rate: 1.875,
        pitch: 2.0,
        gain: f32::NEG_INFINITY,
    };
    let expected = [
        ("One".to_owned(), natural),
        ("250ms".to_owned(), natural),
        ("two".to_owned(), natural),
        ("three".to_owned(), outer),
        ("four".to_owned(), inner),
        ("200ms".to_owned(), natural),
    ];
    assert_eq!(told(document), expected);
    assert_eq!(speech(document).language.as_deref(), Some("en-GB"));
}

#[test]
fn what_is_said_knows_its_place_in_the_document() {
    let document = "<speak>Fish &amp; <![CDATA[<chips>]]> &#x41;\n<say-as interpret-as=\"digits\">42</say-as> ok</speak>";
    let script = script(document);
    assert_eq!(script.text(), "Fish & <chips> A 4 2 ok");
    let place = |word: &str| {
        let at = script.text().find(word).expect(word);
        let source = script.source(at..at + word.len());
        &document[source.start as usize..source.end as usize]
    };
    for (word, stands) in [
        ("Fish", "Fish"),
        ("&", "&amp;"),
        ("<chips>", "<chips>"),
        ("A", "&#x41;"),
        ("4 2", "42"),
        ("ok", "ok"),
    ] {
        assert_eq!(place(word), stands);
    }
    let later = compile(document, 1_000, "en").expect("well-formed");
    let Some(Item::Say(script, _)) = later.items.first() else {
        panic!("text")
    };
    assert_eq!(script.source(0..4), 1_007..1_011);
}

#[test]
fn marks_and_phonemes_stay_in_the_text() {
    let script = script(
        "<speak>You say <mark name='here'/><phoneme alphabet='x-sampa' ph='t@\"mA:t@U'>tomato</phoneme>\
         <phoneme ph='həˈləʊ'/><mark name='end'/></speak>",
    );
    assert_eq!(script.text(), "You say tomatohəˈləʊ");
    let marks: Vec<_> = script
        .marks()
        .iter()
        .map(|mark| (mark.at, mark.name.as_str()))
        .collect();
    assert_eq!(marks, [(8, "here"), (script.text().len(), "end")]);
    let phones: Vec<_> = script
        .spans()
        .iter()
        .filter_map(|span| match &span.saying {
            Saying::Phones(ipa) => Some(ipa.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(phones, ["təˈmɑːtəʊ", "həˈləʊ"]);
}

#[test]
fn say_as_is_written_out() {
    for (kind, written, spoken) in [
        ("interpret-as='characters'", "aB1", "A, B, 1"),
        ("interpret-as='digits'", "10 2", "1 0 2"),
        (
            "interpret-as='telephone'",
            "+1 (555) 123-4567",
            "+ 1, 5 5 5, 1 2 3, 4 5 6 7",
        ),
        ("interpret-as='cardinal'", "1,234", "1,234"),
        ("interpret-as='ordinal'", "112", "112th"),
        ("interpret-as='ordinal'", "23", "23rd"),
        ("interpret-as='date' format='ymd'", "2023-05-01", "May 1st, 2023"),
        ("interpret-as='date' format='dm'", "12/10", "October 12th"),
    ] {
        let document = format!("<speak><say-as {kind}>{written}</say-as></speak>");
        assert_eq!(told(&document)[0].0, spoken);
    }
    let ordinal = "<speak><say-as interpret-as='ordinal'>3</say-as></speak>";
    assert!(compile(ordinal, 0, "ja").is_err());
    assert!(compile(ordinal, 0, "es-ES").is_ok());
}

#[test]
fn what_is_not_understood_is_refused_by_its_name_and_place() {
    for (inner, named) in [
        (
            "a <emphasis>b</emphasis>",
            "line 1, column 10: the element `emphasis`",
        ),
        ("<prosody contour='(0%,+20Hz)'>a</prosody>", "`contour`"),
        ("<prosody rate='10%'>a</prosody>", "the rate \"10%\""),
        ("<prosody rate='nan'>a</prosody>", "the rate \"nan\""),
        ("<prosody pitch='+20Hz'>a</prosody>", "the pitch \"+20Hz\""),
        ("<prosody pitch='+21st'>a</prosody>", "the pitch \"+21st\""),
        ("<prosody volume='50'>a</prosody>", "the volume \"50\""),
        ("<break time='11s'/>", "longer than 10s"),
        ("<break time='5'/>", "the time \"5\""),
        ("<break strength='huge'/>", "the strength \"huge\""),
        ("<break>text</break>", "nothing in it"),
        ("<mark/>", "the attribute `name`"),
        ("<mark name='a'/><mark name='a'/>", "two marks \"a\""),
        (
            "<phoneme ph='a' alphabet='arpabet'>a</phoneme>",
            "the alphabet \"arpabet\"",
        ),
        ("<phoneme ph='%'>a</phoneme>", "\"%\""),
        ("<phoneme ph='a'><break/></phoneme>", "no elements"),
        (
            "<say-as interpret-as='rhyme'>a</say-as>",
            "\"rhyme\" is not understood",
        ),
        (
            "<say-as interpret-as='date' format='mdy'>13/45/2000</say-as>",
            "not a date",
        ),
        ("<voice name='x'>a</voice>", "`voice`"),
        ("<x:break xmlns:x='urn:other'/>", "not one of SSML"),
        ("<speak>a</speak>", "cannot lie in another"),
    ] {
        let refusal = refusal(inner);
        assert!(refusal.contains(named), "{inner}: {refusal}");
    }
    assert!(refusal(&"<break time='10s'/>".repeat(7)).contains("together"));
}

#[test]
fn what_is_no_document_is_refused_once_and_clearly() {
    let deep = |depth: usize| {
        format!(
            "<speak>{}{}</speak>",
            "<prosody>".repeat(depth),
            "</prosody>".repeat(depth)
        )
    };
    assert!(compile(&deep(30), 0, "en").is_ok());
    for (document, named) in [
        (String::new(), "empty"),
        ("plain text".to_owned(), "not well-formed"),
        ("<speak>".to_owned(), "not well-formed"),
        (
            "<speak>a & b</speak>".to_owned(),
            "line 1, column 10: not well-formed",
        ),
        ("<speak>\n<break></speak>".to_owned(), "line 2"),
        ("<html/>".to_owned(), "must be a `speak`"),
        (
            "<!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>".to_owned(),
            "document type",
        ),
        (deep(40), "deeper than 32"),
        (deep(3_000), "deeper than 32"),
        (
            format!("<speak>{}</speak>", "<!---->".repeat(9_000)),
            "more than 5000",
        ),
        (format!("<speak>{}</speak>", "a".repeat(70_000)), "at most"),
    ] {
        let error = compile(&document, 0, "en").expect_err(&document[..document.len().min(60)]);
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.to_string().len() < 600);
    }
}

proptest! {
    #[test]
    fn no_document_brings_it_down(bits in prop::collection::vec(prop::sample::select(vec![
        "<speak>", "</speak>", "<break/>", "<prosody rate='2'>", "</prosody>", "<mark name='m'/>", "<![CDATA[", "]]>", "&amp;",
        "&", "<", ">", "é", "<!--", "-->", "<?a b?>", "<phoneme ph='a'>", "</phoneme>", "<say-as interpret-as='digits'>",
        "</say-as>", "1", " ", "\r\n", "'", "\"",
    ]), 0..30)) {
        let document = format!("<speak>{}</speak>", bits.concat());
        if let Ok(speech) = compile(&document, 7, "en") {
            for item in speech.items {
                if let Item::Say(script, _) = item && !script.text().is_empty() {
                    let source = script.source(0..script.text().len());
                    prop_assert!(source.start >= 7 && source.end <= 7 + document.len() as u64);
                }
            }
        }
    }
}
