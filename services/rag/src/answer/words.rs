//! The words of a text, folded so that forms of one word are one, and how much each weighs: what relevance and grounding
//! compare.
//!
//! There is no list of words to leave out: a word that is in every sentence says little, and that shows by itself.

use std::collections::{HashMap, HashSet};
use std::fmt;

use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer, TokenStream, WhitespaceTokenizer};
use unicode_segmentation::UnicodeSegmentation;
use whatlang::Lang;

/// Folds words of one language: lower case, then the stem. Texts that are compared are folded by the same.
pub struct Folder {
    stems: TextAnalyzer,
}

/// How much words weigh among some texts: the rarer a word, the more.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    texts: u32,
    frequency: HashMap<String, u32>,
}

/// Words up to this long, in characters, join others rather than say anything.
const SHORT: usize = 3;
/// What those weigh, besides their rarity.
const SHORT_WEIGHT: f32 = 0.3;

/// The words of a text as they stand, in lower case. Apostrophes are straight.
pub fn plain(text: &str) -> impl Iterator<Item = String> + '_ {
    text.unicode_words()
        .map(|word| word.to_lowercase().replace('\u{2019}', "'"))
}

fn language_of(text: &str) -> Language {
    // Which stemmer is used matters little, as long as it is the same for all that is compared.
    match whatlang::detect_lang(text) {
        Some(Lang::Ara) => Language::Arabic,
        Some(Lang::Dan) => Language::Danish,
        Some(Lang::Nld) => Language::Dutch,
        Some(Lang::Fin) => Language::Finnish,
        Some(Lang::Fra) => Language::French,
        Some(Lang::Deu) => Language::German,
        Some(Lang::Ell) => Language::Greek,
        Some(Lang::Hun) => Language::Hungarian,
        Some(Lang::Ita) => Language::Italian,
        Some(Lang::Nob) => Language::Norwegian,
        Some(Lang::Por) => Language::Portuguese,
        Some(Lang::Ron) => Language::Romanian,
        Some(Lang::Rus) => Language::Russian,
        Some(Lang::Spa) => Language::Spanish,
        Some(Lang::Swe) => Language::Swedish,
        Some(Lang::Tam) => Language::Tamil,
        Some(Lang::Tur) => Language::Turkish,
        _ => Language::English,
    }
}

// === impl Folder ===

impl Folder {
    /// A folder for the language that most of these texts are in.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        /// So much of a text says what language it is in, in characters.
        const ENOUGH: usize = 2_000;
        let mut sample = String::new();
        for text in texts {
            sample.extend(text.chars().take(ENOUGH));
            sample.push('\n');
            if sample.len() > 2 * ENOUGH {
                break;
            }
        }
        let stems = TextAnalyzer::builder(WhitespaceTokenizer::default())
            .filter(Stemmer::new(language_of(&sample)))
            .build();
        Self { stems }
    }

    /// The words of a text, folded, in order.
    pub fn words(&mut self, text: &str) -> Vec<String> {
        let mut plain = plain(text).fold(String::with_capacity(text.len()), |mut all, word| {
            // As "1,000" and "1000" are one number.
            all.extend(word.chars().filter(|c| *c != ','));
            all.push(' ');
            all
        });
        plain.truncate(plain.trim_end().len());
        let mut words = Vec::new();
        let mut stream = self.stems.token_stream(&plain);
        while stream.advance() {
            words.push(stream.token().text.clone());
        }
        words
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").finish_non_exhaustive()
    }
}

// === impl Weights ===

impl Weights {
    /// Weighs the words of these texts, folded.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut weights = Self::default();
        for text in texts {
            weights.texts += 1;
            for word in text.iter().collect::<HashSet<_>>() {
                *weights.frequency.entry(word.clone()).or_default() += 1;
            }
        }
        weights
    }

    /// What one word weighs, above 0: its inverse document frequency as BM25 has it, less for short words without a
    /// digit.
    pub fn weight(&self, word: &str) -> f32 {
        let frequency = self.frequency.get(word).copied().unwrap_or_default() as f32;
        let rarity = ((self.texts as f32 - frequency + 0.5) / (frequency + 0.5)).ln_1p();
        let is_short = word.chars().nth(SHORT).is_none();
        if is_short && !has_digit(word) && word.is_ascii() {
            rarity * SHORT_WEIGHT
        } else {
            rarity
        }
    }

    /// How much of `words` is among `by`, by weight, 0 to 1; each word counts once. Nothing is covered of no words.
    pub fn covered(&self, words: &[String], by: &HashSet<&str>) -> f32 {
        let (mut all, mut covered) = (0.0, 0.0);
        for word in words.iter().collect::<HashSet<_>>() {
            let weight = self.weight(word);
            all += weight;
            if by.contains(word.as_str()) {
                covered += weight;
            }
        }
        if all > 0.0 { covered / all } else { 0.0 }
    }
}

/// Whether a digit is in a word: such words are numbers, years, parts and names, which are never said by chance.
pub fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        let mut folder = Folder::of(["The turbines were running at high speeds all through the night."]);
        assert_eq!(
            folder.words("Turbines running, 1,000 runs"),
            folder.words("turbine RUNS 1000 run")
        );
    }

    #[test]
    fn a_word_of_every_text_weighs_less_than_one_of_few() {
        let mut folder = Folder::of(["the wing"]);
        let texts: Vec<Vec<String>> = ["the wing stalls", "the flow stalls", "the flow turns"]
            .iter()
            .map(|text| folder.words(text))
            .collect();
        let weights = Weights::of(texts.iter().map(Vec::as_slice));
        assert!(weights.weight("wing") > weights.weight("flow"));
        assert!(weights.weight("flow") > weights.weight("the"));
        let by = HashSet::from(["wing"]);
        let covered = weights.covered(&folder.words("the wing"), &by);
        assert!(covered > 0.8 && covered < 1.0, "{covered}");
        assert_eq!(weights.covered(&[], &by), 0.0);
    }

    #[test]
    fn chinese_is_compared_by_character() {
        let mut folder = Folder::of(["机翼在低速时失速"]);
        assert_eq!(folder.words("机翼"), ["机", "翼"]);
    }
}
