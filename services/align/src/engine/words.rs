//! From what an engine heard to words with times: no word without one, none before the word in front of it.
//!
//! What an engine has no sound for lies between its neighbours, is left out or joined, as the request says. Characters
//! that an engine does not match share the time of their word by their number.

use std::ops::Range;
use std::time::Duration;

use super::Heard;
use crate::domain::{Loose, Options, TimingSource, Unaligned, Unit, Word};
use crate::text::{Text, graphemes};

/// Makes words of what is heard, piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Words {
    options: Options,
    /// Words without a time, which wait for the next that has one.
    waiting: Vec<usize>,
    /// Whether a word was told, and where the last one ended.
    last: Option<Duration>,
}

/// Words that fit less than this were probably not said.
const UNSAID: f32 = 0.1;

// === impl Words ===

impl Words {
    /// None yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            waiting: Vec::new(),
            last: None,
        }
    }

    /// Takes what was heard next, in order, and gives the words whose times are settled.
    pub fn push(&mut self, text: &Text, heard: Vec<Heard>, loose: &mut Vec<Loose>) -> Vec<Word> {
        let mut words = Vec::with_capacity(heard.len());
        for heard in heard {
            match heard.time.clone() {
                Some(time) => self.settle(text, heard, time, &mut words, loose),
                None => self.waiting.push(heard.word),
            }
        }
        words
    }

    /// Nothing more is heard; the audio ends at `end`. `words` are those that were given last.
    pub fn finish(&mut self, text: &Text, end: Duration, words: &mut Vec<Word>, loose: &mut Vec<Loose>) {
        let from = self.last.unwrap_or_default();
        self.place(text, from..end.max(from), words, loose);
    }

    /// The first word that waits for its time.
    pub fn waiting(&self) -> Option<usize> {
        self.waiting.first().copied()
    }

    fn settle(
        &mut self,
        text: &Text,
        heard: Heard,
        time: Range<Duration>,
        words: &mut Vec<Word>,
        loose: &mut Vec<Loose>,
    ) {
        let from = self.last.unwrap_or_default();
        let start = time.start.max(from);
        let time = start..time.end.max(start);
        // Joined to the word after it, where there is none before.
        let joined = if self.last.is_none() && self.options.unaligned == Unaligned::Merge {
            self.waiting.drain(..).next()
        } else {
            self.place(text, from..start, words, loose);
            None
        };
        let own = text.word(heard.word).range.clone();
        let range = joined.map_or(own.start, |first| text.word(first).range.start)..own.end;
        let timing = if heard.wild {
            TimingSource::Wildcard
        } else {
            TimingSource::Aligned
        };
        if !heard.wild && heard.score < UNSAID {
            extend(loose, range.clone());
        }
        let characters = match (self.options.characters, heard.characters.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => shared(text.slice(range.clone()), &time, heard.score),
            (true, false) => heard.characters,
        };
        let phones = if self.options.phones {
            heard.phones
        } else {
            Vec::new()
        };
        self.last = Some(time.end);
        words.push(Word {
            text: text.slice(range.clone()).to_owned(),
            speaker: text.speaker(heard.word).to_owned(),
            range,
            time,
            score: heard.score,
            log_prob: heard.log_prob,
            timing,
            characters,
            phones,
        });
    }

    /// Places the words that wait into a time between two others.
    fn place(&mut self, text: &Text, time: Range<Duration>, words: &mut Vec<Word>, loose: &mut Vec<Loose>) {
        let waiting = std::mem::take(&mut self.waiting);
        match self.options.unaligned {
            Unaligned::Omit => {
                for word in waiting {
                    extend(loose, text.word(word).range.clone());
                }
                return;
            }
            Unaligned::Merge if !words.is_empty() => {
                if let (Some(last), Some(word)) = (words.last_mut(), waiting.last()) {
                    last.range.end = text.word(*word).range.end;
                    text.slice(last.range.clone()).clone_into(&mut last.text);
                    if self.options.characters {
                        last.characters = shared(text.slice(last.range.clone()), &last.time, last.score);
                    }
                }
                return;
            }
            Unaligned::Merge | Unaligned::Interpolate | Unaligned::Wildcard => {}
        }
        // Punctuation takes no time; what is heard shares it by its letters.
        let letters = |word: &usize| {
            let word = text.word(*word);
            let letters = text.slice(word.range.clone()).chars().count();
            if word.is_heard { letters } else { 0 }
        };
        let all: usize = waiting.iter().map(letters).sum();
        let length = time.end - time.start;
        let mut passed = 0;
        let share = |passed: usize| time.start + length.mul_f64(passed as f64 / all.max(1) as f64);
        for word in waiting {
            let start = share(passed);
            passed += letters(&word);
            let range = text.word(word).range.clone();
            let time = start..share(passed);
            let characters = if self.options.characters {
                shared(text.slice(range.clone()), &time, 0.0)
            } else {
                Vec::new()
            };
            words.push(Word {
                text: text.slice(range.clone()).to_owned(),
                speaker: text.speaker(word).to_owned(),
                range,
                time,
                score: 0.0,
                log_prob: None,
                timing: TimingSource::Interpolated,
                characters,
                phones: Vec::new(),
            });
        }
    }
}

/// The characters of a word, each with the same share of its time.
fn shared(word: &str, time: &Range<Duration>, score: f32) -> Vec<Unit> {
    let count = graphemes(word).count().max(1) as u32;
    let length = time.end - time.start;
    let edge = |at: usize| time.start + length * at as u32 / count;
    let unit = |(at, (_, grapheme)): (usize, (usize, &str))| Unit {
        text: grapheme.to_owned(),
        time: edge(at)..edge(at + 1),
        score,
        timing: TimingSource::Interpolated,
    };
    graphemes(word).enumerate().map(unit).collect()
}

/// Adds text that was not found to what was not found before it.
fn extend(loose: &mut Vec<Loose>, range: Range<usize>) {
    match loose.last_mut() {
        // One space, or a line feed, stands between words.
        Some(Loose::Text(last)) if last.end + 1 >= range.start => last.end = range.end,
        _ => loose.push(Loose::Text(range)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(range: Range<u64>) -> Range<Duration> {
        Duration::from_millis(range.start)..Duration::from_millis(range.end)
    }

    fn heard(word: usize, time: Option<Range<u64>>) -> Heard {
        Heard {
            word,
            time: time.map(millis),
            wild: false,
            score: 0.9,
            log_prob: None,
            characters: Vec::new(),
            phones: Vec::new(),
        }
    }

    type Told = (String, u64, u64, TimingSource);

    fn made(unaligned: Unaligned, content: &str, list: Vec<Heard>) -> (Vec<Told>, Vec<Loose>) {
        let text = Text::new(content);
        let mut words = Words::new(Options {
            unaligned,
            ..Options::default()
        });
        let mut loose = Vec::new();
        // Fed one by one, as in a stream.
        let mut done = Vec::new();
        for one in list {
            done.extend(words.push(&text, vec![one], &mut loose));
        }
        let mut last = Vec::new();
        words.finish(&text, Duration::from_secs(2), &mut last, &mut loose);
        done.extend(last);
        let told = done.into_iter().map(|word| {
            let (start, end) = (
                word.time.start.as_millis() as u64,
                word.time.end.as_millis() as u64,
            );
            (text.slice(word.range).to_owned(), start, end, word.timing)
        });
        (told.collect(), loose)
    }

    #[test]
    fn what_was_not_heard_lies_between_its_neighbours() {
        use TimingSource::{Aligned, Interpolated};
        let list = vec![
            heard(0, Some(0..300)),
            heard(1, None),
            heard(2, None),
            heard(3, Some(900..1000)),
            heard(4, None),
        ];
        let (words, _) = made(Unaligned::Interpolate, "a 12 1234 b …", list);
        let expected = [
            ("a", 0, 300, Aligned),
            ("12", 300, 500, Interpolated),
            ("1234", 500, 900, Interpolated),
            ("b", 900, 1000, Aligned),
            ("…", 1000, 1000, Interpolated),
        ];
        let expected: Vec<_> = expected
            .map(|(word, start, end, timing)| (word.to_owned(), start, end, timing))
            .into();
        assert_eq!(words, expected);
    }

    #[test]
    fn what_is_left_out_is_told() {
        let list = vec![
            heard(0, Some(0..300)),
            heard(1, None),
            heard(2, None),
            heard(3, Some(900..1000)),
        ];
        let (words, loose) = made(Unaligned::Omit, "a 12 34 b", list);
        assert_eq!(words.len(), 2);
        assert_eq!(loose, [Loose::Text(2..7)]);
    }

    #[test]
    fn what_is_joined_keeps_its_place_in_the_text() {
        let list = vec![
            heard(0, None),
            heard(1, Some(100..300)),
            heard(2, None),
            heard(3, Some(900..1000)),
        ];
        let (words, loose) = made(Unaligned::Merge, "1 a 2 b", list.clone());
        let told: Vec<_> = words.iter().map(|(word, ..)| word.as_str()).collect();
        assert_eq!(
            told,
            ["1 a", "2", "b"],
            "a stream cannot join to what was told already"
        );
        assert!(loose.is_empty());
        let text = Text::new("1 a 2 b");
        let mut all = Words::new(Options {
            unaligned: Unaligned::Merge,
            ..Options::default()
        });
        let words = all.push(&text, list, &mut Vec::new());
        let told: Vec<_> = words.iter().map(|word| text.slice(word.range.clone())).collect();
        assert_eq!(told, ["1 a 2", "b"]);
    }

    #[test]
    fn times_never_go_back() {
        let list = vec![
            heard(0, Some(500..800)),
            heard(1, Some(700..700)),
            heard(2, Some(100..900)),
        ];
        let (words, _) = made(Unaligned::Wildcard, "a b c", list);
        assert!(words.windows(2).all(|pair| pair[0].2 <= pair[1].1), "{words:?}");
        assert!(words.iter().all(|(_, start, end, _)| start <= end));
    }

    #[test]
    fn characters_share_the_time_of_their_word() {
        let units = shared("añ👩‍🚀", &millis(0..300), 0.5);
        let told: Vec<_> = units
            .iter()
            .map(|unit| (unit.text.as_str(), unit.time.end.as_millis()))
            .collect();
        assert_eq!(told, [("a", 100), ("ñ", 200), ("👩‍🚀", 300)]);
    }
}
