//! Transcripts as subtitles: SubRip and WebVTT (W3C). Text in, text out.

use std::time::Duration;

/// A subtitle format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SubRip: `00:00:01,500`.
    Srt,
    /// WebVTT: `00:00:01.500`, and markup is escaped.
    Vtt,
}

/// One caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cue<'a> {
    /// When it appears.
    pub start: Duration,
    /// When it goes.
    pub end: Duration,
    /// What it says.
    pub text: &'a str,
}

/// A whole file. Cues without text are left out.
pub fn render<'a>(format: Format, cues: impl IntoIterator<Item = Cue<'a>>) -> String {
    let mut out = match format {
        Format::Srt => String::new(),
        Format::Vtt => "WEBVTT\n\n".to_owned(),
    };
    let cues = cues.into_iter().filter(|cue| !cue.text.trim().is_empty());
    for (number, cue) in cues.enumerate() {
        if format == Format::Srt {
            out.push_str(&format!("{}\n", number + 1));
        }
        let (start, end) = (stamp(format, cue.start), stamp(format, cue.end.max(cue.start)));
        out.push_str(&format!("{start} --> {end}\n{}\n\n", line(format, cue.text)));
    }
    out
}

fn stamp(format: Format, at: Duration) -> String {
    let (seconds, millis) = (at.as_secs(), at.subsec_millis());
    let point = if format == Format::Srt { ',' } else { '.' };
    format!(
        "{:02}:{:02}:{:02}{point}{millis:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A cue is one line: an empty line would end it, and `-->` would begin another.
fn line(format: Format, text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match format {
        Format::Srt => text.replace("-->", "->"),
        Format::Vtt => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUES: [Cue<'static>; 3] = [
        Cue {
            start: Duration::from_millis(500),
            end: Duration::from_millis(1_250),
            text: " go\n\nforward ",
        },
        Cue {
            start: Duration::from_secs(2),
            end: Duration::from_secs(3),
            text: " ",
        },
        Cue {
            start: Duration::from_secs(3_661),
            end: Duration::from_secs(3_660),
            text: "a <b> --> c & d",
        },
    ];

    #[test]
    fn subrip() {
        let expected = "1\n00:00:00,500 --> 00:00:01,250\ngo forward\n\n2\n01:01:01,000 --> 01:01:01,000\na <b> -> c & d\n\n";
        assert_eq!(render(Format::Srt, CUES), expected);
    }

    #[test]
    fn webvtt() {
        let expected = "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\ngo forward\n\n\
                        01:01:01.000 --> 01:01:01.000\na &lt;b&gt; --&gt; c &amp; d\n\n";
        assert_eq!(render(Format::Vtt, CUES), expected);
    }
}
