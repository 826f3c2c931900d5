//! What is queued for what came.

use proptest::prelude::*;

use super::*;
use crate::domain::Prosody;

fn session() -> Session {
    Session::new(Pronunciations::default())
}

/// Takes all tasks: speech as its text, markers in angle brackets.
fn tasks(session: &mut Session) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(task) = session.next_task() {
        told.push(match task {
            Task::Marker(name) => format!("<{name}>"),
            Task::Speak(speech) => said(&speech),
        });
    }
    told
}

fn said(speech: &Speech) -> String {
    let texts = speech.items.iter().map(|item| match item {
        Item::Say(script, _) => script.text(),
        Item::Break(_) => "-",
    });
    texts.collect::<Vec<_>>().join("")
}

fn plain(text: &str, at: u64) -> Vec<Item> {
    vec![Item::Say(Script::plain(text, at), Prosody::NATURAL)]
}

#[test]
fn clauses_are_queued_as_they_are_over() {
    let mut session = session();
    session.text("Hello there, my fri");
    assert!(tasks(&mut session).is_empty());
    session.text("end. How are");
    assert_eq!(tasks(&mut session), ["Hello there, my friend."]);
    assert!(session.pending().is_some());
    session.flush();
    assert_eq!(tasks(&mut session), ["How are"]);
    assert_eq!(session.pending(), None);
}

#[test]
fn places_count_from_the_beginning_whatever_came_between() {
    let mut session = session();
    session.text("One. ");
    session.document(0, plain("Two.", 5), 20);
    session.text("Three.");
    session.cancel();
    session.text("Four.");
    session.flush();
    let Some(Task::Speak(speech)) = session.next_task() else {
        panic!("speech")
    };
    assert_eq!((said(&speech).as_str(), speech.source), ("Four.", 31..36));
    assert_eq!(session.received(), 36);
}

#[test]
fn markers_wait_for_the_text_before_them_and_hurry_nothing() {
    let mut session = session();
    assert!(session.marker("first".to_owned()));
    session.text("One two");
    assert!(session.marker("middle".to_owned()));
    assert_eq!(tasks(&mut session), ["<first>"]);
    session.text(" three. Four");
    assert!(session.marker("late".to_owned()));
    assert_eq!(tasks(&mut session), ["One two three.", "<middle>"]);
    session.flush();
    assert!(session.marker("end".to_owned()));
    assert_eq!(tasks(&mut session), ["Four", "<late>", "<end>"]);
}

#[test]
fn a_marker_behind_space_alone_does_not_wait() {
    let mut session = session();
    session.text("One. ");
    session.flush();
    session.text("   ");
    assert!(session.marker("a".to_owned()));
    assert_eq!(tasks(&mut session), ["One.", "<a>"]);
}

#[test]
fn released_words_are_spoken_and_the_rest_waits() {
    let mut session = session();
    session.text("one two thr");
    assert!(session.marker("a".to_owned()));
    session.release();
    assert_eq!(tasks(&mut session), ["one two"]);
    session.text("ee.");
    session.flush();
    assert_eq!(tasks(&mut session), ["three.", "<a>"]);
}

#[test]
fn a_cancel_drops_everything_and_the_stream_goes_on() {
    let mut session = session();
    session.text("One. Two. Three");
    assert!(session.marker("gone".to_owned()));
    assert!(session.backlog() > 0);
    session.cancel();
    assert_eq!((session.backlog(), session.next_task()), (0, None));
    assert_eq!(session.pending(), None);
    session.text("Four. ");
    session.flush();
    assert_eq!(tasks(&mut session), ["Four."]);
}

#[test]
fn a_document_is_spoken_by_itself() {
    let mut session = session();
    session.text("One");
    session.document(2, plain("Two. Three.", 3), 30);
    session.text("Four");
    session.flush();
    let mut speakers = Vec::new();
    while let Some(Task::Speak(speech)) = session.next_task() {
        speakers.push((speech.speaker, said(&speech).trim().to_owned()));
    }
    let wanted = [(0, "One"), (2, "Two."), (2, "Three."), (0, "Four")];
    assert_eq!(speakers, wanted.map(|(speaker, text)| (speaker, text.to_owned())));
}

#[test]
fn markers_are_bounded() {
    let mut session = session();
    for n in 0..MOST_MARKERS {
        assert!(session.marker(n.to_string()));
    }
    assert!(!session.marker("one too many".to_owned()));
}

proptest! {
    /// However a text is cut, the same is spoken, and places lead back to it.
    #[test]
    fn cuts_change_nothing(text in "[a-c .,!?]{0,120}", cuts in prop::collection::vec(1usize..20, 1..6)) {
        let speeches = |cuts: &[usize]| {
            let mut session = session();
            let mut rest = text.as_str();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                session.text(head);
                rest = tail;
            }
            session.flush();
            let mut speeches = Vec::new();
            while let Some(Task::Speak(speech)) = session.next_task() {
                speeches.push((said(&speech), speech.source));
            }
            speeches
        };
        let whole = speeches(&[usize::MAX]);
        for (said, source) in &whole {
            prop_assert_eq!(said, &text[source.start as usize..source.end as usize]);
        }
        prop_assert_eq!(speeches(&cuts), whole);
    }
}
