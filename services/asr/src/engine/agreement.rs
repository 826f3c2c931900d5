//! LocalAgreement-2 on words: what two successive hypotheses agree on is stable and is never taken back.
//!
//! Liu, Spanakis, Niehues: "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
//! Selection", Interspeech 2020; for Whisper as in Macháček, Dabre, Bojar 2023. Stable words are kept as they were when
//! they became so, with their times: a later hypothesis, the final one too, only says what comes after them.
//!
//! No audio and no engine here: word lists in, word lists out.

use std::time::Duration;

use crate::domain::{Segment, TimingSource, Transcript, Word};

/// A word as it stands in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The word and its time.
    pub word: Word,
    /// Whether a space separates it from the one before. Not in Chinese or Japanese.
    pub spaced: bool,
}

/// The words of an utterance so far.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    /// How long ago a word must have ended to become stable.
    hold: Duration,
    committed: Vec<Piece>,
    /// What the hypothesis before had after the committed words.
    tail: Vec<Piece>,
}

/// The most words at a seam that are compared to find what was said already.
const SEAM: usize = 5;

// === impl Agreement ===

impl Agreement {
    /// No words yet. A word becomes stable when it ended `hold` ago at least, for engines whose last pass is better
    /// than their first.
    pub fn holding(hold: Duration) -> Self {
        Self {
            hold,
            ..Self::default()
        }
    }

    /// Takes a hypothesis for all audio of the utterance so far, which is `heard` long; what it shares with the one
    /// before becomes stable.
    pub fn push(&mut self, hypothesis: Vec<Piece>, heard: Duration) {
        let mut tail = self.after_committed(hypothesis);
        let old_enough = |piece: &Piece| piece.word.end + self.hold <= heard;
        let agreed = tail
            .iter()
            .zip(&self.tail)
            .take_while(|(new, old)| same(new, old) && old_enough(new))
            .count();
        let rest = tail.split_off(agreed);
        self.committed.append(&mut tail);
        self.tail = rest;
    }

    /// Takes the last decoding; all is stable then.
    pub fn finish(&mut self, last: Vec<Piece>) {
        let mut tail = self.after_committed(last);
        self.committed.append(&mut tail);
        self.tail.clear();
    }

    /// All words as they stand now, the stable ones first.
    pub fn words(&self) -> impl Iterator<Item = &Piece> {
        self.committed.iter().chain(&self.tail)
    }

    /// All words as they stand now.
    pub fn text(&self) -> String {
        text(self.words())
    }

    /// The length in bytes of the stable beginning of [`text`](Self::text).
    pub fn stable_len(&self) -> usize {
        text(&self.committed).len()
    }

    /// What a hypothesis says after the committed words.
    ///
    /// Where it begins with them, the rest. Else what lies after their end in time, less words at the seam that were
    /// committed already and now seem to have been said a little later. No word begins before the committed ones end.
    fn after_committed(&self, mut hypothesis: Vec<Piece>) -> Vec<Piece> {
        let Some(last) = self.committed.last() else {
            return hypothesis;
        };
        let end = last.word.end;
        let later = |mut rest: Vec<Piece>| {
            for Piece { word, .. } in &mut rest {
                word.start = word.start.max(end);
                word.end = word.end.max(end);
            }
            rest
        };
        let known = self.committed.len();
        if hypothesis.len() >= known
            && hypothesis
                .iter()
                .zip(&self.committed)
                .all(|(new, old)| same(new, old))
        {
            return later(hypothesis.split_off(known));
        }
        hypothesis.retain(|piece| middle(&piece.word) >= end);
        let repeated = (1..=SEAM.min(known).min(hypothesis.len())).rev().find(|count| {
            let seam = &self.committed[known - count..];
            seam.iter().zip(&hypothesis).all(|(old, new)| same(new, old))
                && hypothesis[0].word.start < end + Duration::from_secs(1)
        });
        later(hypothesis.split_off(repeated.unwrap_or(0)))
    }
}

/// A transcript as pieces. Where the engine gave no words the text is cut at its spaces, with times in proportion.
pub fn pieces(transcript: Transcript) -> Vec<Piece> {
    transcript.segments.into_iter().flat_map(of_segment).collect()
}

/// Pieces as text.
pub fn text<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> String {
    let mut text = String::new();
    for piece in pieces {
        if piece.spaced && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&piece.word.text);
    }
    text
}

fn of_segment(segment: Segment) -> Vec<Piece> {
    if segment.words.is_empty() {
        return interpolated(&segment);
    }
    let mut rest = segment.text.as_str();
    let mut found = Vec::with_capacity(segment.words.len());
    for word in segment.words {
        let spaced = match rest.find(&word.text) {
            Some(at) => {
                let spaced = found.is_empty() || rest[..at].contains(char::is_whitespace);
                rest = &rest[at + word.text.len()..];
                spaced
            }
            None => true,
        };
        found.push(Piece { word, spaced });
    }
    found
}

fn interpolated(segment: &Segment) -> Vec<Piece> {
    let all = segment
        .text
        .split_whitespace()
        .map(str::len)
        .sum::<usize>()
        .max(1) as f64;
    let span = segment.end.saturating_sub(segment.start);
    let mut before = 0;
    let mut cut = |word: &str| {
        let start = segment.start + span.mul_f64(before as f64 / all);
        before += word.len();
        let end = segment.start + span.mul_f64(before as f64 / all);
        let (text, timing) = (word.to_owned(), TimingSource::Interpolated);
        let word = Word {
            text,
            start,
            end,
            confidence: segment.confidence,
            log_prob: None,
            timing,
        };
        Piece { word, spaced: true }
    };
    segment.text.split_whitespace().map(&mut cut).collect()
}

/// Whether two words are the same to a reader who overlooks capitals and punctuation: a sentence that goes on changes
/// those of its last word.
fn same(a: &Piece, b: &Piece) -> bool {
    let letters = |piece: &Piece| -> String {
        let text = piece.word.text.to_lowercase();
        let kept = text.trim_matches(|c: char| !c.is_alphanumeric());
        if kept.is_empty() { text } else { kept.to_owned() }
    };
    letters(a) == letters(b)
}

fn middle(word: &Word) -> Duration {
    word.start + word.end.saturating_sub(word.start) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATE: Duration = Duration::from_secs(60);

    fn piece(text: &str, start: u64, end: u64) -> Piece {
        let (start, end) = (Duration::from_millis(start), Duration::from_millis(end));
        let (confidence, log_prob, timing) = (None, None, TimingSource::Model);
        Piece {
            word: Word {
                text: text.to_owned(),
                start,
                end,
                confidence,
                log_prob,
                timing,
            },
            spaced: true,
        }
    }

    fn said(words: &str) -> Vec<Piece> {
        let words = words.split_whitespace().enumerate();
        words
            .map(|(at, word)| piece(word, at as u64 * 300, at as u64 * 300 + 250))
            .collect()
    }

    #[test]
    fn two_hypotheses_that_agree_make_a_word_stable() {
        let mut agreement = Agreement::default();
        agreement.push(said("go for"), LATE);
        assert_eq!((agreement.text().as_str(), agreement.stable_len()), ("go for", 0));
        agreement.push(said("go forward ten"), LATE);
        assert_eq!(
            (agreement.text().as_str(), agreement.stable_len()),
            ("go forward ten", 2)
        );
        agreement.push(said("go forward ten meters"), LATE);
        assert_eq!(agreement.stable_len(), "go forward ten".len());
    }

    #[test]
    fn a_word_is_held_until_it_is_old_enough() {
        let mut agreement = Agreement::holding(Duration::from_secs(1));
        let heard = Duration::from_millis(1_500);
        agreement.push(said("go forward ten"), heard);
        agreement.push(said("go forward ten"), heard);
        assert_eq!(agreement.stable_len(), "go".len());
    }

    #[test]
    fn the_final_decoding_speaks_only_of_what_comes_after() {
        let mut agreement = Agreement::default();
        agreement.push(said("a nice speech"), LATE);
        agreement.push(said("a nice speech"), LATE);
        agreement.finish(said("an ice beach was given"));
        assert_eq!(agreement.text(), "a nice speech was given");
    }

    #[test]
    fn a_word_that_moved_over_the_seam_is_not_said_twice() {
        let mut agreement = Agreement::default();
        agreement.push(said("one two three"), LATE);
        agreement.push(said("one two three"), LATE);
        agreement.finish(vec![
            piece("won", 0, 200),
            piece("three", 870, 1100),
            piece("four", 1150, 1400),
        ]);
        assert_eq!(agreement.text(), "one two three four");
    }

    #[test]
    fn languages_without_spaces_stay_without() {
        let word = |text: &str, at| piece(text, at, at + 100).word;
        let segment = Segment {
            text: "你好 world吗".to_owned(),
            words: vec![
                word("你", 0),
                word("好", 100),
                word("world", 200),
                word("吗", 300),
            ],
            ..Segment::default()
        };
        let transcript = Transcript {
            segments: vec![segment],
            language: None,
        };
        assert_eq!(text(&pieces(transcript)), "你好 world吗");
    }

    #[test]
    fn a_segment_without_words_is_cut_at_its_spaces() {
        let end = Duration::from_secs(2);
        let segment = Segment {
            text: "ab cdef gh".to_owned(),
            end,
            ..Segment::default()
        };
        let found = pieces(Transcript {
            segments: vec![segment],
            language: None,
        });
        let times: Vec<_> = found.iter().map(|piece| piece.word.start.as_millis()).collect();
        assert_eq!(times, [0, 500, 1500]);
        assert!(
            found
                .iter()
                .all(|piece| piece.word.timing == TimingSource::Interpolated)
        );
    }

    fn hypothesis() -> impl Strategy<Value = Vec<Piece>> {
        let word = (
            prop::sample::select(vec!["a", "b", "B.", "c", "好"]),
            0u64..400,
            0u64..300,
            any::<bool>(),
        );
        prop::collection::vec(word, 0..8).prop_map(|words| {
            let mut at = 0;
            let place = |(text, gap, length, spaced): (&str, u64, u64, bool)| {
                let start = at + gap;
                at = start + length;
                Piece {
                    spaced,
                    ..piece(text, start, at)
                }
            };
            words.into_iter().map(place).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_stable_is_never_taken_back(all in prop::collection::vec(hypothesis(), 1..12)) {
            let mut agreement = Agreement::default();
            let mut stable = String::new();
            let (last, partial) = all.split_last().expect("at least one");
            for hypothesis in partial {
                agreement.push(hypothesis.clone(), LATE);
                let text = agreement.text();
                prop_assert!(text.starts_with(&stable), "{text:?} takes back {stable:?}");
                stable = text[..agreement.stable_len()].to_owned();
            }
            agreement.finish(last.clone());
            let starts: Vec<_> = agreement.words().map(|piece| piece.word.start).collect();
            prop_assert!(starts.is_sorted(), "{starts:?}");
            prop_assert!(agreement.text().starts_with(&stable));
            prop_assert_eq!(agreement.stable_len(), agreement.text().len());
        }
    }
}
