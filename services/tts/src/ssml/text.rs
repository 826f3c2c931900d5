//! The text of a document with the place of each of its bits: what stands there is not always what is meant.

use std::ops::Range;

use crate::domain::Script;

/// A bit of text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bit {
    /// What is meant.
    pub(super) text: String,
    /// Where it stands, in bytes of the document.
    pub(super) range: Range<usize>,
    /// Whether it stands there letter by letter.
    same: bool,
}

const CDATA: (&str, &str) = ("<![CDATA[", "]]>");

// === impl Bit ===

impl Bit {
    pub(super) fn push(&self, script: &mut Script, source: u64) {
        let (start, end) = (source + self.range.start as u64, source + self.range.end as u64);
        if self.same {
            script.push_same(&self.text, start);
        } else {
            script.push_instead(&self.text, start..end);
        }
    }
}

/// The bits of the text in `range`, which the parser has found well-formed: letters, entities, CDATA sections. Lines
/// mean nothing in SSML, so their ends are spaces.
pub(super) fn bits(document: &str, range: Range<usize>) -> Vec<Bit> {
    let mut bits = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let rest = &document[at..range.end];
        let (taken, bit) = if let Some(data) = rest.strip_prefix(CDATA.0) {
            let length = data.find(CDATA.1).unwrap_or(data.len());
            let begin = at + CDATA.0.len();
            (
                CDATA.0.len() + length + CDATA.1.len(),
                plain(&data[..length], begin),
            )
        } else if rest.starts_with('&') {
            let length = rest.find(';').map_or(rest.len(), |end| end + 1);
            let bit = Bit {
                text: entity(&rest[..length]).unwrap_or(' ').to_string(),
                range: at..at + length,
                same: false,
            };
            (length, bit)
        } else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            let length = rest[first..]
                .find(['&', '<'])
                .map_or(rest.len(), |end| first + end);
            (length, plain(&rest[..length], at))
        };
        bits.push(bit);
        at += taken;
    }
    bits
}

fn plain(text: &str, begin: usize) -> Bit {
    Bit {
        text: text.replace(['\n', '\r', '\t'], " "),
        range: begin..begin + text.len(),
        same: true,
    }
}

/// XML's own five, and characters by their number.
fn entity(reference: &str) -> Option<char> {
    let name = reference.strip_prefix('&')?.strip_suffix(';')?;
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}
