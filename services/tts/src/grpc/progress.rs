//! How much of a stream was spoken, and what is spoken now.

use std::time::{Duration, Instant};

use crate::domain::{Cancel, Word};

/// How much was spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    /// Bytes of the text since the beginning: the end of what was spoken last.
    pub(super) bytes: u64,
    pub(super) characters: u64,
}

/// What is spoken now.
pub(super) struct Now {
    stop: Cancel,
    began: Instant,
    is_heard: bool,
    /// Words that were given, each with its end in the audio of the stream and what is spoken then of this speech.
    words: Vec<(Duration, Spoken)>,
    is_cut: bool,
}

impl Spoken {
    /// More was spoken.
    pub(super) fn add(&mut self, more: Self) {
        self.bytes = self.bytes.max(more.bytes);
        self.characters += more.characters;
    }
}

impl Now {
    pub(super) fn new(stop: Cancel, began: Instant) -> Self {
        Self {
            stop,
            began,
            is_heard: false,
            words: Vec::new(),
            is_cut: false,
        }
    }

    /// A word was given, of an utterance that begins then.
    pub(super) fn word(&mut self, word: &Word, begin: Duration) {
        let before = self.words.last().map_or(0, |(_, spoken)| spoken.characters);
        let spoken = Spoken {
            bytes: word.source.end,
            characters: before + word.text.chars().count() as u64,
        };
        self.words.push((begin + word.end, spoken));
    }

    /// Audio goes out; how long it took, if it is the first.
    pub(super) fn heard(&mut self) -> Option<Duration> {
        let first = !std::mem::replace(&mut self.is_heard, true);
        first.then(|| self.began.elapsed())
    }

    /// Stops it, when so much audio has been given. Says what was spoken of it: the words that are over by then.
    pub(super) fn cut(&mut self, length: Duration) -> Spoken {
        self.stop.cancel();
        if std::mem::replace(&mut self.is_cut, true) {
            return Spoken::default();
        }
        let over = self.words.iter().rev().find(|(end, _)| *end <= length);
        over.map(|(_, spoken)| *spoken).unwrap_or_default()
    }

    /// Whether it was stopped.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timing;

    #[test]
    fn what_is_cut_counts_by_its_whole_words_and_once() {
        let stop = Cancel::default();
        let mut now = Now::new(stop.clone(), Instant::now());
        for (n, text) in ["one", "three"].into_iter().enumerate() {
            let (n, seconds) = (n as u64, Duration::from_secs(n as u64));
            let word = Word {
                text: text.to_owned(),
                source: n * 4..n * 4 + text.len() as u64,
                start: seconds,
                end: seconds + Duration::from_millis(500),
                timing: Timing::Model,
                phones: Vec::new(),
            };
            now.word(&word, Duration::from_secs(10));
        }
        let mut spoken = Spoken {
            bytes: 2,
            characters: 2,
        };
        spoken.add(now.cut(Duration::from_millis(11_400)));
        let wanted = Spoken {
            bytes: 3,
            characters: 5,
        };
        assert_eq!(spoken, wanted);
        assert!(stop.is_cancelled() && now.is_cut());
        spoken.add(now.cut(Duration::from_secs(20)));
        assert_eq!(spoken, wanted);
    }
}
