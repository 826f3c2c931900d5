use super::*;

const FRAME: u64 = 512;

/// Probabilities from a picture: `#` speech, `-` between the thresholds, `.` silence.
fn probabilities(picture: &str) -> Vec<f32> {
    let probability = |c| match c {
        '#' => 0.9,
        '-' => 0.4,
        _ => 0.1,
    };
    picture
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(probability)
        .collect()
}

fn events(picture: &str, rules: &Rules) -> Vec<Event> {
    let mut endpointer = Endpointer::new(rules).expect("valid rules");
    let mut events = Vec::new();
    let frames = probabilities(picture);
    for probability in &frames {
        endpointer.push(*probability, &mut events);
    }
    endpointer.finish(frames.len() as u64 * FRAME, &mut events);
    events
}

fn begin(at: u64) -> Event {
    Event::SpeechBegin { at }
}

fn end(at: u64) -> Event {
    let reason = EndReason::Silence;
    Event::SpeechEnd { at, reason }
}

fn unpadded() -> Rules {
    Rules {
        pad_before: Duration::ZERO,
        pad_after: Duration::ZERO,
        ..Rules::silero()
    }
}

#[test]
fn speech_is_padded_and_ends_after_enough_silence() {
    // 100 ms are 1600 samples: with 512 to a frame, the fifth silent frame is 4 frames after the first.
    assert_eq!(events("..###....", &Rules::silero())[0], begin(2 * FRAME - 480));
    assert_eq!(
        events("..###.....", &Rules::silero()),
        [begin(2 * FRAME - 480), end(5 * FRAME + 480)]
    );
    assert_eq!(events("#.....", &Rules::silero()), [begin(0), end(FRAME + 480)]);
}

#[test]
fn what_is_between_the_thresholds_is_what_it_was() {
    assert_eq!(
        events("--#--#--.....", &unpadded()),
        [begin(2 * FRAME), end(8 * FRAME)]
    );
    // A silence goes on through the middle, is broken by speech alone, and ends only in true silence.
    assert_eq!(events("#.--...", &unpadded()), [begin(0), end(FRAME)]);
    let at_end = Event::SpeechEnd {
        at: 7 * FRAME,
        reason: EndReason::EndOfAudio,
    };
    assert_eq!(events("#.-----", &unpadded()), [begin(0), at_end]);
    assert_eq!(events("#...#.....", &unpadded()), [begin(0), end(5 * FRAME)]);
}

#[test]
fn short_speech_is_not_reported() {
    let rules = Rules {
        min_speech: Duration::from_millis(64),
        ..unpadded()
    };
    assert_eq!(events("##.........", &rules), []);
    assert_eq!(events("###........", &rules), [begin(0), end(3 * FRAME)]);
    // Silence inside counts, as long as it does not end the speech.
    assert_eq!(events("#..#.......", &rules), [begin(0), end(4 * FRAME)]);
}

#[test]
fn long_speech_is_cut_at_its_longest_pause() {
    let rules = Rules {
        max_speech: Some(Duration::from_secs(1)),
        stop: Stop::Silence(Duration::from_millis(500)),
        ..unpadded()
    };
    // 16000 less one frame is more than 30 frames: the cut is noticed in the 32nd.
    let pauses = format!(
        "{}....{}.....{}{}",
        "#".repeat(5),
        "#".repeat(6),
        "#".repeat(12),
        ".".repeat(17)
    );
    let cut = Event::SpeechEnd {
        at: 15 * FRAME,
        reason: EndReason::MaxLength,
    };
    let found = events(&pauses, &rules);
    assert_eq!(found, [begin(0), cut, begin(20 * FRAME), end(32 * FRAME)]);

    let cut = Event::SpeechEnd {
        at: 31 * FRAME,
        reason: EndReason::MaxLength,
    };
    let found = events(&"#".repeat(40), &rules);
    assert_eq!(
        found[..3],
        [begin(0), cut, begin(32 * FRAME)],
        "without a pause it is cut where it stands"
    );
}

#[test]
fn votes_decide_where_riva_counts() {
    let rules = Endpointing {
        start_history: Some(Duration::from_millis(128)),
        start_threshold: Some(0.75),
        stop_history: Some(Duration::from_millis(320)),
        stop_threshold: Some(0.8),
        stop_history_eou: Some(Duration::from_millis(96)),
        stop_threshold_eou: Some(1.0),
        ..Endpointing::default()
    };
    let rules = Rules {
        pad_before: Duration::ZERO,
        pad_after: Duration::ZERO,
        ..rules.rules().expect("valid")
    };
    // Two of four do not begin it; three do, from the first of them on.
    assert_eq!(events("#..#..#.", &rules), []);
    let found = events("..#.##....#.....", &rules);
    let pause = |at| Event::SpeechPause { at };
    // The early end is taken back by the lone frame, and 8 silent frames of 10 end it for good.
    assert_eq!(
        found,
        [
            begin(2 * FRAME),
            pause(6 * FRAME),
            pause(11 * FRAME),
            end(11 * FRAME)
        ]
    );
}

#[test]
fn a_second_stream_starts_at_zero() {
    let mut endpointer = Endpointer::new(&Rules::silero()).expect("valid");
    for _ in 0..2 {
        let mut events = Vec::new();
        for probability in probabilities("###......") {
            endpointer.push(probability, &mut events);
        }
        endpointer.finish(9 * FRAME, &mut events);
        assert_eq!(events, [begin(0), end(3 * FRAME + 480)]);
        assert!(!endpointer.in_speech());
    }
}

#[test]
fn segments_share_the_gap_between_them() {
    let rules = Rules {
        min_speech: Duration::from_millis(250),
        pad_before: Duration::from_millis(100),
        pad_after: Duration::from_millis(100),
        ..Rules::silero()
    };
    let picture = format!("..{}.....{}...{}", "#".repeat(10), "#".repeat(10), "#".repeat(3));
    let frames = probabilities(&picture);
    let samples = frames.len() as u64 * FRAME - 100;
    let found = segments(&frames, samples, &rules).expect("valid");
    let middle = 12 * FRAME + 5 * FRAME / 2;
    assert_eq!(found, [0..middle, middle..samples]);
}

#[test]
fn settings_out_of_range_are_named() {
    let cases = [
        (
            Endpointing {
                start_threshold: Some(0.0),
                ..Endpointing::default()
            },
            "start_threshold",
        ),
        (
            Endpointing {
                stop_threshold: Some(1.5),
                ..Endpointing::default()
            },
            "stop_threshold",
        ),
        (
            Endpointing {
                vad_threshold: Some(f32::NAN),
                ..Endpointing::default()
            },
            "vad_threshold",
        ),
        (
            Endpointing {
                stop_history: Some(Duration::from_secs(11)),
                ..Endpointing::default()
            },
            "stop_history",
        ),
        (
            Endpointing {
                stop_threshold_eou: Some(0.5),
                ..Endpointing::default()
            },
            "stop_threshold_eou",
        ),
        (
            Endpointing {
                max_utterance: Some(Duration::ZERO),
                ..Endpointing::default()
            },
            "max_utterance_duration",
        ),
    ];
    for (settings, field) in cases {
        let error = settings.rules().expect_err("out of range");
        assert!(
            matches!(error, Error::Setting { name, .. } if name == field),
            "{error}"
        );
    }
}
