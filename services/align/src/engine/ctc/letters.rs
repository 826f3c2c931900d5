//! The letters of a word as the model knows them.
//!
//! A character is taken as it stands, else in the case that the model writes. Figures, symbols and letters of other
//! scripts have none: such a run matches any sound. Punctuation has no sound.

use std::ops::Range;
use std::time::Duration;

use super::settings::Settings;
use crate::domain::{TimingSource, Unit};
use crate::text::{graphemes, is_heard};

/// A character of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter<'a> {
    /// As users see it.
    pub(super) text: &'a str,
    pub(super) sound: Heard,
}

/// How a character is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// As a token of the model.
    Token(u32),
    /// As any sound; one sound for a run of them.
    Wild,
    /// Not at all.
    Silent,
}

/// The characters of a word.
pub(super) fn letters<'a>(word: &'a str, settings: &Settings) -> Vec<Letter<'a>> {
    let letter = |(_, text): (usize, &'a str)| Letter {
        text,
        sound: heard(text, settings),
    };
    graphemes(word).map(letter).collect()
}

fn heard(text: &str, settings: &Settings) -> Heard {
    let token = |text: &str| {
        let token = settings.tokens.get(text).copied();
        token.filter(|token| {
            let special = text.len() > 1 && text.starts_with(['<', '[']) && text.ends_with(['>', ']']);
            !special && *token != settings.blank && Some(*token) != settings.delimiter
        })
    };
    let straight = match text {
        "’" | "ʼ" | "‘" => "'",
        text => text,
    };
    let found = token(straight)
        .or_else(|| token(&straight.to_lowercase()))
        .or_else(|| token(&straight.to_uppercase()));
    match found {
        Some(token) => Heard::Token(token),
        None if text.chars().any(is_heard) => Heard::Wild,
        None => Heard::Silent,
    }
}

/// The characters of a word with the times and the fit of its sounds: one for each token, and one for each run that
/// matches any sound, which its characters share. Punctuation takes no time.
pub(super) fn units(letters: &[Letter<'_>], wildcards: bool, found: &[(Range<Duration>, f32)]) -> Vec<Unit> {
    let mut at = found.first().map_or(Duration::ZERO, |(time, _)| time.start);
    let mut found = found.iter().cloned();
    let mut next = |at: Duration| found.next().unwrap_or((at..at, 0.0));
    // The run that is open: its time, its fit, its length and how much of it has passed.
    let mut run: Option<(Range<Duration>, f32, u32, u32)> = None;
    let mut units: Vec<Unit> = Vec::with_capacity(letters.len());
    for (index, letter) in letters.iter().enumerate() {
        let (time, score, timing) = match letter.sound {
            Heard::Token(_) => {
                run = None;
                let (time, score) = next(at);
                (time, score, TimingSource::Aligned)
            }
            Heard::Wild if wildcards => {
                let (time, score, length, passed) = run.get_or_insert_with(|| {
                    // Punctuation in a run does not end it.
                    let rest = letters[index..].iter();
                    let rest = rest.take_while(|letter| !matches!(letter.sound, Heard::Token(_)));
                    let length = rest.filter(|letter| letter.sound == Heard::Wild).count() as u32;
                    let (time, score) = next(at);
                    (time, score, length, 0)
                });
                let edge = |passed: u32| time.start + (time.end - time.start) * passed / (*length).max(1);
                let share = edge(*passed)..edge(*passed + 1);
                *passed += 1;
                (share, *score, TimingSource::Wildcard)
            }
            Heard::Wild | Heard::Silent => (at..at, 0.0, TimingSource::Interpolated),
        };
        at = time.end;
        units.push(Unit {
            text: letter.text.to_owned(),
            time,
            score,
            timing,
        });
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_shares_its_time_and_punctuation_has_none() {
        let letter = |text, sound| Letter { text, sound };
        let letters = [
            letter("x", Heard::Token(1)),
            letter("-", Heard::Silent),
            letter("1", Heard::Wild),
            letter(":", Heard::Silent),
            letter("2", Heard::Wild),
            letter("y", Heard::Token(2)),
        ];
        let millis = Duration::from_millis;
        let found = [
            (millis(0)..millis(20), 0.5),
            (millis(100)..millis(300), 0.25),
            (millis(300)..millis(320), 0.75),
        ];
        let told = |wildcards| -> Vec<(u64, u64)> {
            let found = if wildcards {
                found.to_vec()
            } else {
                vec![found[0].clone(), found[2].clone()]
            };
            let units = units(&letters, wildcards, &found);
            let edges = units.iter().map(|unit| {
                (
                    unit.time.start.as_millis() as u64,
                    unit.time.end.as_millis() as u64,
                )
            });
            edges.collect()
        };
        assert_eq!(
            told(true),
            [(0, 20), (20, 20), (100, 200), (200, 200), (200, 300), (300, 320)]
        );
        assert_eq!(
            told(false),
            [(0, 20), (20, 20), (20, 20), (20, 20), (20, 20), (300, 320)]
        );
    }
}
