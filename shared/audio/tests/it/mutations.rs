//! Two thousand damaged variants of every format: each is decoded or refused, quickly, and none takes memory that its
//! size does not explain. The variants are the same in every run.

use std::panic;
use std::thread;
use std::time::{Duration, Instant};

use polyphony_audio::decode::decode;
use polyphony_audio::limits::{Cancel, Limits};
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_audio::{Class, Error};

use super::alloc::usage_of;
use super::media::{FIXTURES, tone_wav};

const VARIANTS: u64 = 2_000;
const STREAMED: u64 = 100;
/// The inputs are kilobytes; what is above them is the decoder's own state and half a minute of samples.
const MOST_HELD: isize = 16 << 20;

/// xorshift64*: enough to choose bytes, the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}

/// One to four kinds of damage, half of them near the beginning, where the headers are.
fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut out = bytes.to_vec();
    for _ in 0..=dice.roll(4) {
        let reach = if dice.roll(2) == 0 {
            out.len().min(400)
        } else {
            out.len()
        };
        let at = dice.roll(reach);
        if at + 8 >= out.len() {
            continue;
        }
        match dice.roll(7) {
            0 => out[at] ^= 1 << dice.roll(8),
            1 => out[at] = [0x00, 0x7f, 0x80, 0xff][dice.roll(4)],
            2 => {
                // A length field, in either order of bytes.
                let value = [0, 1, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX][dice.roll(7)];
                let value = if dice.roll(2) == 0 {
                    value.to_be_bytes()
                } else {
                    value.to_le_bytes()
                };
                out[at..at + 4].copy_from_slice(&value);
            }
            3 => out.truncate(at + 8),
            4 => {
                let len = dice.roll(64).min(out.len() - at);
                out.drain(at..at + len);
            }
            5 => {
                let from = dice.roll(out.len() - 8);
                let piece = out[from..from + dice.roll(64).min(out.len() - from)].to_vec();
                out.splice(at..at, piece);
            }
            _ => {
                let len = dice.roll(32).min(out.len() - at);
                for byte in &mut out[at..at + len] {
                    *byte = dice.roll(256) as u8;
                }
            }
        }
    }
    out
}

fn minute() -> Limits {
    Limits {
        max_duration: Duration::from_secs(60),
        max_decoded_bytes: 16 << 20,
        ..Limits::default()
    }
}

/// How many were decoded and how many made the decoder panic, which `decode` catches.
fn attack(name: &str, bytes: &[u8]) -> (u64, u64) {
    let (mut decoded, mut panicked) = (0, 0);
    for seed in 0..VARIANTS {
        let file = mutate(bytes, seed);
        let start = Instant::now();
        let (result, usage) = usage_of(|| decode(&file, &minute(), &Cancel::new()));
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "{name}, variant {seed} took {took:?}"
        );
        let modest = usage.peak < MOST_HELD && usage.largest < MOST_HELD as usize;
        assert!(modest, "{name}, variant {seed} held {usage:?}");
        match result {
            Ok(_) => decoded += 1,
            Err(Error::DecoderFailed { .. }) => panicked += 1,
            Err(error) => assert!(
                matches!(error.class(), Class::Invalid | Class::Limit),
                "{name} {seed}: {error}"
            ),
        }
    }
    (decoded, panicked)
}

/// Streams end in a whole or an error too, and never wait for ever.
fn attack_streamed(bytes: &[u8]) {
    for seed in 0..STREAMED {
        let file = mutate(bytes, seed);
        let mut decoder = StreamDecoder::new(Format::Auto, minute()).expect("made");
        let mut dice = Dice(seed + 1);
        let mut rest = file.as_slice();
        let mut over = false;
        while !over && !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + dice.roll(900)).min(rest.len()));
            rest = after;
            over = decoder.feed(piece).is_err();
            while let Ok(Some(_)) = decoder.next_block() {}
        }
        decoder.finish();
        while let Ok(Some(_)) = decoder.next_block() {}
        assert_eq!(decoder.next_block(), Ok(None));
    }
}

#[test]
fn damaged_files_are_decoded_or_refused() {
    // Panics that are caught would fill the log with their traces.
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let ours = info
            .location()
            .is_some_and(|at| at.file().contains("shared/audio"));
        if ours {
            report(info);
        }
    }));
    let wav = tone_wav();
    let mut inputs: Vec<(&str, &[u8])> = FIXTURES
        .iter()
        .map(|fixture| (fixture.name, fixture.bytes))
        .collect();
    inputs.push(("tone.wav", &wav));
    thread::scope(|scope| {
        let runs: Vec<_> = inputs
            .iter()
            .map(|(name, bytes)| {
                scope.spawn(move || {
                    let counts = attack(name, bytes);
                    attack_streamed(bytes);
                    (name, counts)
                })
            })
            .collect();
        for run in runs {
            let (name, (decoded, panicked)) = run.join().expect("no panic gets out");
            println!("{name}: {decoded} of {VARIANTS} decoded, {panicked} panics caught");
            assert!(
                (1..VARIANTS - 20).contains(&decoded),
                "{name}: the damage is too small or too great"
            );
        }
    });
}
