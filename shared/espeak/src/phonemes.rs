//! Text as phones: the clauses that the library reads a text as, each in IPA, with the punctuation that ended it.
//!
//! The library says how much it read for a clause, not why it stopped. Why is told by the end of what it read, by its own
//! rules (`ReadClause`), since models that speak phones were trained with the punctuation among them.

use std::ops::Range;

/// A clause in phones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneClause {
    /// In IPA: words parted by spaces, marks of stress before vowels. Words of another language stand between its marks,
    /// as "(en)" and "(de)".
    pub ipa: String,
    /// Where it stands, in bytes of the text, with its punctuation and the space behind it.
    pub range: Range<usize>,
    /// The punctuation that ended it, as one of `.,:;?!`. None for what has no such mark of its own: the end of the
    /// text, of a paragraph, an ellipsis, and the punctuation of scripts that put no space behind it.
    pub terminator: Option<char>,
    /// Whether a sentence ends with it.
    pub ends_sentence: bool,
}

/// What ended a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) terminator: Option<char>,
    pub(crate) ends_sentence: bool,
    /// The end of the clause, in bytes of what was read.
    pub(crate) end: usize,
}

/// Why the library stopped after it had read `read`, the first bytes of `text`; `at_end` if it found the end.
pub(crate) fn ending(text: &str, read: usize, at_end: bool) -> Ending {
    // It has read the character behind the clause, too, unless there was none.
    let ahead = text[..read].char_indices().next_back().filter(|_| !at_end);
    let end = ahead.map_or(read, |(at, _)| at);
    let body = text[..end].trim_end();
    let newlines = text[body.len()..end].matches('\n').count();
    let run = body.len() - body.trim_end_matches(|c| kind(c).is_some()).len();
    let first = body[body.len() - run..].chars().next();
    // Of "?!" the first counts; two dots or more are an ellipsis.
    let ellipsis = first == Some('.') && body[body.len() - run..].starts_with("...");
    let found = first.filter(|_| !ellipsis).and_then(kind);
    let (terminator, ends_sentence) = match found {
        None if ellipsis => (None, false),
        None => (None, at_end || newlines > 1),
        Some(_) if newlines > 1 => (None, true),
        Some((mark, sentence, own)) => (Some(mark).filter(|_| own), sentence),
    };
    Ending {
        terminator,
        ends_sentence,
        end,
    }
}

/// The punctuation that ends clauses: which it is, whether it ends sentences, and whether it is told from the end of the
/// text (the library marks what needs no space behind it by another bit, which its users do not know).
fn kind(character: char) -> Option<(char, bool, bool)> {
    let own = |mark: char| Some((mark, matches!(mark, '.' | '?' | '!'), true));
    let unspaced = |mark: char| Some((mark, matches!(mark, '.' | '?' | '!'), false));
    match character {
        '.' | '۔' | '።' | '᙮' | '\u{FE52}' | '｡' => own('.'),
        ',' | '،' | '՝' | '፣' | '､' | '\u{FE50}' => own(','),
        ':' | '፥' | '፦' | '\u{FE55}' => own(':'),
        ';' | '·' | '؛' | '፤' | '–' | '—' => own(';'),
        '?' | '\u{37E}' | '؟' | '፧' => own('?'),
        '!' | '‼' | '❗' | '❕' => own('!'),
        '։' | '।' | '。' | '．' => unspaced('.'),
        '、' | '，' => unspaced(','),
        '：' => unspaced(':'),
        '；' | '¡' | '¿' | '…' => unspaced(';'),
        '？' => unspaced('?'),
        '！' => unspaced('!'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ending of the clause that was read up to the `|`, and found the end of the text if there is a `$`.
    fn told(marked: &str) -> (Option<char>, bool) {
        let read = marked.find('|').expect("a mark");
        let at_end = marked.ends_with("$");
        let ending = ending(&marked.replace(['|', '$'], ""), read, at_end);
        (ending.terminator, ending.ends_sentence)
    }

    #[test]
    fn a_clause_is_told_by_its_punctuation() {
        for (marked, terminator, sentence) in [
            ("Hello, w|orld", Some(','), false),
            ("It is. A|", Some('.'), true),
            ("A|$", None, true),
            ("yes?! e|nd", Some('?'), true),
            ("really; w|ell", Some(';'), false),
            ("said: \"|no", Some(':'), false),
            ("known... I|s", None, false),
            ("no.\"| he", Some('.'), true),
            ("你好，世|界", None, false),
            ("很好！2|0", None, true),
            ("the end|$", None, true),
            ("the end.|$", Some('.'), true),
            ("one.\n\nT|wo", None, true),
            ("one\n\nT|wo", None, true),
            ("word – n|ext", Some(';'), false),
        ] {
            assert_eq!(told(marked), (terminator, sentence), "{marked}");
        }
    }
}
