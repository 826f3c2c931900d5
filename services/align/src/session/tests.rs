//! The state machine with an engine that hears one word in each second, so that what is told when is known.

use super::*;
use crate::domain::EngineInfo;

/// Hears word `n` of the text in second `n` of the audio, for 400 ms from its beginning.
struct Clockwork;

#[derive(Default)]
struct Ticks {
    samples: u64,
    read: usize,
    word: usize,
    until: Duration,
}

const SECOND: usize = SAMPLE_RATE as usize;

impl Engine for Clockwork {
    fn info(&self) -> &EngineInfo {
        unreachable!("a session asks for nothing")
    }

    fn begin(&self, _: &Options, _: &Cancel) -> Result<Box<dyn Matching>, Error> {
        Ok(Box::new(Ticks::default()))
    }
}

impl Matching for Ticks {
    fn hear(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.samples += samples.len() as u64;
        Ok(())
    }

    fn silence(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn read(&mut self, _: &Text, words: Range<usize>) -> Result<(), Error> {
        assert_eq!(words.start, self.read, "words are read once, in order");
        self.read = words.end;
        Ok(())
    }

    fn heard(&self) -> Duration {
        time(self.samples)
    }

    fn align(&mut self, text: &Text, end: End) -> Result<Match, Error> {
        let heard = self.heard();
        let begin = |word: usize| Duration::from_secs(word as u64);
        let reached = |word: &usize| end == End::Last || begin(*word) < heard;
        let found = (self.word..self.read).filter(reached).map(|word| Heard {
            word,
            // Punctuation has no sound.
            time: text
                .word(word)
                .is_heard
                .then(|| begin(word)..(begin(word) + Duration::from_millis(400)).min(heard.max(begin(word)))),
            wild: false,
            score: 1.0,
            log_prob: None,
            characters: Vec::new(),
            phones: Vec::new(),
        });
        if end == End::Last && begin(self.read.saturating_sub(1)) > heard {
            return Err(Error::Misfit);
        }
        Ok(Match {
            words: found.collect(),
            speech: Vec::new(),
            quality: 0.75,
        })
    }

    fn forget(&mut self, words: usize, until: Duration) {
        assert!(until >= self.until && until <= self.heard());
        self.word += words;
        self.until = until;
    }
}

fn session(lookahead: u64) -> Session {
    let options = Options::default();
    Session::new(
        &Clockwork,
        &options,
        Duration::from_secs(lookahead),
        &Cancel::default(),
    )
    .expect("begins")
}

fn told(events: &[Event]) -> Vec<&str> {
    let words = events.iter().filter_map(|event| match event {
        Event::Words(words) => Some(words.iter().map(|word| word.text.as_str())),
        _ => None,
    });
    words.flatten().collect()
}

#[test]
fn a_word_is_told_within_the_lookahead_and_never_again() {
    let mut session = session(4);
    let mut events = Vec::new();
    session
        .text("a b c d e f g h i j", (None, None), "")
        .expect("text");
    for second in 1..=12_u64 {
        session.push(&vec![0.0; SECOND], &mut events).expect("hears");
        // What ends by then may be held back for four seconds and no longer.
        let due = second.saturating_sub(4);
        let said = told(&events).len() as u64;
        assert!(said >= due.min(10), "{said} words after {second} s");
        assert!(said <= second, "{said} words after {second} s");
    }
    session.finish(&mut events).expect("ends");
    assert_eq!(told(&events), ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    let Some(Event::Ended(ended)) = events.last() else {
        panic!("{events:?}")
    };
    assert!((ended.quality - 0.75).abs() < 1e-6);
}

#[test]
fn what_is_told_does_not_depend_on_how_samples_are_cut() {
    let run = |cut: usize| {
        let mut session = session(2);
        let mut events = Vec::new();
        session.text("a b — c d e", (None, None), "").expect("text");
        for piece in vec![0.0; 7 * SECOND].chunks(cut) {
            session.push(piece, &mut events).expect("hears");
        }
        session.finish(&mut events).expect("ends");
        events
    };
    let whole = run(7 * SECOND);
    assert_eq!(told(&whole), ["a", "b", "—", "c", "d", "e"]);
    assert!(run(997) == whole && run(SECOND) == whole);
}

#[test]
fn a_marker_is_told_when_all_before_it_is() {
    let mut session = session(2);
    let mut events = Vec::new();
    session.marker("at once".to_owned(), &mut events).expect("marks");
    assert_eq!(events, [Event::Marker("at once".to_owned())]);
    events.clear();
    session.text("a b", (None, None), "").expect("text");
    session
        .marker("two words".to_owned(), &mut events)
        .expect("marks");
    session.push(&vec![0.0; SECOND], &mut events).expect("hears");
    assert!(events.is_empty(), "{events:?}");
    session.push(&vec![0.0; 3 * SECOND], &mut events).expect("hears");
    assert_eq!(told(&events), ["a", "b"]);
    assert_eq!(events.last(), Some(&Event::Marker("two words".to_owned())));
}

#[test]
fn what_is_decided_is_forgotten() {
    let mut session = session(2);
    let mut events = Vec::new();
    for word in 0..500 {
        session
            .text(&format!("word{word}"), (None, None), "")
            .expect("text");
        session.push(&vec![0.0; SECOND], &mut events).expect("hears");
    }
    assert!(session.text.word_bytes(session.next) < 100);
    assert!(session.decided() > Duration::from_secs(490));
    session.finish(&mut events).expect("ends");
    let told = told(&events);
    assert_eq!((told.len(), told[499]), (500, "word499"));
}

#[test]
fn audio_waits_a_minute_for_its_text() {
    let mut session = session(1);
    let mut events = Vec::new();
    session
        .push(&vec![0.0; 300 * SECOND], &mut events)
        .expect("hears");
    let kept = Duration::from_secs(300) - session.decided();
    assert!((WAIT..WAIT + Duration::from_secs(2)).contains(&kept), "{kept:?}");
}

#[test]
fn text_cannot_wait_without_end() {
    let mut session = session(1);
    let piece = "word ".repeat(2_000);
    let refused = (0..100).find_map(|_| session.text(&piece, (None, None), "").err());
    let Some(Error::Request(fault)) = refused else {
        panic!("all was taken")
    };
    assert_eq!(fault.reason, "TEXT_AHEAD");
    let mut events = Vec::new();
    let refused = (0..2_000).find_map(|_| session.marker("m".to_owned(), &mut events).err());
    assert!(matches!(refused, Some(Error::Request(fault)) if fault.reason == "TOO_MANY_MARKERS"));
}

#[test]
fn text_for_which_no_audio_is_left_is_a_misfit() {
    let mut session = session(1);
    let mut events = Vec::new();
    session
        .text(&"word ".repeat(100), (None, None), "")
        .expect("text");
    session.push(&vec![0.0; 3 * SECOND], &mut events).expect("hears");
    assert!(matches!(session.finish(&mut events), Err(Error::Misfit)));
}
