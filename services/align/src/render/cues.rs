//! Words as lines on a screen.

use std::ops::Range;
use std::time::Duration;

use super::Timed;

/// A line, and when it is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cue<'a> {
    pub(super) time: Range<Duration>,
    pub(super) speaker: &'a str,
    words: Vec<&'a str>,
}

/// Characters of a cue, in two lines, and how long it is shown at most.
const MOST: usize = 84;
const LINE: usize = 42;
const LONGEST: Duration = Duration::from_secs(7);
/// A pause that ends a cue.
const PAUSE: Duration = Duration::from_millis(1_500);
/// A sentence ends a cue that has so many characters.
const SENTENCE: usize = 24;

/// Cuts words into cues.
pub(super) fn cues(words: &[Timed]) -> Vec<Cue<'_>> {
    let mut cues: Vec<Cue<'_>> = Vec::new();
    for word in words {
        match cues.last_mut().filter(|cue| cue.takes(word)) {
            Some(cue) => {
                cue.words.push(&word.text);
                cue.time.end = word.time.end.max(cue.time.end);
            }
            None => cues.push(Cue {
                time: word.time.clone(),
                speaker: &word.speaker,
                words: vec![&word.text],
            }),
        }
    }
    cues
}

// === impl Cue ===

impl Cue<'_> {
    /// Whether a word belongs to it.
    fn takes(&self, word: &Timed) -> bool {
        let length = self.length();
        let ended = self.words.last().is_some_and(|last| ends_sentence(last)) && length >= SENTENCE;
        word.speaker == self.speaker
            && !ended
            && length + 1 + word.text.chars().count() <= MOST
            && word.time.start.saturating_sub(self.time.end) < PAUSE
            && word.time.end.saturating_sub(self.time.start) <= LONGEST
    }

    fn length(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.chars().count() + 1)
            .sum::<usize>()
            .saturating_sub(1)
    }

    /// The words in one line or two, behind the speaker.
    pub(super) fn text(&self) -> String {
        let plain = self.plain();
        if self.speaker.is_empty() {
            return plain;
        }
        format!(
            "{}: {plain}",
            self.speaker.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    }

    /// The words in one line or two: cut where the halves are most alike.
    pub(super) fn plain(&self) -> String {
        let words: Vec<String> = self
            .words
            .iter()
            .map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let length = self.length();
        if length <= LINE {
            return join(&words);
        }
        let mut passed = 0;
        let mut best = (usize::MAX, words.len());
        for (at, word) in words.iter().enumerate().skip(1) {
            passed += words[at - 1].chars().count() + 1;
            let apart = (2 * passed).abs_diff(length + 1);
            if apart < best.0 {
                best = (apart, at);
            }
            if word.is_empty() {
                break;
            }
        }
        let (first, second) = words.split_at(best.1);
        if second.is_empty() {
            return join(first);
        }
        format!("{}\n{}", join(first), join(second))
    }
}

/// Words with spaces between them, but not between signs of scripts without.
fn join(words: &[String]) -> String {
    let mut line = String::new();
    for word in words {
        let tight = line.chars().next_back().is_some_and(is_sign) && word.chars().next().is_some_and(is_sign);
        if !line.is_empty() && !tight {
            line.push(' ');
        }
        line += word;
    }
    line
}

/// Han, kana and their punctuation.
fn is_sign(character: char) -> bool {
    matches!(u32::from(character), 0x3000..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF | 0x2_0000..=0x3_FFFF)
}

fn ends_sentence(word: &str) -> bool {
    let bare = word.trim_end_matches(['"', '\'', ')', '”', '’', '»', '」']);
    bare.ends_with(['.', '!', '?', '…', '。', '！', '？'])
}
