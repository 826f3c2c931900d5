//! Whether sources bear out what is said of them: a measure by words, numbers and negation, not a proof.
//!
//! What is said (a claim) is borne out as far as its words, weighed by rarity, are in the sources it cites. Three things
//! halve that, because they turn right words into a wrong claim: a number that no cited source has, a negation that
//! the best sentence does not have or the other way around, and words in quotation marks that stand nowhere so. A
//! paraphrase without a common word scores low; a model of entailment would know better.

use std::collections::HashSet;
use std::ops::Range;

use super::Quote;
use super::sentences::sentences;
use super::words::{Folder, Weights, has_digit, plain};

/// The sources of an answer, ready to be compared with what it says.
#[derive(Debug)]
pub struct Grounds<'a> {
    sources: Vec<Ground<'a>>,
    weights: Weights,
    folder: Folder,
}

/// How well a claim is borne out, and by what.
#[derive(Debug, Clone, PartialEq)]
pub struct Support {
    /// 0 to 1.
    pub score: f32,
    /// The sentences that bear it out best, of each source that is cited.
    pub quotes: Vec<Quote>,
    /// Its words, numbers and quotes were found.
    pub verified: bool,
}

#[derive(Debug)]
struct Ground<'a> {
    text: &'a str,
    sentences: Vec<(Range<usize>, Vec<String>)>,
}

/// The best sentences of a source for a claim.
struct Best {
    range: Range<usize>,
    covered: f32,
}

/// A claim borne out by so much holds.
pub const VERIFIED: f32 = 0.5;
/// The most sentences in a row that are quoted.
const MOST_SENTENCES: usize = 3;
/// What a further sentence of a quote has to add, so that quotes stay short.
const WORTH: f32 = 0.25;
/// What a contradiction leaves of a score.
const CONTRADICTED: f32 = 0.5;
/// Quoted words from so many on are compared letter by letter; fewer are a name or an irony.
const QUOTED_WORDS: usize = 3;
/// Words that turn a sentence around, in the languages whose stems are known best.
const NEGATIONS: [&str; 30] = [
    "not", "no", "never", "none", "neither", "nor", "cannot", "without", "nicht", "kein", "keine", "keinen",
    "keiner", "nie", "niemals", "ohne", "pas", "jamais", "aucun", "aucune", "sans", "nunca", "jamás",
    "ningún", "sin", "non", "mai", "não", "niet", "geen",
];

// === impl Grounds ===

impl<'a> Grounds<'a> {
    /// Prepares the texts of sources.
    pub fn new(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<&str> = texts.into_iter().collect();
        let mut folder = Folder::of(texts.iter().copied());
        let mut ground = |text: &'a str| Ground {
            text,
            sentences: sentences(text)
                .into_iter()
                .map(|range| (range.clone(), folder.words(&text[range])))
                .collect(),
        };
        let sources: Vec<Ground<'a>> = texts.into_iter().map(&mut ground).collect();
        let every = sources.iter().flat_map(|source| &source.sentences);
        let weights = Weights::of(every.map(|(_, words)| words.as_slice()));
        Self {
            sources,
            weights,
            folder,
        }
    }

    /// How many sources there are.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How well the sources `cited` bear out a claim. Those that do not exist bear out nothing.
    pub fn support(&mut self, claim: &str, cited: &[usize]) -> Support {
        let words = self.folder.words(claim);
        let cited: Vec<(usize, &Ground<'a>)> = cited
            .iter()
            .filter_map(|at| Some((*at, self.sources.get(*at)?)))
            .collect();
        let all: HashSet<&str> = cited.iter().flat_map(|(_, source)| source.words()).collect();
        let mut score = self.weights.covered(&words, &all);
        let mut quotes = Vec::with_capacity(cited.len());
        let mut foremost: Option<(f32, &str)> = None;
        for (at, source) in &cited {
            let Some(best) = self.best(source, &words) else {
                continue;
            };
            if foremost.is_none_or(|(covered, _)| best.covered > covered) {
                foremost = Some((best.covered, &source.text[best.range.clone()]));
            }
            quotes.push(Quote {
                source: *at,
                range: best.range,
            });
        }
        let has_all_numbers = words
            .iter()
            .filter(|word| has_digit(word))
            .all(|number| all.contains(number.as_str()));
        let is_turned = foremost.is_some_and(|(_, quote)| negations(claim) % 2 != negations(quote) % 2);
        let is_quoted =
            quoted(claim).all(|quote| cited.iter().any(|(_, source)| contains(source.text, quote)));
        for holds in [has_all_numbers, !is_turned, is_quoted] {
            if !holds {
                score *= CONTRADICTED;
            }
        }
        Support {
            score,
            verified: score >= VERIFIED && has_all_numbers && is_quoted && !quotes.is_empty(),
            quotes,
        }
    }

    /// The fewest sentences in a row that cover most of these words.
    fn best(&self, source: &Ground<'_>, words: &[String]) -> Option<Best> {
        let mut best: Option<(f32, Best)> = None;
        for first in 0..source.sentences.len() {
            let mut seen: HashSet<&str> = HashSet::new();
            for (more, (range, sentence)) in source.sentences[first..].iter().take(MOST_SENTENCES).enumerate()
            {
                seen.extend(sentence.iter().map(String::as_str));
                let covered = self.weights.covered(words, &seen);
                let worth = covered - WORTH * more as f32;
                if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                    let range = source.sentences[first].0.start..range.end;
                    best = Some((worth, Best { range, covered }));
                }
            }
        }
        best.map(|(_, best)| best)
    }
}

// === impl Ground ===

impl Ground<'_> {
    fn words(&self) -> impl Iterator<Item = &str> {
        let words = self.sentences.iter().flat_map(|(_, words)| words);
        words.map(String::as_str)
    }
}

fn negations(text: &str) -> usize {
    plain(text)
        .filter(|word| word.ends_with("n't") || NEGATIONS.contains(&word.as_str()))
        .count()
}

/// What stands in quotation marks, where it is more than a few words.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    const MARKS: [(char, char); 4] = [
        ('"', '"'),
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('«', '»'),
    ];
    MARKS.into_iter().flat_map(move |(opens, closes)| {
        let mut rest = text;
        std::iter::from_fn(move || {
            let (_, after) = rest.split_once(opens)?;
            let (quote, after) = after.split_once(closes)?;
            rest = after;
            Some(quote)
        })
        .filter(|quote| plain(quote).nth(QUOTED_WORDS - 1).is_some())
    })
}

/// Whether the words of `quote` stand in `text` one after another.
fn contains(text: &str, quote: &str) -> bool {
    let joined = |text: &str| plain(text).fold(String::from(" "), |all, word| all + &word + " ");
    joined(text).contains(&joined(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WING: &str =
        "The wing was tested in 1957. It stalls at an angle of 14 degrees. The tail does not stall.";
    const ENGINE: &str = "The engine weighs 900 kg. Its fuel is kerosene.";

    #[test]
    fn a_claim_is_borne_out_by_the_sentence_that_says_it() {
        let mut grounds = Grounds::new([WING, ENGINE]);
        let support = grounds.support("The wing stalls at an angle of 14 degrees.", &[0]);
        assert!(support.score > 0.9 && support.verified, "{support:?}");
        assert_eq!(
            &WING[support.quotes[0].range.clone()],
            "It stalls at an angle of 14 degrees."
        );
    }

    #[test]
    fn the_wrong_source_bears_nothing_out() {
        let mut grounds = Grounds::new([WING, ENGINE]);
        let support = grounds.support("At 14 degrees the wing stalls.", &[1]);
        assert!(support.score < 0.2 && !support.verified, "{support:?}");
        let none = grounds.support("At 14 degrees the wing stalls.", &[7]);
        assert_eq!((none.score, none.verified, none.quotes.len()), (0.0, false, 0));
    }

    #[test]
    fn another_number_a_negation_and_a_made_up_quote_are_held_against_it() {
        let mut grounds = Grounds::new([WING, ENGINE]);
        let right = grounds
            .support("The wing stalls at an angle of 14 degrees.", &[0])
            .score;
        for wrong in [
            "The wing stalls at an angle of 15 degrees.",
            "The wing never stalls at an angle of 14 degrees.",
            "The wing \"always stalls at\" an angle of 14 degrees.",
        ] {
            let support = grounds.support(wrong, &[0]);
            assert!(support.score < 0.6 * right, "{wrong}: {support:?}");
        }
        assert!(
            !grounds
                .support("The wing stalls at an angle of 15 degrees.", &[0])
                .verified
        );
        let quoted = grounds.support("It \"stalls at an angle of 14 degrees\".", &[0]);
        assert!(quoted.verified, "{quoted:?}");
    }

    #[test]
    fn two_sentences_are_quoted_where_one_is_not_enough() {
        let mut grounds = Grounds::new([ENGINE]);
        let support = grounds.support("It weighs 900 kg and burns kerosene fuel.", &[0]);
        assert_eq!(&ENGINE[support.quotes[0].range.clone()], ENGINE);
    }
}
