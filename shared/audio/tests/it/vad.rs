//! Boundaries against silero-vad's own state machines, on probabilities that both sides make by formula.

use std::time::Duration;

use polyphony_audio::endpoint::{Endpointer, Event, Rules, Stop, segments};

const GOLDEN: &str = include_str!("../fixtures/vad_golden.txt");
const FRAMES: u64 = 300;

/// As `walk` in `make_vad_golden.py`.
fn walk(seed: u32) -> Vec<f32> {
    let (mut state, mut at) = (seed, 500i32);
    (0..FRAMES)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            at = (at + ((state >> 16) % 501) as i32 - 250).clamp(0, 999);
            (2 * at + 1) as f32 / 2_000.0
        })
        .collect()
}

fn millis(number: &str) -> Duration {
    Duration::from_millis(number.parse().expect("a number"))
}

/// Their turns, but for one difference that is meant: where their padding makes an utterance begin before the last one
/// has ended, ours begins where it ended.
fn theirs(turns: &str) -> Vec<(char, u64)> {
    let mut last = 0;
    let turns = turns.split(' ').filter(|turn| !turn.is_empty());
    turns
        .map(|turn| {
            let (kind, at) = turn.split_at(1);
            let at = at.parse().expect("a number");
            last = if kind == "s" { last.max(at) } else { at };
            (if kind == "s" { 's' } else { 'e' }, last)
        })
        .collect()
}

#[test]
fn boundaries_are_those_of_silero_vad() {
    let mut boundaries = 0;
    for line in GOLDEN.lines() {
        let mut parts = line.split('|');
        let mut part = || parts.next().expect("three parts");
        let numbers: Vec<&str> = part().split(' ').collect();
        let [seed, threshold, speech, silence, pad, longest] = numbers[..] else {
            panic!("six numbers in {line}");
        };
        let threshold: f32 = threshold.parse().expect("a number");
        let iterator = Rules {
            threshold,
            neg_threshold: threshold - 0.15,
            stop: Stop::Silence(millis(silence)),
            pad_before: millis(pad),
            pad_after: millis(pad),
            ..Rules::silero()
        };
        let offline = Rules {
            min_speech: millis(speech),
            max_speech: Some(millis(longest)).filter(|longest| !longest.is_zero()),
            ..iterator.clone()
        };
        let seed: u32 = seed.parse().expect("a number");
        let probabilities = walk(seed);

        let found = segments(&probabilities, FRAMES * 512 - u64::from(seed), &offline).expect("valid");
        let found: Vec<String> = found
            .iter()
            .map(|part| format!("{}-{}", part.start, part.end))
            .collect();
        assert_eq!(found.join(" "), part(), "segments of {line}");

        let mut endpointer = Endpointer::new(&iterator).expect("valid");
        let mut events = Vec::new();
        for probability in probabilities {
            endpointer.push(probability, &mut events);
        }
        let turns: Vec<(char, u64)> = events
            .iter()
            .map(|event| match event {
                Event::SpeechBegin { at } => ('s', *at),
                Event::SpeechEnd { at, .. } => ('e', *at),
                Event::SpeechPause { at } => ('p', *at),
            })
            .collect();
        assert_eq!(turns, theirs(part()), "turns of {line}");
        boundaries += found.len() + turns.len();
    }
    assert!(boundaries > 900, "{boundaries} boundaries");
}
