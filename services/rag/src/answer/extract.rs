//! Answers without a language model: the sentences of the sources that fit the question best, word for word.
//!
//! First [`candidates`] finds sentences by their words; the caller may add how near each is in meaning, and [`answer`]
//! makes the answer of the best.

use std::collections::HashSet;
use std::ops::Range;

use super::sentences::sentences;
use super::words::{Folder, Weights, plain};
use super::{Citation, Quote, Source};

/// A sentence that may answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Where it stands.
    pub quote: Quote,
    /// How much of the question's words is in it, by weight, 0 to 1.
    pub words: f32,
    /// How well its passage fits by its place among the sources: 1 is the best, towards 0 the last.
    pub place: f32,
    folded: Vec<String>,
}

/// An answer of sentences.
#[derive(Debug, Clone, PartialEq)]
pub struct Extract {
    /// The answer.
    pub text: String,
    /// One for each sentence.
    pub citations: Vec<Citation>,
}

/// At most so many sentences answer, of at most so many bytes together.
const MOST_SENTENCES: usize = 3;
const MOST_BYTES: usize = 700;
/// A further sentence is at least so good as this share of the best.
const SHARE: f32 = 0.6;
/// Two sentences are the same if they have this share of their words in common.
const SAME: f32 = 0.7;
/// Fewer words are a heading or a label.
const LEAST_WORDS: usize = 4;
/// A sentence with less of the question's words, and less near in meaning (a cosine), has nothing to do with it.
const LEAST_COVERED: f32 = 0.25;
const LEAST_COSINE: f32 = 0.4;

/// The sentences of the sources that may answer, the likeliest first, at most `most`.
pub fn candidates(query: &str, sources: &[Source], most: usize) -> Vec<Candidate> {
    let mut folder = Folder::of(sources.iter().map(|source| source.text.as_str()));
    let asked = folder.words(query);
    let mut found = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        for range in sentences(&source.text) {
            found.push((at, range.clone(), folder.words(&source.text[range])));
        }
    }
    let weights = Weights::of(found.iter().map(|(_, _, words)| words.as_slice()));
    // Headings answer only where there is nothing else.
    let is_full = |range: &Range<usize>, at: usize| {
        plain(&sources[at].text[range.clone()])
            .nth(LEAST_WORDS - 1)
            .is_some()
    };
    let any_full = found.iter().any(|(at, range, _)| is_full(range, *at));
    let mut candidates: Vec<Candidate> = found
        .into_iter()
        .filter(|(at, range, _)| !any_full || is_full(range, *at))
        .map(|(source, range, folded)| {
            let by: HashSet<&str> = folded.iter().map(String::as_str).collect();
            Candidate {
                words: weights.covered(&asked, &by),
                place: 1.0 - source as f32 / sources.len() as f32,
                quote: Quote { source, range },
                folded,
            }
        })
        .collect();
    let likely = |candidate: &Candidate| 0.7 * candidate.words + 0.3 * candidate.place;
    candidates.sort_by(|a, b| likely(b).total_cmp(&likely(a)));
    candidates.truncate(most);
    candidates
}

/// The answer of the best candidates; none where none has to do with the question. `cosines` say how near each candidate
/// is to the question in meaning, in the same order; empty: not known.
pub fn answer(sources: &[Source], candidates: &[Candidate], cosines: &[f32]) -> Option<Extract> {
    let scored = candidates.iter().enumerate().map(|(at, candidate)| {
        let Candidate { words, place, .. } = *candidate;
        match cosines.get(at) {
            Some(cosine) => (
                0.5 * cosine.clamp(0.0, 1.0) + 0.35 * words + 0.15 * place,
                candidate,
            ),
            None => (0.7 * words + 0.3 * place, candidate),
        }
    });
    let mut ranked: Vec<(f32, &Candidate)> = scored
        .zip(0..)
        .filter(|((_, candidate), at)| {
            let is_near = cosines.get(*at).is_some_and(|cosine| *cosine >= LEAST_COSINE);
            is_near || candidate.words >= LEAST_COVERED
        })
        .map(|(scored, _)| scored)
        .collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let least = ranked.first()?.0 * SHARE;
    let mut taken: Vec<&Candidate> = Vec::new();
    let mut bytes = 0;
    for (score, candidate) in ranked {
        let size = candidate.quote.range.len();
        let is_new = taken.iter().all(|other| common(candidate, other) < SAME);
        let fits = taken.is_empty() || bytes + size <= MOST_BYTES;
        if score >= least && is_new && fits && taken.len() < MOST_SENTENCES {
            taken.push(candidate);
            bytes += size;
        }
    }
    // Those of one passage are read in its order.
    let first_of = |source: usize| taken.iter().position(|other| other.quote.source == source);
    let mut order: Vec<(Option<usize>, &Quote)> = taken
        .iter()
        .map(|candidate| (first_of(candidate.quote.source), &candidate.quote))
        .collect();
    order.sort_by_key(|(first, quote)| (*first, quote.range.start));
    let mut extract = Extract {
        text: String::new(),
        citations: Vec::new(),
    };
    for (_, quote) in order {
        if !extract.text.is_empty() {
            extract.text.push(' ');
        }
        let start = extract.text.len();
        extract
            .text
            .push_str(&sources[quote.source].text[quote.range.clone()]);
        extract.citations.push(Citation {
            range: start..extract.text.len(),
            quotes: vec![quote.clone()],
            grounding: 1.0,
            verified: true,
        });
    }
    Some(extract)
}

/// The share of words that two sentences have in common, of the shorter one.
fn common(a: &Candidate, b: &Candidate) -> f32 {
    let a: HashSet<&String> = a.folded.iter().collect();
    let b: HashSet<&String> = b.folded.iter().collect();
    let fewer = a.len().min(b.len()).max(1);
    a.intersection(&b).count() as f32 / fewer as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(texts: &[&str]) -> Vec<Source> {
        let source = |text: &&str| Source {
            text: (*text).to_owned(),
            ..Source::default()
        };
        texts.iter().map(source).collect()
    }

    const WING: &str = "Wings\n\nThe wing was tested in a tunnel. It stalls at an angle of 14 degrees.";
    const ENGINE: &str = "The engine weighs 900 kg. Its fuel is kerosene.";

    #[test]
    fn the_sentence_that_answers_is_quoted_word_for_word() {
        let sources = sources(&[ENGINE, WING]);
        let candidates = candidates("At which angle does it stall?", &sources, 10);
        let extract = answer(&sources, &candidates, &[]).expect("an answer");
        assert_eq!(extract.text, "It stalls at an angle of 14 degrees.");
        let citation = &extract.citations[0];
        let quote = &citation.quotes[0];
        assert_eq!(
            &sources[quote.source].text[quote.range.clone()],
            &extract.text[citation.range.clone()]
        );
    }

    #[test]
    fn meaning_finds_what_words_do_not() {
        let sources = sources(&[WING, ENGINE]);
        let candidates = candidates("How heavy is the motor?", &sources, 10);
        assert_eq!(answer(&sources, &candidates, &[]), None);
        let near: Vec<f32> = candidates
            .iter()
            .map(|candidate| {
                f32::from(u8::from(
                    candidate.quote.source == 1 && candidate.quote.range.start == 0,
                ))
            })
            .collect();
        let extract = answer(&sources, &candidates, &near).expect("an answer");
        assert_eq!(extract.text, "The engine weighs 900 kg.");
    }

    #[test]
    fn nothing_is_answered_from_what_does_not_fit() {
        let sources = sources(&[WING, ENGINE]);
        let found = candidates("Who painted the Mona Lisa?", &sources, 10);
        assert_eq!(answer(&sources, &found, &vec![0.1; found.len()]), None);
        assert_eq!(answer(&[], &candidates("Who?", &[], 10), &[]), None);
    }

    #[test]
    fn the_same_is_not_said_twice_and_a_title_is_no_answer() {
        let sources = sources(&[WING, WING]);
        let found = candidates("wings stall angle", &sources, 10);
        let extract = answer(&sources, &found, &[]).expect("an answer");
        assert_eq!(extract.text, "It stalls at an angle of 14 degrees.");
        assert!(found.iter().all(|candidate| candidate.quote.range.start > 0));
    }
}
