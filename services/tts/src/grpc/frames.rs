//! Encoded audio cut into frames of at most 32 KiB, each with the words and marks that begin in it.

use std::collections::VecDeque;
use std::time::Duration;

use polyphony_proto::tts::v1 as pb;
use polyphony_wire::wire_duration;
use prost::bytes::Bytes;

/// The largest frame. A multiple of every size that a sample has.
const MOST_BYTES: usize = 32 << 10;

/// What waits for the audio in which it begins, and how far the audio is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    words: VecDeque<(Duration, pb::SpokenWord)>,
    marks: VecDeque<(Duration, pb::Timepoint)>,
    sent: Duration,
}

impl Frames {
    /// A word that begins then, if words are told.
    pub(super) fn word(&mut self, start: Duration, word: Option<pb::SpokenWord>) {
        self.words.extend(word.map(|word| (start, word)));
    }

    /// A mark that is passed then.
    pub(super) fn mark(&mut self, at: Duration, mark: pb::Timepoint) {
        self.marks.push_back((at, mark));
    }

    /// Forgets what begins then or later: no audio of it comes.
    pub(super) fn forget_after(&mut self, end: Duration) {
        self.words.retain(|(start, _)| *start < end);
        self.marks.retain(|(at, _)| *at < end);
    }

    /// Bytes as frames; with them all before `heard` can be heard.
    pub(super) fn cut(&mut self, bytes: Vec<u8>, heard: Duration) -> Vec<pb::AudioFrame> {
        let (from, all) = (self.sent, bytes.len());
        let mut bytes = Bytes::from(bytes);
        let mut frames = Vec::with_capacity(all.div_ceil(MOST_BYTES));
        while !bytes.is_empty() {
            let piece = bytes.split_to(MOST_BYTES.min(bytes.len()));
            let begin = self.sent;
            // Samples are all of a size; within a burst of packets it is near enough.
            let share = (all - bytes.len()) as f64 / all as f64;
            self.sent = if bytes.is_empty() {
                heard.max(begin)
            } else {
                from + heard.saturating_sub(from).mul_f64(share)
            };
            frames.push(self.frame(piece, begin, self.sent));
        }
        frames
    }

    /// The last bytes as frames, with all that still waits.
    pub(super) fn finish(&mut self, bytes: Vec<u8>, length: Duration) -> Vec<pb::AudioFrame> {
        let mut frames = self.cut(bytes, length);
        if !self.words.is_empty() || !self.marks.is_empty() {
            let rest = self.frame(Bytes::new(), self.sent, Duration::MAX);
            match frames.last_mut() {
                Some(last) => {
                    last.words.extend(rest.words);
                    last.timepoints.extend(rest.timepoints);
                }
                None => frames.push(rest),
            }
        }
        frames
    }

    /// A frame that begins and ends then.
    fn frame(&mut self, audio: Bytes, begin: Duration, end: Duration) -> pb::AudioFrame {
        let words = self.words.partition_point(|(start, _)| *start < end);
        // A mark behind all that is said is passed when that is over.
        let marks = self.marks.partition_point(|(at, _)| *at <= end);
        pb::AudioFrame {
            audio_content: audio,
            audio_offset: Some(wire_duration(begin)),
            words: self.words.drain(..words).map(|(_, word)| word).collect(),
            timepoints: self.marks.drain(..marks).map(|(_, mark)| mark).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Option<pb::SpokenWord> {
        Some(pb::SpokenWord {
            word: text.to_owned(),
            ..pb::SpokenWord::default()
        })
    }

    fn mark(name: &str) -> pb::Timepoint {
        pb::Timepoint {
            mark_name: name.to_owned(),
            offset: None,
        }
    }

    fn told(frame: &pb::AudioFrame) -> (usize, Vec<&str>, Vec<&str>) {
        let words = frame.words.iter().map(|word| word.word.as_str());
        let marks = frame.timepoints.iter().map(|mark| mark.mark_name.as_str());
        (frame.audio_content.len(), words.collect(), marks.collect())
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_word_comes_with_the_audio_of_its_beginning() {
        let mut frames = Frames::default();
        frames.word(Duration::ZERO, word("one"));
        frames.word(100 * MS, word("two"));
        frames.word(250 * MS, word("three"));
        frames.mark(100 * MS, mark("between"));
        let first = frames.cut(vec![0; 100], 100 * MS);
        assert_eq!(told(&first[0]), (100, vec!["one"], vec!["between"]));
        assert!(frames.cut(Vec::new(), 150 * MS).is_empty());
        let second = frames.cut(vec![0; 100], 200 * MS);
        assert_eq!(told(&second[0]), (100, vec!["two"], vec![]));
        assert_eq!(second[0].audio_offset, Some(wire_duration(100 * MS)));
        let last = frames.finish(Vec::new(), 200 * MS);
        assert_eq!(told(&last[0]), (0, vec!["three"], vec![]));
    }

    #[test]
    fn large_bursts_are_cut_where_samples_end() {
        let mut frames = Frames::default();
        // 3 s of 16-bit samples at 16 kHz.
        for at in 0..3 {
            frames.word(1_000 * MS * at, word(&at.to_string()));
        }
        let cut = frames.cut(vec![0; 96_000], 3_000 * MS);
        let sizes: Vec<usize> = cut.iter().map(|frame| frame.audio_content.len()).collect();
        assert_eq!(sizes, [32_768, 32_768, 30_464]);
        assert_eq!(cut[1].audio_offset, Some(wire_duration(1_024 * MS)));
        assert_eq!(told(&cut[0]).1, ["0", "1"]);
        assert_eq!(told(&cut[1]).1, ["2"]);
    }

    #[test]
    fn what_is_cancelled_is_not_told() {
        let mut frames = Frames::default();
        frames.word(50 * MS, word("said"));
        frames.word(150 * MS, word("gone"));
        frames.mark(150 * MS, mark("gone"));
        frames.forget_after(100 * MS);
        let rest = frames.finish(vec![0], 120 * MS);
        assert_eq!(told(&rest[0]), (1, vec!["said"], vec![]));
    }
}
