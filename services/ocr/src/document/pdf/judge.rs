//! Whether the text that a page holds is the text that a person sees on it.
//!
//! It is not where nothing is shown as text (a scan, letters drawn as shapes), where glyphs stand for no character (a font
//! without a map) or for the wrong one (a map made to keep copies from being taken). Then the picture is read.

use super::native::{Heard, NativeText, Rect};

/// How a page is to be read.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// By its picture.
    Picture,
    /// By its text.
    Text(NativeText),
    /// By its text, and what its pictures hold besides.
    Both(NativeText),
}

/// Glyphs of no known character may be so many of all: bullets and ornaments.
const MOST_UNKNOWN: f32 = 0.1;
/// Characters of private use and replacements may be so many of all.
const MOST_STRANGE: f32 = 0.05;
/// Latin text has so many vowels among its letters; the extremes of languages lie far within.
const VOWELS: std::ops::RangeInclusive<f32> = 0.2..=0.7;
/// Fewer Latin letters are not judged by their vowels.
const ENOUGH_LETTERS: usize = 200;
/// A picture of a smaller share of the page holds no text worth a look.
const SMALLEST_PICTURE: f32 = 0.05;

/// Judges what was heard.
pub(super) fn judge(heard: Heard) -> Verdict {
    let Heard {
        glyphs,
        pictures,
        unknown,
        area,
        overflow,
    } = heard;
    let known = glyphs
        .iter()
        .filter(|glyph| !glyph.text.trim().is_empty())
        .count();
    if known == 0 || overflow {
        return Verdict::Picture;
    }
    if unknown as f32 > MOST_UNKNOWN * (known + unknown) as f32 {
        return Verdict::Picture;
    }
    let characters = || glyphs.iter().flat_map(|glyph| glyph.text.chars());
    let strange = characters().filter(|character| is_strange(*character)).count();
    if strange as f32 > MOST_STRANGE * known as f32 {
        return Verdict::Picture;
    }
    let letters = characters().filter(char::is_ascii_alphabetic).count();
    let vowels = characters()
        .filter(|letter| matches!(letter.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y'))
        .count();
    if letters >= ENOUGH_LETTERS && !VOWELS.contains(&(vowels as f32 / letters as f32)) {
        return Verdict::Picture;
    }
    let large = |picture: &Rect| picture.area() >= SMALLEST_PICTURE * area;
    let pictures: Vec<Rect> = pictures.into_iter().filter(large).collect();
    let more = !pictures.is_empty();
    let text = NativeText { glyphs, pictures };
    if more {
        Verdict::Both(text)
    } else {
        Verdict::Text(text)
    }
}

/// Stands for nothing that a person could read.
fn is_strange(character: char) -> bool {
    matches!(character, '\u{FFFD}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..) || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Glyph;

    fn heard(text: &str) -> Heard {
        let glyph = |character: char| Glyph {
            text: character.to_string(),
            origin: [0.0, 0.0],
            advance: [5.0, 0.0],
            em: 10.0,
            ink: None,
        };
        Heard {
            glyphs: text.chars().map(glyph).collect(),
            area: 1_000_000.0,
            ..Heard::default()
        }
    }

    #[test]
    fn plain_text_is_taken() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(8);
        assert!(matches!(judge(heard(&text)), Verdict::Text(_)));
        assert!(matches!(judge(heard("7")), Verdict::Text(_)));
    }

    #[test]
    fn text_that_nobody_sees_is_not() {
        assert_eq!(judge(heard("")), Verdict::Picture);
        assert_eq!(judge(heard("   ")), Verdict::Picture);
        assert_eq!(judge(heard("a\u{FFFD}\u{E001}b")), Verdict::Picture);
        // Every letter moved on by three.
        let moved =
            "Lw zdv wkh ehvw ri wlphv, lw zdv wkh zruvw ri wlphv, lw zdv wkh djh ri zlvgrp. ".repeat(5);
        assert_eq!(judge(heard(&moved)), Verdict::Picture);
        let mut unknown = heard("some words");
        unknown.unknown = 2;
        assert_eq!(judge(unknown), Verdict::Picture);
    }

    #[test]
    fn a_large_picture_may_hold_more() {
        let mut page = heard("A caption.");
        page.pictures = vec![
            Rect {
                right: 100.0,
                bottom: 100.0,
                ..Rect::default()
            },
            Rect {
                right: 500.0,
                bottom: 500.0,
                ..Rect::default()
            },
        ];
        let Verdict::Both(text) = judge(page) else {
            panic!("the picture is large")
        };
        assert_eq!(text.pictures.len(), 1);
    }
}
