//! From the markers of an answer to its citations: which part each is for, and whether its sources bear that out.

use std::ops::Range;

use super::Citation;
use super::grounding::Grounds;
use super::markers::Mark;
use super::sentences::{sentences, trim};
use super::words::plain;

/// What an answer rests on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checked {
    /// In order of the answer. A marker that names no source is none.
    pub citations: Vec<Citation>,
    /// How well the sources bear it out as a whole, 0 to 1: the mean over its sentences, by their words. A sentence that
    /// cites nothing counts half of what all sources together give.
    pub grounding: f32,
}

/// What is said without a source counts so much.
const UNCITED: f32 = 0.5;

/// Checks an answer, whose markers were taken out.
pub fn check(answer: &str, marks: &[Mark], grounds: &mut Grounds<'_>) -> Checked {
    let sentences = sentences(answer);
    let claims = claims(answer, marks, &sentences);
    let mut checked = Checked::default();
    let (mut words, mut held) = (0, 0.0);
    let mut count = |range: &Range<usize>, score: f32| {
        let count = plain(&answer[range.clone()]).count();
        words += count;
        held += count as f32 * score;
    };
    let mut cited_until = 0;
    let all: Vec<usize> = (0..grounds.len()).collect();
    let mut uncited = |from: usize, until: usize, grounds: &mut Grounds<'_>| {
        for sentence in &sentences {
            let part = trim(
                answer,
                sentence.start.max(from)..sentence.end.min(until).max(sentence.start.max(from)),
            );
            if !part.is_empty() {
                count(
                    &part,
                    UNCITED * grounds.support(&answer[part.clone()], &all).score,
                );
            }
        }
    };
    let mut scored = Vec::new();
    for (range, sources) in claims {
        uncited(cited_until, range.start, grounds);
        cited_until = range.end;
        let support = grounds.support(&answer[range.clone()], &sources);
        scored.push((range.clone(), support.score));
        if !sources.is_empty() {
            checked.citations.push(Citation {
                range,
                quotes: support.quotes,
                grounding: support.score,
                verified: support.verified,
            });
        }
    }
    uncited(cited_until, answer.len(), grounds);
    for (range, score) in scored {
        count(&range, score);
    }
    checked.grounding = if words == 0 { 0.0 } else { held / words as f32 };
    checked
}

/// What each marker stands for: the sentence that it ends or stands in, from the marker before it on.
fn claims(answer: &str, marks: &[Mark], sentences: &[Range<usize>]) -> Vec<(Range<usize>, Vec<usize>)> {
    let has_words = |range: Range<usize>| plain(&answer[range]).next().is_some();
    let mut claims: Vec<(Range<usize>, Vec<usize>)> = Vec::new();
    for mark in marks {
        let last = sentences.iter().rfind(|sentence| sentence.start < mark.at);
        // A marker before the first word is for the first sentence.
        let Some(sentence) = last.or_else(|| sentences.first()) else {
            continue;
        };
        let at = mark.at.clamp(sentence.start, sentence.end);
        let is_last_word = at == sentence.start || !has_words(at..sentence.end);
        let end = if is_last_word { sentence.end } else { at };
        let before = claims.last().map_or(0, |(range, _)| range.end);
        let start = sentence.start.max(before.min(end));
        if has_words(start..end) {
            claims.push((trim(answer, start..end), mark.sources.clone()));
        } else if let Some((_, sources)) = claims.last_mut() {
            // Two markers for the same words.
            for source in &mark.sources {
                if !sources.contains(source) {
                    sources.push(*source);
                }
            }
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::super::markers::Markers;
    use super::*;

    const SOURCES: [&str; 2] = [
        "The wing was tested in 1957. It stalls at an angle of 14 degrees.",
        "The engine weighs 900 kg. Its fuel is kerosene.",
    ];

    fn checked(words: &str) -> (String, Checked) {
        let mut markers = Markers::new(SOURCES.len());
        let mut answer = markers.push(words);
        let (rest, marks) = markers.finish();
        answer += &rest;
        let checked = check(&answer, &marks, &mut Grounds::new(SOURCES));
        (answer, checked)
    }

    fn parts<'a>(answer: &'a str, checked: &Checked) -> Vec<(&'a str, Vec<usize>)> {
        let part = |citation: &Citation| {
            let sources = citation.quotes.iter().map(|quote| quote.source).collect();
            (&answer[citation.range.clone()], sources)
        };
        checked.citations.iter().map(part).collect()
    }

    #[test]
    fn a_marker_is_for_its_sentence_and_two_share_one() {
        let (answer, found) = checked(
            "The wing stalls at 14 degrees [1], its engine weighs 900 kg [2]. Its fuel is kerosene. [2]",
        );
        assert_eq!(
            parts(&answer, &found),
            [
                ("The wing stalls at 14 degrees", vec![0]),
                (", its engine weighs 900 kg.", vec![1]),
                ("Its fuel is kerosene.", vec![1]),
            ]
        );
        assert!(
            found.citations.iter().all(|citation| citation.verified),
            "{found:?}"
        );
        assert!(found.grounding > 0.6, "{found:?}");
    }

    #[test]
    fn markers_for_the_same_words_are_one_citation() {
        let (answer, found) = checked("The wing was tested in 1957 [1] [2].\n\n[2]");
        assert_eq!(
            parts(&answer, &found),
            [("The wing was tested in 1957.", vec![0, 1])]
        );
    }

    #[test]
    fn what_is_made_up_lowers_the_whole() {
        let good = checked("The wing stalls at an angle of 14 degrees [1].").1;
        let uncited = checked("The wing stalls at an angle of 14 degrees.").1;
        let unknown = checked("The wing stalls at an angle of 14 degrees [7].").1;
        let made_up = checked("Paris hosted the summer Olympics twice [2].").1;
        assert!(good.grounding > 0.9, "{good:?}");
        assert!(uncited.grounding > 0.4 && uncited.grounding <= 0.5, "{uncited:?}");
        assert!(uncited.citations.is_empty() && unknown.citations.is_empty());
        assert_eq!(unknown.grounding, 0.0);
        assert!(
            made_up.grounding < 0.2 && !made_up.citations[0].verified,
            "{made_up:?}"
        );
    }

    #[test]
    fn an_answer_of_markers_alone_rests_on_nothing() {
        assert_eq!(checked("[1]").1, Checked::default());
        assert_eq!(checked("").1, Checked::default());
        let (answer, found) = checked("[1] The wing was tested in 1957.");
        assert_eq!(
            parts(&answer, &found),
            [("The wing was tested in 1957.", vec![0])]
        );
    }
}
