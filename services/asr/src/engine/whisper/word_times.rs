//! Gives aligned words to their segments, and corrects times that cannot be.
//!
//! The same as openai-whisper's `add_word_timestamps` (whisper/timing.py): words that last too long at the end of a
//! sentence or after a pause are cut to twice the median, and words and segments agree on where they begin and end.

use super::words::{TimedWord, join_punctuation};

/// A segment that gets its words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timed {
    /// In seconds from the start of the recording.
    pub(super) start: f64,
    pub(super) end: f64,
    /// How many text tokens it has.
    pub(super) tokens: usize,
    /// In seconds from the start of the recording.
    pub(super) words: Vec<TimedWord>,
}

const SENTENCE_ENDS: &str = ".。!！?？";
/// A word is not expected to last longer, in seconds.
const LONGEST_MEDIAN: f64 = 0.7;
/// A word and its segment may disagree so much, in seconds.
const SLACK: f64 = 0.5;

/// Divides `words`, timed from `offset`, among `segments`. `last_speech` is where the word before ended.
pub(super) fn assign(segments: &mut [Timed], mut words: Vec<TimedWord>, offset: f64, mut last_speech: f64) {
    let median = median_duration(&words).min(LONGEST_MEDIAN);
    let longest = 2.0 * median;
    shorten_at_sentence_ends(&mut words, longest);
    join_punctuation(&mut words);

    let mut words = words.into_iter();
    for segment in segments {
        let mut taken = 0;
        while taken < segment.tokens {
            let Some(word) = words.next() else { break };
            taken += word.tokens;
            if !word.text.is_empty() {
                let (start, end) = (hundredths(offset + word.start), hundredths(offset + word.end));
                segment.words.push(TimedWord { start, end, ..word });
            }
        }
        shorten_after_pause(&mut segment.words, last_speech, median, longest);
        if let (Some(first), Some(last)) = (segment.words.first().cloned(), segment.words.last().cloned()) {
            if segment.start < first.end && segment.start - SLACK > first.start {
                segment.words[0].start = (first.end - median).min(segment.start).max(0.0);
            } else {
                segment.start = first.start;
            }
            let at = segment.words.len() - 1;
            // The first may be the last, so what was just corrected counts.
            let last = TimedWord {
                start: segment.words[at].start,
                ..last
            };
            if segment.end > last.start && segment.end + SLACK < last.end {
                segment.words[at].end = (last.start + median).max(segment.end);
            } else {
                segment.end = last.end;
            }
            last_speech = segment.end;
        }
    }
}

/// Of the words that last at all; 0 if none does.
fn median_duration(words: &[TimedWord]) -> f64 {
    let mut durations: Vec<f64> = words
        .iter()
        .map(|word| word.end - word.start)
        .filter(|it| *it != 0.0)
        .collect();
    durations.sort_unstable_by(f64::total_cmp);
    let middle = durations.len() / 2;
    match durations.as_slice() {
        [] => 0.0,
        all if all.len() % 2 == 1 => all[middle],
        all => f64::midpoint(all[middle - 1], all[middle]),
    }
}

fn shorten_at_sentence_ends(words: &mut [TimedWord], longest: f64) {
    if longest == 0.0 {
        return;
    }
    for index in 1..words.len() {
        if words[index].end - words[index].start > longest {
            if SENTENCE_ENDS.contains(&words[index].text) {
                words[index].end = words[index].start + longest;
            } else if SENTENCE_ENDS.contains(&words[index - 1].text) {
                words[index].start = words[index].end - longest;
            }
        }
    }
}

fn shorten_after_pause(words: &mut [TimedWord], last_speech: f64, median: f64, longest: f64) {
    let Some(first) = words.first() else { return };
    let second_ends = words.get(1).map(|second| second.end);
    let too_long =
        first.end - first.start > longest || second_ends.is_some_and(|end| end - first.start > 2.0 * longest);
    if first.end - last_speech <= 4.0 * median || !too_long {
        return;
    }
    if let [first, second, ..] = words
        && second.end - second.start > longest
    {
        let boundary = (second.end / 2.0).max(second.end - longest);
        first.end = boundary;
        second.start = boundary;
    }
    words[0].start = (words[0].end - longest).max(0.0);
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str, start: f64, end: f64) -> TimedWord {
        TimedWord {
            text: text.to_owned(),
            tokens: 1,
            start,
            end,
            probability: 1.0,
        }
    }

    #[test]
    fn words_go_to_their_segments_and_move_their_edges() {
        let segment = |start, end, tokens| Timed {
            start,
            end,
            tokens,
            words: Vec::new(),
        };
        let mut segments = [segment(10.0, 11.0, 2), segment(11.0, 12.0, 1)];
        let words = vec![
            word(" one", 0.1, 0.4),
            word(" two", 0.4, 0.8),
            word(" three", 1.1, 1.5),
        ];
        assign(&mut segments, words, 10.0, 9.9);
        assert_eq!(segments[0].words.len(), 2);
        assert!((segments[0].start - 10.1).abs() < 1e-9 && (segments[0].end - 10.8).abs() < 1e-9);
        assert!((segments[1].start - 11.1).abs() < 1e-9);
    }

    #[test]
    fn a_word_stretched_over_a_pause_is_shortened() {
        let mut segments = [Timed {
            start: 0.0,
            end: 9.0,
            tokens: 3,
            words: Vec::new(),
        }];
        let words = vec![
            word(" so", 0.0, 8.0),
            word(" it", 8.0, 8.3),
            word(" is", 8.3, 8.6),
        ];
        assign(&mut segments, words, 0.0, 0.0);
        let first = &segments[0].words[0];
        assert!((first.end - 8.0).abs() < 1e-9 && first.start > 7.0, "{first:?}");
        assert!((segments[0].start - first.start).abs() < 1e-9);
    }
}
