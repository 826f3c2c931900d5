//! The letters of a word as the model knows them.
//!
//! A character is taken as it stands, else in the case that the model writes. Figures, symbols and letters of other
//! scripts have none: such a run matches any sound. Punctuation has no sound.

use super::settings::Settings;
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
