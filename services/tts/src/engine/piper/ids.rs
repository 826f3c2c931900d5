//! From symbols to ids, as the voices were trained: a pad behind each symbol, a beginning and an end.

use std::ops::Range;

use icu_normalizer::DecomposingNormalizer;

use super::super::delivery::Timeline;
use super::super::phonemes::{Spoken, Symbol};
use super::super::timeline;
use super::settings::{BEGIN, END, PAD, Settings};

/// The ids of a sentence, and which of them are of which symbol.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) ids: Vec<i64>,
    /// The symbols that have ids, with the places of their ids: their own and the pad behind.
    pub(super) symbols: Vec<(Symbol, Range<usize>)>,
}

// === impl Ids ===

impl Ids {
    /// Symbols that the voice has not are left out: it was trained without them.
    pub(super) fn of(sentence: &[Symbol], settings: &Settings) -> Self {
        let of = |symbol: &str| settings.ids.get(symbol).map(Vec::as_slice).unwrap_or_default();
        let mut ids: Vec<i64> = [of(BEGIN), of(PAD)].concat();
        let mut symbols = Vec::new();
        for (text, symbol) in clustered(decomposed(sentence), &settings.clusters) {
            let own = of(&text);
            if own.is_empty() {
                continue;
            }
            let begin = ids.len();
            ids.extend_from_slice(own);
            ids.extend_from_slice(of(PAD));
            symbols.push((symbol, begin..ids.len()));
        }
        ids.extend_from_slice(of(END));
        Self { ids, symbols }
    }

    /// When words and phones are heard, and where the pauses are, by the samples at which each id ends.
    pub(super) fn timeline(&self, spoken: &Spoken, ends: &[usize], times: bool) -> Timeline {
        timeline::of(&self.symbols, spoken, ends, times)
    }
}

/// Letters with accents as letters and accents.
fn decomposed(sentence: &[Symbol]) -> Vec<(String, Symbol)> {
    let normal = DecomposingNormalizer::new_nfd();
    let mut symbols = Vec::with_capacity(sentence.len());
    for symbol in sentence {
        let parts = normal.normalize_iter(std::iter::once(symbol.character));
        symbols.extend(parts.map(|character| {
            let part = Symbol { character, ..*symbol };
            (character.to_string(), part)
        }));
    }
    symbols
}

/// Neighbours that are one symbol for the voice, the most at a time.
fn clustered(symbols: Vec<(String, Symbol)>, clusters: &[Vec<String>]) -> Vec<(String, Symbol)> {
    if clusters.is_empty() {
        return symbols;
    }
    let mut merged = Vec::with_capacity(symbols.len());
    let mut rest = symbols.as_slice();
    while let Some(((text, symbol), after)) = rest.split_first() {
        let fits = |cluster: &&Vec<String>| {
            rest.len() >= cluster.len()
                && rest
                    .iter()
                    .zip(cluster.iter())
                    .all(|((own, _), wanted)| own == wanted)
        };
        if let Some(cluster) = clusters.iter().find(fits) {
            merged.push((cluster.concat(), *symbol));
            rest = &rest[cluster.len()..];
        } else {
            merged.push((text.clone(), *symbol));
            rest = after;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::phonemes::is_letter;
    use super::super::settings::Phones;
    use super::*;

    fn settings(symbols: &[(&str, &[i64])], clusters: &[&[&str]]) -> Settings {
        let ids: BTreeMap<String, Vec<i64>> = symbols
            .iter()
            .map(|(symbol, ids)| ((*symbol).to_owned(), ids.to_vec()))
            .collect();
        Settings {
            sample_rate: 22_050,
            phones: Phones::Letters,
            language: "en".to_owned(),
            ids,
            clusters: clusters
                .iter()
                .map(|cluster| cluster.iter().map(|part| (*part).to_owned()).collect())
                .collect(),
            speakers: Vec::new(),
            noise: 0.0,
            length: 1.0,
            duration_noise: 0.0,
        }
    }

    const SYMBOLS: &[(&str, &[i64])] = &[
        ("_", &[0]),
        ("^", &[1]),
        ("$", &[2]),
        (" ", &[3]),
        ("a", &[4]),
        ("b", &[5, 6]),
        (".", &[7]),
        ("c", &[8]),
        ("̧", &[9]),
        ("ai", &[10]),
        ("i", &[11]),
    ];

    fn symbols(text: &str) -> Vec<Symbol> {
        text.chars()
            .enumerate()
            .map(|(at, character)| Symbol {
                character,
                phone: is_letter(character).then_some(at),
            })
            .collect()
    }

    #[test]
    fn pads_stand_behind_every_symbol() {
        let ids = Ids::of(&symbols("a ☃b."), &settings(SYMBOLS, &[]));
        assert_eq!(ids.ids, [1, 0, 4, 0, 3, 0, 5, 6, 0, 7, 0, 2]);
        let places: Vec<_> = ids.symbols.iter().map(|(_, place)| place.clone()).collect();
        assert_eq!(places, [2..4, 4..6, 6..9, 9..11]);
    }

    #[test]
    fn accents_are_symbols_and_clusters_are_one() {
        assert_eq!(
            Ids::of(&symbols("ç"), &settings(SYMBOLS, &[])).ids,
            [1, 0, 8, 0, 9, 0, 2]
        );
        assert_eq!(
            Ids::of(&symbols("ai"), &settings(SYMBOLS, &[&["a", "i"]])).ids,
            [1, 0, 10, 0, 2]
        );
    }

    #[test]
    fn words_last_from_their_first_phone_to_their_last() {
        let sentence = symbols("ab a.");
        let spoken = Spoken {
            sentences: Vec::new(),
            words: vec![0..2, 3..4],
            phones: vec![
                ("a".to_owned(), Some(0)),
                ("b".to_owned(), Some(0)),
                (String::new(), None),
                ("a".to_owned(), Some(1)),
            ],
        };
        let ids = Ids::of(&sentence, &settings(SYMBOLS, &[]));
        // Ten samples an id.
        let ends: Vec<usize> = (1..=ids.ids.len()).map(|count| count * 10).collect();
        let timeline = ids.timeline(&spoken, &ends, true);
        let words: Vec<_> = timeline
            .words
            .iter()
            .map(|word| (word.range.clone(), word.time.clone(), word.phones.len()))
            .collect();
        assert_eq!(words, [(0..2, 20..70, 2), (3..4, 90..110, 1)]);
        assert_eq!(timeline.pauses, vec![110..130]);
        assert!(ids.timeline(&spoken, &ends, false).words.is_empty());
    }
}
