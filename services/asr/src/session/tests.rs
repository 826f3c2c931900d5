//! Scripted probabilities and an engine that says one word for each second of audio.

use std::cell::Cell;

use polyphony_models::Provenance;
use proptest::prelude::*;

use super::*;
use crate::domain::{EngineInfo, Segment, TimingSource, Transcript, Word};
use crate::engine::Utterance;

/// One word for each second of an utterance: its number. Each hypothesis takes `cost`.
struct Counter {
    info: EngineInfo,
    cost: Duration,
}

struct Counting {
    samples: usize,
    cost: Duration,
}

/// Speech where a sample is not zero.
struct Loud;

impl Engine for Counter {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn recognize(&self, audio: &[f32], _: &DecodeOptions, _: &Cancel) -> Result<Transcript, Error> {
        Ok(count(audio.len()))
    }

    fn utterance(&self, _: &DecodeOptions, _: &Cancel) -> Result<Box<dyn Utterance>, Error> {
        Ok(Box::new(Counting {
            samples: 0,
            cost: self.cost,
        }))
    }
}

impl Utterance for Counting {
    fn accept(&mut self, samples: &[f32]) -> Result<(), Error> {
        self.samples += samples.len();
        Ok(())
    }

    fn hypothesis(&mut self) -> Result<Transcript, Error> {
        pass(self.cost);
        Ok(count(self.samples))
    }

    fn finish(self: Box<Self>) -> Result<Transcript, Error> {
        Ok(count(self.samples))
    }
}

impl Vad for Loud {
    fn probability(&mut self, frame: &[f32; FRAME]) -> Result<f32, Error> {
        Ok(if frame[0] == 0.0 { 0.01 } else { 0.99 })
    }
}

fn count(samples: usize) -> Transcript {
    let second = Duration::from_secs(1);
    let word = |at: u32| Word {
        text: format!("w{at}"),
        start: second * at,
        end: second * at + second / 2,
        confidence: None,
        log_prob: None,
        timing: TimingSource::Model,
    };
    let words: Vec<Word> = (0..(samples as u32).div_ceil(SAMPLE_RATE)).map(word).collect();
    let text = words
        .iter()
        .map(|word| word.text.clone())
        .collect::<Vec<_>>()
        .join(" ");
    let end = words.last().map(|word| word.end).unwrap_or_default();
    Transcript {
        segments: vec![Segment {
            text,
            words,
            end,
            ..Segment::default()
        }],
        language: Some("en".to_owned()),
    }
}

thread_local! {
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// A clock that stands still until [`pass`] moves it.
fn clock() -> Instant {
    let now = NOW.get().unwrap_or_else(Instant::now);
    NOW.set(Some(now));
    now
}

fn pass(time: Duration) {
    NOW.set(Some(clock() + time));
}

fn engine(cost: Duration, commit: Commit) -> Arc<dyn Engine> {
    let info = EngineInfo {
        made: Provenance {
            engine: "counter",
            version: "1".to_owned(),
            model: "counter".to_owned(),
            digest: "sha256:0".to_owned(),
            device: "cpu".to_owned(),
            degraded: None,
        },
        languages: vec!["en".to_owned()],
        detects_language: false,
        translates: false,
        takes_prompt: false,
        word_confidence: false,
        commit,
        partial_interval: Duration::from_millis(500),
    };
    Arc::new(Counter { info, cost })
}

fn settings() -> Settings {
    Settings {
        options: DecodeOptions::default(),
        rules: endpoint::Endpointing::default().rules().expect("defaults"),
        interim: true,
        partial_interval: Duration::from_millis(500),
        max_utterance: Duration::from_secs(28),
        single_utterance: false,
        speech_start_timeout: None,
        speech_end_timeout: None,
        clock,
    }
}

fn session(settings: Settings) -> Session {
    with(settings, Duration::ZERO, Commit::LocalAgreement)
}

fn with(settings: Settings, cost: Duration, commit: Commit) -> Session {
    let engine = engine(cost, commit);
    Session::new(settings, engine, Box::new(Loud), &Cancel::default()).expect("a session")
}

/// Seconds of silence and speech, by turns.
fn sound(turns: &[f32]) -> Vec<f32> {
    let mut samples = Vec::new();
    for (at, seconds) in turns.iter().enumerate() {
        let level = if at % 2 == 0 { 0.0 } else { 0.5 };
        samples.extend(std::iter::repeat_n(
            level,
            (seconds * SAMPLE_RATE as f32) as usize,
        ));
    }
    samples
}

fn all(mut session: Session, samples: &[f32]) -> Vec<Event> {
    let mut events = Vec::new();
    session.push(samples, &mut events).expect("pushes");
    session.finish(&mut events).expect("finishes");
    events
}

fn finals(events: &[Event]) -> Vec<&Hypothesis> {
    results(events)
        .into_iter()
        .filter(|result| result.is_final)
        .collect()
}

fn results(events: &[Event]) -> Vec<&Hypothesis> {
    let mut found = Vec::new();
    for event in events {
        if let Event::Result(result) = event {
            found.push(&**result);
        }
    }
    found
}

#[test]
fn each_stretch_of_speech_is_an_utterance_with_times_of_the_stream() {
    let events = all(session(settings()), &sound(&[1.0, 2.0, 2.0, 3.0, 2.0]));
    let told = finals(&events);
    assert_eq!(told.len(), 2);
    assert_eq!((told[0].segment_id, told[1].segment_id), (1, 2));
    assert_eq!(told[0].stable_len, told[0].text.len());
    let (first, second) = (told[0].words[0].start, told[1].words[0].start);
    assert!(
        (Duration::from_millis(600)..=Duration::from_secs(1)).contains(&first),
        "{first:?}"
    );
    assert!(
        (Duration::from_millis(4_600)..=Duration::from_secs(5)).contains(&second),
        "{second:?}"
    );
    assert!(told[0].end <= told[1].start, "utterances overlap");
    let shape: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::SpeechBegin { .. } => Some("begin"),
            Event::SpeechEnd { .. } => Some("end"),
            Event::Result(result) => result.is_final.then_some("final"),
            Event::Ended(EndReason::Closed) => Some("closed"),
            _ => Some("other"),
        })
        .collect();
    assert_eq!(
        shape,
        ["begin", "end", "final", "begin", "end", "final", "closed"]
    );
}

#[test]
fn silence_is_nothing_and_takes_no_memory() {
    let mut quiet = session(settings());
    let mut events = Vec::new();
    let minute = sound(&[60.0]);
    for _ in 0..10 {
        quiet.push(&minute, &mut events).expect("pushes");
    }
    assert!(events.is_empty() && quiet.heard.len() <= quiet.kept);
    quiet.finish(&mut events).expect("finishes");
    assert_eq!(events, [Event::Ended(EndReason::Closed)]);
}

#[test]
fn interim_results_come_by_audio_and_never_take_back() {
    let events = all(session(settings()), &sound(&[0.5, 4.0, 1.5]));
    let told = results(&events);
    assert!(told.len() > 5, "{}", told.len());
    let mut stable = "";
    for (at, result) in told.iter().enumerate() {
        assert_eq!(result.revision as usize, at + 1);
        assert!(result.text.starts_with(stable));
        stable = &result.text[..result.stable_len];
    }
    let last = told.last().expect("a result");
    assert!(last.is_final && (last.stability - 1.0).abs() < f32::EPSILON);
    let without = all(
        session(Settings {
            interim: false,
            ..settings()
        }),
        &sound(&[0.5, 4.0, 1.5]),
    );
    assert_eq!(results(&without).len(), 1);
}

#[test]
fn interim_results_take_half_of_the_time_at_most() {
    let speech = sound(&[0.5, 20.0, 1.5]);
    let made = |cost, commit| {
        let before = clock();
        let events = all(with(settings(), cost, commit), &speech);
        (results(&events).len(), clock() - before)
    };
    let (many, _) = made(Duration::from_millis(100), Commit::LocalAgreement);
    let (few, spent) = made(Duration::from_secs(2), Commit::LocalAgreement);
    // The utterance lasts 21 s and a bit; the last result is the final one.
    assert!(many > 30, "{many}");
    assert_eq!((few, spent), (7, Duration::from_secs(12)));
    // An engine that decodes as it goes has done the work already.
    assert!(made(Duration::from_secs(2), Commit::Native).0 > 30);
}

#[test]
fn a_flush_ends_the_utterance_at_the_very_sample_and_the_stream_goes_on() {
    let mut stream = session(settings());
    let speech = sound(&[0.5, 2.0]);
    let at = speech.len() - 100;
    let mut events = Vec::new();
    stream.push(&speech[..at], &mut events).expect("pushes");
    stream.flush(&mut events).expect("flushes");
    stream.marker("here".to_owned(), &mut events);
    let flushed = finals(&events)[0].clone();
    assert_eq!(flushed.end, at as u64);
    assert_eq!(events.last(), Some(&Event::Marker("here".to_owned())));
    stream.push(&speech[at..], &mut events).expect("pushes");
    stream
        .push(&sound(&[0.0, 2.0, 2.0]), &mut events)
        .expect("pushes");
    stream.finish(&mut events).expect("finishes");
    let told = finals(&events);
    assert_eq!(told.len(), 2);
    assert_eq!(
        told[1].start, at as u64,
        "what was flushed is heard again, or something is lost"
    );
}

#[test]
fn a_flush_in_silence_is_nothing() {
    let mut stream = session(settings());
    let mut events = Vec::new();
    stream.push(&sound(&[1.0]), &mut events).expect("pushes");
    stream.flush(&mut events).expect("flushes");
    assert!(events.is_empty());
}

#[test]
fn a_single_utterance_ends_the_stream() {
    let events = all(
        session(Settings {
            single_utterance: true,
            ..settings()
        }),
        &sound(&[0.5, 1.0, 2.0, 1.0, 2.0]),
    );
    assert_eq!(finals(&events).len(), 1);
    assert!(matches!(
        events[events.len() - 3],
        Event::EndOfSingleUtterance { .. }
    ));
    assert_eq!(events.last(), Some(&Event::Ended(EndReason::SingleUtterance)));
}

#[test]
fn timeouts_pass_in_audio() {
    let limits = Settings {
        speech_start_timeout: Some(Duration::from_secs(2)),
        speech_end_timeout: Some(Duration::from_secs(3)),
        ..settings()
    };
    let mut quiet = session(limits.clone());
    let mut events = Vec::new();
    quiet.push(&sound(&[10.0]), &mut events).expect("pushes");
    assert_eq!(events, [Event::Ended(EndReason::SpeechStartTimeout)]);
    assert!(quiet.received() < 3 * u64::from(SAMPLE_RATE));

    let mut events = Vec::new();
    session(limits)
        .push(&sound(&[1.0, 1.0, 10.0]), &mut events)
        .expect("pushes");
    assert_eq!(finals(&events).len(), 1);
    assert_eq!(events.last(), Some(&Event::Ended(EndReason::SpeechEndTimeout)));
}

#[test]
fn an_end_timeout_shorter_than_the_pause_still_gives_the_words() {
    let limits = Settings {
        speech_end_timeout: Some(Duration::from_millis(500)),
        ..settings()
    };
    let mut events = Vec::new();
    session(limits)
        .push(&sound(&[1.0, 1.0, 10.0]), &mut events)
        .expect("pushes");
    assert_eq!(finals(&events).len(), 1);
    assert_eq!(events.last(), Some(&Event::Ended(EndReason::SpeechEndTimeout)));
}

#[test]
fn who_never_pauses_is_cut_and_nothing_is_lost() {
    let limits = Settings {
        max_utterance: Duration::from_secs(5),
        ..settings()
    };
    let events = all(session(limits), &sound(&[0.5, 12.0, 1.0]));
    let told = finals(&events);
    assert_eq!(told.len(), 3);
    for pair in told.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    let begins = events
        .iter()
        .filter(|event| matches!(event, Event::SpeechBegin { .. }))
        .count();
    assert_eq!(begins, 1, "the speaker began once");
}

#[test]
fn an_early_pause_is_told_with_stability_one() {
    let rules = endpoint::Endpointing {
        stop_history_eou: Some(Duration::from_millis(240)),
        ..Default::default()
    };
    let rules = rules.rules().expect("valid");
    let events = all(
        session(Settings { rules, ..settings() }),
        &sound(&[0.5, 1.0, 0.4, 1.0, 2.0]),
    );
    let early = results(&events)
        .into_iter()
        .filter(|result| !result.is_final && result.stability >= 1.0)
        .count();
    assert_eq!((early, finals(&events).len()), (2, 1));
}

#[test]
fn a_cancelled_stream_stops_at_the_next_frame() {
    let cancel = Cancel::default();
    let engine = engine(Duration::ZERO, Commit::LocalAgreement);
    let mut stream = Session::new(settings(), engine, Box::new(Loud), &cancel).expect("a session");
    cancel.cancel();
    let error = stream
        .push(&sound(&[1.0]), &mut Vec::new())
        .expect_err("cancelled");
    assert!(matches!(error, Error::Cancelled));
}

#[test]
fn a_failure_of_the_model_ends_the_stream() {
    struct Broken;
    impl Vad for Broken {
        fn probability(&mut self, _: &[f32; FRAME]) -> Result<f32, Error> {
            Err(Error::engine("silero", "no"))
        }
    }
    let vad = Box::new(Broken);
    let engine = engine(Duration::ZERO, Commit::LocalAgreement);
    let mut stream = Session::new(settings(), engine, vad, &Cancel::default()).expect("a session");
    assert!(stream.push(&sound(&[1.0]), &mut Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn how_the_samples_are_cut_changes_nothing(
        turns in prop::collection::vec(0.05f32..3.0, 1..8),
        cuts in prop::collection::vec(1usize..5_000, 1..40),
    ) {
        let samples = sound(&turns);
        let whole = all(session(settings()), &samples);
        let mut pieces = session(settings());
        let mut events = Vec::new();
        let mut rest = samples.as_slice();
        for size in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece, &mut events).expect("pushes");
            rest = later;
        }
        pieces.finish(&mut events).expect("finishes");
        prop_assert_eq!(whole, events);
    }
}
