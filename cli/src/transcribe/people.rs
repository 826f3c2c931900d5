//! `--diarize`: the words of a transcript with the people who speak them.

use std::time::Duration;

use polyphony_proto::asr::v1::WordInfo;
use polyphony_proto::diar::v1::SpeakerSegment;

use super::Line;
use crate::diarize::who;
use crate::wire::duration;

/// Gives each word to whoever speaks most of it, and parts lines where another begins to speak. `segments` are one speaker
/// at a time, in order of time.
pub(super) fn assign(lines: Vec<Line>, segments: &[SpeakerSegment]) -> Vec<Line> {
    lines.into_iter().flat_map(|line| part(line, segments)).collect()
}

fn part(line: Line, segments: &[SpeakerSegment]) -> Vec<Line> {
    if line.words.is_empty() {
        let speaker = speaker(line.start, line.end, segments);
        return vec![Line { speaker, ..line }];
    }
    let mut parts: Vec<Line> = Vec::new();
    for mut word in line.words {
        let (start, end) = (duration(word.start_offset), duration(word.end_offset));
        let speaker = speaker(start, end, segments);
        word.speaker_label = speaker.clone().unwrap_or_default();
        match parts.last_mut().filter(|part| part.speaker == speaker) {
            Some(part) => part.push(word, end),
            None => {
                let mut part = Line {
                    start,
                    end,
                    text: String::new(),
                    confidence: line.confidence,
                    words: Vec::new(),
                    speaker,
                };
                part.push(word, end);
                parts.push(part);
            }
        }
    }
    if let [only] = parts.as_mut_slice() {
        // Nothing was parted: the text stays as it was written, and so do its times.
        (only.text, only.start, only.end) = (line.text, line.start, line.end);
    }
    parts
}

/// Who speaks most of a span; where nobody does, whoever is nearest.
fn speaker(start: Duration, end: Duration, segments: &[SpeakerSegment]) -> Option<String> {
    let closeness = |segment: &&SpeakerSegment| {
        let (from, to) = (duration(segment.start_offset), duration(segment.end_offset));
        let shared = end.min(to).saturating_sub(start.max(from));
        let apart = from.saturating_sub(end).max(start.saturating_sub(to));
        (shared, std::cmp::Reverse(apart))
    };
    segments
        .iter()
        .max_by_key(closeness)
        .map(|segment| who(segment).to_owned())
}

// === impl Line ===

impl Line {
    fn push(&mut self, word: WordInfo, end: Duration) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&word.word);
        self.end = end;
        self.words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use polyphony_proto::time::to_wire;

    use super::*;

    fn at(seconds: f64) -> Option<prost_types::Duration> {
        Some(to_wire(Duration::from_secs_f64(seconds)))
    }

    fn segment(start: f64, end: f64, label: &str) -> SpeakerSegment {
        SpeakerSegment {
            start_offset: at(start),
            end_offset: at(end),
            speaker_label: label.to_owned(),
            ..SpeakerSegment::default()
        }
    }

    fn line(words: &[(&str, f64, f64)]) -> Line {
        let word = |(word, start, end): &(&str, f64, f64)| WordInfo {
            word: (*word).to_owned(),
            start_offset: at(*start),
            end_offset: at(*end),
            ..WordInfo::default()
        };
        Line {
            start: Duration::ZERO,
            end: Duration::from_secs(9),
            text: "As it, was written.".to_owned(),
            confidence: None,
            words: words.iter().map(word).collect(),
            speaker: None,
        }
    }

    fn told<'a>(lines: &'a [Line]) -> Vec<(&'a str, &'a str)> {
        let told = |line: &'a Line| (line.speaker.as_deref().unwrap_or("nobody"), line.text.as_str());
        lines.iter().map(told).collect()
    }

    #[test]
    fn a_line_is_parted_where_another_begins_to_speak() {
        let segments = [segment(0.0, 2.0, "A"), segment(2.0, 4.0, "B")];
        let words = [("yes", 0.2, 0.5), ("well", 1.8, 2.1), ("no", 2.5, 3.0)];
        let lines = assign(vec![line(&words)], &segments);
        assert_eq!(told(&lines), [("A", "yes well"), ("B", "no")]);
        assert_eq!(lines[1].start, Duration::from_secs_f64(2.5));
    }

    #[test]
    fn one_speaker_keeps_the_line_as_it_was_written() {
        let lines = assign(vec![line(&[("As", 0.0, 0.5)])], &[segment(0.0, 9.0, "A")]);
        assert_eq!(told(&lines), [("A", "As it, was written.")]);
        assert_eq!(lines[0].end, Duration::from_secs(9));
    }

    #[test]
    fn a_word_between_segments_goes_to_the_nearest() {
        let segments = [segment(0.0, 1.0, "A"), segment(5.0, 6.0, "B")];
        let lines = assign(vec![line(&[("um", 3.9, 4.2)])], &segments);
        assert_eq!(told(&lines), [("B", "As it, was written.")]);
        assert_eq!(
            told(&assign(vec![line(&[("um", 3.9, 4.2)])], &[])),
            [("nobody", "As it, was written.")]
        );
    }
}
