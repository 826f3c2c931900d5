//! The characters that HTML spells out, as Python's `html.unescape` reads them: with or without their semicolon, and the
//! longest name that is one when more follows.

use markup5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};

/// The longest name that is looked for.
const MAX_NAME: usize = 32;

/// Spells out all references of a text.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match reference(rest) {
            Some((spelt, length)) => {
                plain.push_str(&spelt);
                rest = &rest[length..];
            }
            None => plain.push('&'),
        }
    }
    plain.push_str(rest);
    plain
}

/// What a reference stands for, and how many bytes of the text behind its `&` it is.
fn reference(text: &str) -> Option<(String, usize)> {
    if let Some(number) = text.strip_prefix('#') {
        return numeric(number).map(|(spelt, length)| (spelt, length + 1));
    }
    let name: usize = text
        .chars()
        .take_while(|c| !matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';'))
        .take(MAX_NAME)
        .map(char::len_utf8)
        .sum();
    let whole = if text[name..].starts_with(';') {
        name + 1
    } else {
        name
    };
    let lengths = text[..whole]
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .rev();
    lengths.filter(|length| *length > 1).find_map(|length| {
        let (first, second) = *NAMED_ENTITIES.get(&text[..length])?;
        // Beginnings of names are in the table too, and stand for nothing.
        let spelt: String = [first, second]
            .into_iter()
            .filter(|code| *code != 0)
            .filter_map(char::from_u32)
            .collect();
        (!spelt.is_empty()).then_some((spelt, length))
    })
}

fn numeric(text: &str) -> Option<(String, usize)> {
    let (digits, radix, before) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 1),
        None => (text, 10, 0),
    };
    let count = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    if count == 0 {
        return None;
    }
    let code = digits[..count]
        .chars()
        .filter_map(|c| c.to_digit(radix))
        .fold(0u32, |code, digit| {
            code.saturating_mul(radix).saturating_add(digit)
        });
    let end = usize::from(digits[count..].starts_with(';'));
    Some((character(code), before + count + end))
}

/// The character of a number; what HTML forbids is nothing, what Unicode forbids a replacement.
fn character(code: u32) -> String {
    if let Some(index) = code
        .checked_sub(0x80)
        .and_then(|index| usize::try_from(index).ok())
        && let Some(replaced) = C1_REPLACEMENTS.get(index)
    {
        return replaced
            .unwrap_or_else(|| char::from_u32(code).unwrap_or_default())
            .to_string();
    }
    match code {
        0 | 0xD800..=0xDFFF | 0x11_0000.. => "\u{fffd}".into(),
        0x1..=0x8 | 0xB | 0xE..=0x1F | 0x7F | 0xFDD0..=0xFDEF => String::new(),
        _ if code & 0xFFFE == 0xFFFE => String::new(),
        _ => char::from_u32(code).map(String::from).unwrap_or_default(),
    }
}
