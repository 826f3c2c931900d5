//! Words that are to be said in a given way wherever they stand in a text.
//!
//! They are looked for as whole words, whatever their case; of several that begin at one place the longest wins. Text
//! that is said otherwise already, as in a `phoneme` element, stays as it is.

use std::collections::HashMap;
use std::ops::Range;

use crate::domain::{Saying, Script};

/// Phrases and how they are said.
#[derive(Debug, Clone, Default)]
pub struct Pronunciations {
    /// By the first word in lower case: the phrases that begin with it, the longest first.
    phrases: HashMap<String, Vec<Phrase>>,
}

#[derive(Debug, Clone)]
struct Phrase {
    /// Its words in lower case.
    words: Vec<String>,
    ipa: String,
}

// === impl Pronunciations ===

impl Pronunciations {
    /// A phrase is said in these phones, IPA. A phrase without a letter or digit is none: false.
    pub fn add(&mut self, phrase: &str, ipa: &str) -> bool {
        let words: Vec<String> = words(phrase).map(|word| phrase[word].to_lowercase()).collect();
        let Some(first) = words.first().cloned() else {
            return false;
        };
        let phrases = self.phrases.entry(first).or_default();
        // The last one that was added for a phrase counts.
        phrases.retain(|other| other.words != words);
        phrases.push(Phrase {
            words,
            ipa: ipa.to_owned(),
        });
        phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
        true
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Puts the phones where the phrases stand.
    pub fn apply(&self, script: &mut Script) {
        let found = self.find(script);
        if found.is_empty() {
            return;
        }
        let mut said = Script::default();
        let mut begin = 0;
        for (range, ipa) in found {
            said.append(&script.slice(begin..range.start));
            // Marks in the middle of a phrase are passed before it.
            let phrase = script.slice(range.clone());
            for mark in phrase.marks() {
                said.push_mark(mark.name.clone());
            }
            said.push_phones(phrase.text(), script.source(range.clone()), ipa);
            begin = range.end;
        }
        said.append(&script.slice(begin..script.text().len()));
        *script = said;
    }

    /// Where phrases stand, and how they are said.
    fn find(&self, script: &Script) -> Vec<(Range<usize>, &str)> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        for span in script.spans().iter().filter(|span| span.saying == Saying::Same) {
            let text = &script.text()[span.range.clone()];
            let places: Vec<Range<usize>> = words(text).collect();
            let lower: Vec<String> = places
                .iter()
                .map(|place| text[place.clone()].to_lowercase())
                .collect();
            let mut at = 0;
            while at < places.len() {
                let phrases = self.phrases.get(&lower[at]).map_or(&[][..], Vec::as_slice);
                let phrase = phrases
                    .iter()
                    .find(|phrase| lower[at..].starts_with(&phrase.words));
                let Some(phrase) = phrase else {
                    at += 1;
                    continue;
                };
                let last = at + phrase.words.len() - 1;
                let (start, end) = (places[at].start, places[last].end);
                found.push((
                    span.range.start + start..span.range.start + end,
                    phrase.ipa.as_str(),
                ));
                at = last + 1;
            }
        }
        found
    }
}

/// Runs of letters and digits, with the apostrophes and hyphens within.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(char::is_alphanumeric)?;
        let other = |c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’' | '-'));
        let end = text[start..].find(other).map_or(text.len(), |len| start + len);
        let whole = text[start..end].trim_end_matches(|c: char| !c.is_alphanumeric());
        rest = end;
        Some(start..start + whole.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pronunciations(phrases: &[(&str, &str)]) -> Pronunciations {
        let mut pronunciations = Pronunciations::default();
        for (phrase, ipa) in phrases {
            assert!(pronunciations.add(phrase, ipa), "{phrase}");
        }
        pronunciations
    }

    /// What stands in phones, and where.
    fn phones(script: &Script) -> Vec<(String, Range<u64>)> {
        let spans = script.spans().iter().filter_map(|span| match &span.saying {
            Saying::Phones(ipa) => Some((ipa.clone(), span.source.clone())),
            Saying::Same | Saying::Instead => None,
        });
        spans.collect()
    }

    #[test]
    fn whole_words_are_found_whatever_their_case() {
        let pronunciations = pronunciations(&[("GIF", "dʒɪf"), ("new york", "nuː jɔːk"), ("New", "njuː")]);
        let mut script = Script::plain("A gif, gifs; New  York is new. GIF's", 100);
        pronunciations.apply(&mut script);
        assert_eq!(script.text(), "A gif, gifs; New  York is new. GIF's");
        let wanted = [("dʒɪf", 102..105), ("nuː jɔːk", 113..122), ("njuː", 126..129)];
        assert_eq!(
            phones(&script),
            wanted.map(|(ipa, place)| (ipa.to_owned(), place))
        );
    }

    #[test]
    fn marks_and_what_is_said_otherwise_stay() {
        let mut script = Script::default();
        script.push_same("see a ", 0);
        script.push_mark("one");
        script.push_same("gif and ", 6);
        script.push_phones("gif", 14..17, "ɡɪf");
        script.push_mark("end");
        pronunciations(&[("gif", "dʒɪf")]).apply(&mut script);
        assert_eq!(script.text(), "see a gif and gif");
        let places = phones(&script).into_iter().map(|(_, place)| place);
        assert_eq!(places.collect::<Vec<_>>(), [6..9, 14..17]);
        let marks: Vec<_> = script
            .marks()
            .iter()
            .map(|mark| (mark.at, mark.name.as_str()))
            .collect();
        assert_eq!(marks, [(6, "one"), (17, "end")]);
    }

    #[test]
    fn the_last_word_on_a_phrase_counts_and_signs_are_no_phrase() {
        let mut script = Script::plain("gif", 0);
        pronunciations(&[("gif", "a"), ("Gif", "b")]).apply(&mut script);
        assert_eq!(phones(&script)[0].0, "b");
        assert!(!Pronunciations::default().add("...", "a"));
    }
}
