//! What of the sources a model is given: a few passages, and of these the sentences that matter where all would be too
//! much.
//!
//! Nothing is rewritten: what is kept are ranges of the sources, so a citation of a compressed passage is still one of the
//! document. A passage is given whole as long as the budget has room.

use std::collections::HashSet;
use std::ops::Range;

use super::Source;
use super::sentences::sentences;
use super::words::{Folder, Weights};

/// How much a model is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The most passages.
    pub passages: usize,
    /// The most tokens of all of them, as [`tokens`] counts.
    pub tokens: usize,
}

/// What is kept of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Which of the sources, counted from 0.
    pub source: usize,
    /// The pieces of its text, in order; at least one.
    pub pieces: Vec<Range<usize>>,
}

/// Passages are given at least so many, where there are so many...
const LEAST_PASSAGES: usize = 3;
/// ...and beyond that only if they fit at least so well as this share of the best.
const WORSE: f32 = 0.2;
/// What the frame of a passage in the prompt takes, in tokens.
const FRAME: usize = 24;
/// A passage keeps its best sentence unless less than this is left, in tokens.
const LEAST_TOKENS: usize = 24;

/// About how many tokens a language model makes of a text. Its own tokenizer knows better and is elsewhere; this one errs
/// upwards for English (four letters a token) and takes a token for each character that is no letter of an alphabet.
pub fn tokens(text: &str) -> usize {
    let (mut letters, mut others) = (0_usize, 0_usize);
    for c in text.chars() {
        if c.is_ascii() {
            letters += 1;
        } else if c < '\u{2e80}' {
            // Accented, Greek, Cyrillic, Arabic: about two letters a token.
            letters += 2;
        } else {
            others += 1;
        }
    }
    letters.div_ceil(4) + others
}

/// Chooses what a model is given, in the order of the sources.
pub fn select(query: &str, sources: &[Source], budget: Budget) -> Vec<Kept> {
    let chosen = passages(sources, budget.passages);
    let all: usize = chosen.iter().map(|at| FRAME + tokens(&sources[*at].text)).sum();
    if all <= budget.tokens {
        let whole = |source: usize| Kept {
            source,
            pieces: std::iter::once(0..sources[source].text.len()).collect(),
        };
        return chosen.into_iter().map(whole).collect();
    }
    compress(query, sources, &chosen, budget.tokens)
}

/// The text of what is kept, its gaps marked.
pub fn text(source: &str, pieces: &[Range<usize>]) -> String {
    let mut text = String::new();
    let mut at = 0;
    for piece in pieces {
        if piece.start > at && !source[at..piece.start].trim().is_empty() {
            text.push_str(if text.is_empty() { "[…] " } else { " […] " });
        } else {
            text.push_str(&source[at.min(piece.start)..piece.start]);
        }
        text.push_str(&source[piece.clone()]);
        at = piece.end;
    }
    if !source[at..].trim().is_empty() {
        text.push_str(" […]");
    }
    text
}

/// The passages that are good enough.
fn passages(sources: &[Source], most: usize) -> Vec<usize> {
    let best = sources.first().map_or(0.0, |source| source.score);
    let mut chosen: Vec<usize> = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let text = source.text.trim();
        if chosen.len() == most {
            break;
        }
        let is_poor = chosen.len() >= LEAST_PASSAGES && best > 0.0 && source.score < WORSE * best;
        let is_known = chosen.iter().any(|other| sources[*other].text.contains(text));
        if !text.is_empty() && !is_poor && !is_known {
            chosen.push(at);
        }
    }
    chosen
}

/// A sentence of a passage, and how much of the question is in it.
struct Sentence {
    source: usize,
    range: Range<usize>,
    tokens: usize,
    worth: f32,
}

/// Keeps the best sentences of each passage, and then the best of all as long as there is room.
fn compress(query: &str, sources: &[Source], chosen: &[usize], budget: usize) -> Vec<Kept> {
    let mut folder = Folder::of(chosen.iter().map(|at| sources[*at].text.as_str()));
    let asked = folder.words(query);
    let mut sentences_of = Vec::new();
    for at in chosen {
        let text = &sources[*at].text;
        for range in sentences(text) {
            sentences_of.push((*at, range.clone(), folder.words(&text[range])));
        }
    }
    let weights = Weights::of(sentences_of.iter().map(|(_, _, words)| words.as_slice()));
    let mut ranked: Vec<Sentence> = sentences_of
        .iter()
        .map(|(source, range, words)| {
            let by: HashSet<&str> = words.iter().map(String::as_str).collect();
            Sentence {
                source: *source,
                range: range.clone(),
                tokens: tokens(&sources[*source].text[range.clone()]) + 1,
                worth: weights.covered(&asked, &by),
            }
        })
        .collect();
    // Stable: of equals the one of the better passage, and the earlier one.
    ranked.sort_by(|a, b| b.worth.total_cmp(&a.worth));
    let mut left = budget;
    let mut kept: Vec<(usize, Range<usize>)> = Vec::new();
    for at in chosen {
        let Some(best) = ranked.iter().find(|sentence| sentence.source == *at) else {
            continue;
        };
        if left < FRAME + LEAST_TOKENS {
            break;
        }
        let range = fit(&sources[*at].text, &best.range, left - FRAME);
        left -= FRAME + tokens(&sources[*at].text[range.clone()]).min(left - FRAME);
        kept.push((*at, range));
    }
    for sentence in &ranked {
        let is_open = kept.iter().any(|(source, _)| *source == sentence.source);
        let is_kept = kept
            .iter()
            .any(|(source, range)| *source == sentence.source && range.start == sentence.range.start);
        if is_open && !is_kept && sentence.tokens <= left {
            left -= sentence.tokens;
            kept.push((sentence.source, sentence.range.clone()));
        }
    }
    let mut result = Vec::new();
    for source in chosen {
        let mut pieces: Vec<Range<usize>> = kept
            .iter()
            .filter(|(of, _)| of == source)
            .map(|(_, range)| range.clone())
            .collect();
        pieces.sort_by_key(|range| range.start);
        if !pieces.is_empty() {
            result.push(Kept {
                source: *source,
                pieces: joined(&sources[*source].text, pieces),
            });
        }
    }
    result
}

/// The beginning of a sentence that fits.
fn fit(text: &str, range: &Range<usize>, budget: usize) -> Range<usize> {
    let mut end = range.end;
    while tokens(&text[range.start..end]) > budget {
        let Some((last, _)) = text[range.start..end].char_indices().next_back() else {
            break;
        };
        end = range.start + last;
    }
    range.start..end
}

/// Neighbours with nothing but blanks between them are one piece.
fn joined(text: &str, pieces: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if text[last.end..piece.start].trim().is_empty() => last.end = piece.end,
            _ => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str, score: f32) -> Source {
        Source {
            text: text.to_owned(),
            score,
            ..Source::default()
        }
    }

    const ROOMY: Budget = Budget {
        passages: 6,
        tokens: 2_000,
    };

    #[test]
    fn passages_are_given_whole_while_there_is_room() {
        let sources = [source("One. Two.", 1.0), source("Three.", 0.5)];
        let kept = select("two", &sources, ROOMY);
        assert_eq!(kept.len(), 2);
        assert_eq!(text(&sources[0].text, &kept[0].pieces), "One. Two.");
    }

    #[test]
    fn three_to_six_passages_are_given_by_how_well_they_fit() {
        let sources: Vec<Source> = (0..10)
            .map(|at| source(&format!("Passage {at}."), 1.0 - at as f32 * 0.21))
            .collect();
        let given = |sources: &[Source]| select("passage", sources, ROOMY).len();
        assert_eq!(given(&sources), 4);
        assert_eq!(given(&sources[..2]), 2);
        let even: Vec<Source> = (0..10).map(|at| source(&format!("Passage {at}."), 1.0)).collect();
        assert_eq!(given(&even), 6);
        let poor: Vec<Source> = (0..10)
            .map(|at| source(&format!("Passage {at}."), if at == 0 { 1.0 } else { 0.0 }))
            .collect();
        assert_eq!(given(&poor), 3);
        assert_eq!(
            given(&[source("Same.", 1.0), source("Same.", 0.9), source(" ", 0.9)]),
            1
        );
        assert_eq!(given(&[]), 0);
    }

    #[test]
    fn what_is_too_much_is_cut_to_the_sentences_that_matter() {
        let filler = "Nothing of interest is said in this rather long sentence about the weather. ".repeat(8);
        let sources = [
            source(&format!("{filler}The wing stalls at 14 degrees. {filler}"), 1.0),
            source(&format!("{filler}A stall of the wing is loud."), 0.9),
        ];
        let budget = Budget {
            passages: 6,
            tokens: 120,
        };
        let kept = select("when does the wing stall", &sources, budget);
        let texts: Vec<String> = kept
            .iter()
            .map(|kept| text(&sources[kept.source].text, &kept.pieces))
            .collect();
        assert!(
            texts[0].contains("[…] The wing stalls at 14 degrees."),
            "{texts:?}"
        );
        assert!(texts[1].contains("A stall of the wing is loud."), "{texts:?}");
        let used: usize = texts.iter().map(|text| tokens(text)).sum();
        assert!(used <= budget.tokens, "{used}");
        for kept in &kept {
            for piece in &kept.pieces {
                assert!(sources[kept.source].text.is_char_boundary(piece.start));
            }
        }
    }

    #[test]
    fn a_sentence_that_is_too_long_is_cut_and_never_the_budget() {
        let sources = [source(&"机翼失速".repeat(100), 1.0)];
        let budget = Budget {
            passages: 6,
            tokens: 100,
        };
        let kept = select("机翼", &sources, budget);
        assert!(tokens(&sources[0].text[kept[0].pieces[0].clone()]) <= 76);
    }
}
