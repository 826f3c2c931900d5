//! Where a text may be cut: the end of its first clause.

use super::Cutting;
use super::abbreviations;

/// A clause is not longer, whatever its words are.
pub(super) const MOST_CHARACTERS: usize = 600;

/// What a character does to the clause before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// A sentence, if a space follows.
    Sentence,
    /// A clause, if a space follows.
    Clause,
    /// A sentence: its script puts no space behind it.
    UnspacedSentence,
    /// A clause, likewise.
    UnspacedClause,
}

/// Where the first clause of a text ends, in bytes; none if it is not over, or empty. `ended`: no more text comes.
pub(super) fn clause(text: &str, cutting: Cutting, first: bool, ended: bool) -> Option<usize> {
    // A word counts two, a sign that is a syllable or more one.
    let fewest = cutting.fewest(first).saturating_mul(2);
    let most = cutting.most_words.saturating_mul(2);
    let (mut count, mut in_word) = (0_usize, false);
    let mut last_gap = None;
    for (characters, (at, character)) in text.char_indices().enumerate() {
        if characters >= MOST_CHARACTERS {
            return last_gap.or(Some(at));
        }
        if character.is_whitespace() {
            in_word = false;
            if count == 0 {
                continue;
            }
            if count >= most || is_paragraph(&text[at..]) {
                return Some(at);
            }
            last_gap = Some(at);
            continue;
        }
        if is_unspaced(character) {
            if count >= most {
                return Some(at);
            }
            count += 1;
            in_word = false;
            last_gap = Some(at);
        } else if character.is_alphanumeric() {
            count += if in_word { 0 } else { 2 };
            in_word = true;
        }
        let Some(ends) = ends(character).filter(|_| count > 0) else {
            continue;
        };
        let unspaced = matches!(ends, Ends::UnspacedSentence | Ends::UnspacedClause);
        // What closes behind it belongs to it; that cannot be waited for where no space would come.
        let length = if unspaced {
            character.len_utf8()
        } else {
            closing(&text[at..])
        };
        let end = at + length;
        let next = text[end..].chars().next();
        if next.is_none() && !ended && !unspaced {
            return None;
        }
        let spaced = next.is_none_or(char::is_whitespace);
        let over = match ends {
            Ends::Sentence => spaced && !(character == '.' && abbreviations::is_before_dot(&text[..at])),
            Ends::UnspacedSentence => true,
            Ends::Clause => spaced && count >= fewest,
            Ends::UnspacedClause => count >= fewest,
        };
        if over {
            return Some(end);
        }
    }
    None
}

/// Where the words end that have come whole: the last space behind something that can be said. In scripts without
/// spaces every sign is whole.
pub(super) fn last_whole_word(text: &str) -> Option<usize> {
    let spaced = text.trim_end().len() < text.len();
    let whole = text.trim_end();
    let end = if spaced || whole.chars().next_back().is_some_and(is_unspaced) {
        whole.len()
    } else {
        whole
            .rfind(|character: char| character.is_whitespace() || is_unspaced(character))
            .map(|at| at + whole[at..].chars().next().map_or(0, char::len_utf8))?
    };
    text[..end].chars().any(char::is_alphanumeric).then_some(end)
}

/// How long the punctuation at the beginning of a text is, with the quotes and brackets that close behind it.
fn closing(text: &str) -> usize {
    let other = |character: char| ends(character).is_none() && !is_closing(character);
    text.find(other).unwrap_or(text.len())
}

fn is_closing(character: char) -> bool {
    matches!(
        character,
        '"' | '\'' | ')' | ']' | '}' | '”' | '’' | '»' | '›' | '」' | '』' | '）' | '】' | '》' | '〉'
    )
}

fn ends(character: char) -> Option<Ends> {
    match character {
        '.' | '!' | '?' | '…' | '؟' | '۔' | '።' => Some(Ends::Sentence),
        ',' | ';' | ':' | '،' | '؛' | '—' | '–' => Some(Ends::Clause),
        '。' | '！' | '？' | '．' | '।' | '॥' | '｡' => Some(Ends::UnspacedSentence),
        '，' | '、' | '；' | '：' | '､' => Some(Ends::UnspacedClause),
        _ => None,
    }
}

/// An empty line begins here.
fn is_paragraph(text: &str) -> bool {
    let space = &text[..text.len() - text.trim_start().len()];
    space.matches('\n').count() > 1
}

/// Signs of scripts that put no spaces between words.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x31F0..=0x31FF
        | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x2_0000..=0x3_FFFF)
}
