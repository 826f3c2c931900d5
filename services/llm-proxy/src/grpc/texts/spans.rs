//! Where tokens stand in their text: found by going along the text, for upstreams tell only what a token looks like.
//!
//! A token's look may be its text, or what the vocabulary holds: a space as "▁" (SentencePiece) or "Ġ" (byte-level BPE, whose
//! other bytes are letters too). What does not fit the text where it should stand is a special token, or one that cannot be
//! placed; it has no range, and the search goes on where it was.

use polyphony_proto::llm::v1 as pb;
use polyphony_proto::types::v1 as types;

use crate::dialect::texts::Token;

/// Tokens with their places.
pub(super) fn placed(text: &str, tokens: Vec<Token>) -> Vec<pb::Token> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let placed = tokens.into_iter().map(|Token { id, text: shown }| {
        let found = looks(&shown).into_iter().find_map(|look| {
            if look.is_empty() {
                return None;
            }
            if bytes[at..].starts_with(&look) {
                return Some((look.len(), look));
            }
            // SentencePiece puts a space before a text that has none.
            let bare = look
                .strip_prefix(b" ")
                .filter(|bare| at == 0 && !bare.is_empty())?;
            bytes.starts_with(bare).then(|| (bare.len(), bare.to_vec()))
        });
        match found {
            None => pb::Token {
                id,
                text: shown,
                source_text_range: None,
            },
            Some((length, look)) => {
                let start = at;
                at += length;
                pb::Token {
                    id,
                    // Half a character is no text.
                    text: String::from_utf8(look).unwrap_or(shown),
                    source_text_range: Some(types::TextRange {
                        start_byte: start as u64,
                        end_byte: at as u64,
                    }),
                }
            }
        }
    });
    placed.collect()
}

/// The bytes that a token may stand for.
fn looks(shown: &str) -> Vec<Vec<u8>> {
    let mut looks = vec![shown.as_bytes().to_vec()];
    if shown.contains('▁') {
        looks.push(shown.replace('▁', " ").into_bytes());
    }
    if let Some(byte) = shown.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')) {
        looks.extend(u8::from_str_radix(byte, 16).ok().map(|byte| vec![byte]));
    }
    if let Some(bytes) = shown.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
        looks.push(bytes);
    }
    looks
}

/// The byte that a letter of byte-level BPE stands for (GPT-2's `bytes_to_unicode`): printable Latin-1 is itself, the rest is
/// moved up, in order, from U+0100.
fn byte_of(letter: char) -> Option<u8> {
    let is_itself = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let code = u32::from(letter);
    match u8::try_from(code) {
        Ok(byte) => is_itself(byte).then_some(byte),
        Err(_) => {
            let moved = (0..=255_u8).filter(|byte| !is_itself(*byte));
            moved.into_iter().nth(code.checked_sub(0x100)? as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str, shown: &[&str]) -> Vec<Option<(u64, u64)>> {
        let tokens = shown.iter().map(|text| Token {
            id: 0,
            text: (*text).to_owned(),
        });
        let placed = placed(text, tokens.collect());
        let range = |token: pb::Token| {
            token
                .source_text_range
                .map(|range| (range.start_byte, range.end_byte))
        };
        placed.into_iter().map(range).collect()
    }

    #[test]
    fn every_look_of_a_token_is_placed() {
        let text = "Hé llo";
        let expected = [None, Some((0, 3)), Some((3, 7)), None];
        assert_eq!(ranges(text, &["<s>", "Hé", " llo", "</s>"]), expected);
        assert_eq!(ranges(text, &["<s>", "▁Hé", "▁llo", "</s>"]), expected);
        assert_eq!(ranges(text, &["<s>", "HÃ©", "Ġllo", "</s>"]), expected);
        assert_eq!(ranges("é", &["<0xC3>", "<0xA9>"]), [Some((0, 1)), Some((1, 2))]);
        assert_eq!(ranges("a", &[""]), [None]);
    }
}
