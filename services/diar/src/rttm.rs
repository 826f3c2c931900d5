//! Rich Transcription Time Marked (NIST, RT-09 evaluation plan, appendix A): SPEAKER lines, written and read.
//!
//! `SPEAKER file channel onset duration <NA> <NA> speaker confidence <NA>`, fields parted by spaces, times in seconds.
//! Lines of other types, and comments (`;;`), are passed over.

use std::fmt::Write;
use std::time::Duration;

use crate::domain::{Segment, label};

/// A SPEAKER line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The recording.
    pub file: String,
    /// Where the turn begins.
    pub start: Duration,
    /// Where it ends.
    pub end: Duration,
    /// Who.
    pub speaker: String,
}

/// A line that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the RTTM: {problem}")]
pub struct Broken {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub problem: String,
}

/// What stands for a field without a value.
const NONE: &str = "<NA>";

/// Writes segments as a file that is called `file`. Whitespace in the name would part fields, and becomes `_`.
pub fn write(file: &str, segments: &[Segment]) -> String {
    write_named(file, segments, label)
}

/// The same with names of one's own for the people.
pub fn write_named(file: &str, segments: &[Segment], name: impl Fn(usize) -> String) -> String {
    let file = field(file);
    let mut text = String::new();
    for segment in segments {
        let start = segment.start.as_secs_f64();
        let length = segment.end.saturating_sub(segment.start).as_secs_f64();
        let speaker = field(&name(segment.speaker));
        let confidence = segment
            .confidence
            .map_or_else(|| NONE.to_owned(), |confidence| format!("{confidence:.3}"));
        let line = writeln!(
            text,
            "SPEAKER {file} 1 {start:.3} {length:.3} {NONE} {NONE} {speaker} {confidence} {NONE}"
        );
        // Writing to a string cannot fail.
        debug_assert!(line.is_ok());
    }
    text
}

/// Reads the SPEAKER lines of a file.
///
/// # Errors
/// The first line that has too few fields or a time that is no time.
pub fn read(text: &str) -> Result<Vec<Line>, Broken> {
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(at, line)| {
            let mut fields = line.split_whitespace();
            (fields.next() == Some("SPEAKER")).then(|| {
                parse(fields).map_err(|problem| Broken {
                    line: at + 1,
                    problem,
                })
            })
        })
        .collect()
}

fn parse<'a>(mut fields: impl Iterator<Item = &'a str>) -> Result<Line, String> {
    let mut next = |what: &str| fields.next().ok_or_else(|| format!("it ends before its {what}"));
    let file = next("file")?.to_owned();
    next("channel")?;
    let start = time("onset", next("onset")?)?;
    let length = time("duration", next("duration")?)?;
    next("orthography")?;
    next("speaker type")?;
    let speaker = next("speaker")?.to_owned();
    let end = start
        .checked_add(length)
        .ok_or_else(|| "its end is too late for a time".to_owned())?;
    Ok(Line {
        file,
        start,
        end,
        speaker,
    })
}

fn time(what: &str, field: &str) -> Result<Duration, String> {
    let seconds: f64 = field
        .parse()
        .map_err(|_| format!("its {what} {field:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("its {what} {field:?} is not a time"))
}

fn field(text: &str) -> String {
    if text.is_empty() {
        return NONE.to_owned();
    }
    text.replace(|letter: char| letter.is_whitespace() || letter.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: u64, end: u64, speaker: usize, confidence: Option<f32>) -> Segment {
        Segment {
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            speaker,
            confidence,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let segments = [segment(0, 1_250, 0, Some(0.5)), segment(1_000, 61_001, 12, None)];
        let text = write("a meeting", &segments);
        assert_eq!(
            text,
            "SPEAKER a_meeting 1 0.000 1.250 <NA> <NA> SPEAKER_00 0.500 <NA>\n\
             SPEAKER a_meeting 1 1.000 60.001 <NA> <NA> SPEAKER_12 <NA> <NA>\n"
        );
        let lines = read(&text).expect("our own");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].speaker, "SPEAKER_12");
        assert_eq!(
            (lines[1].start, lines[1].end),
            (segments[1].start, segments[1].end)
        );
    }

    #[test]
    fn other_lines_are_passed_over() {
        let text = ";; made by hand\nSPKR-INFO m 1 <NA> <NA> <NA> unknown ana <NA> <NA>\n\nSPEAKER m 1 0.5 0.25 <NA> <NA> ana\n";
        let lines = read(text).expect("well formed");
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].end, Duration::from_millis(750));
    }

    #[test]
    fn a_broken_line_is_told_by_its_number() {
        let broken = [
            ("SPEAKER m 1 0.5", "its duration"),
            ("SPEAKER m 1 half 1 <NA> <NA> a", "\"half\" is not a number"),
            ("SPEAKER m 1 -1 1 <NA> <NA> a", "\"-1\" is not a time"),
            ("SPEAKER m 1 NaN 1 <NA> <NA> a", "\"NaN\" is not a time"),
            ("SPEAKER m 1 1e19 1e19 <NA> <NA> a", "too late"),
        ];
        for (line, problem) in broken {
            let text = format!("SPEAKER m 1 0 1 <NA> <NA> a\n{line}\n");
            let error = read(&text).expect_err(line);
            assert_eq!(error.line, 2);
            assert!(error.problem.contains(problem), "{line}: {error}");
        }
    }
}
