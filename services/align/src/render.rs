//! Words with times as files that other programs read: SubRip and WebVTT subtitles, Praat TextGrids, NIST CTM.
//!
//! Pure text from plain data: no engine, no wire, so that whoever has words can use it. Times are seconds from the
//! beginning of the recording.

mod cues;
mod textgrid;

use std::ops::Range;
use std::time::Duration;

pub use textgrid::textgrid;

/// A word with its time, and what is in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timed {
    /// The word, or the character or phone.
    pub text: String,
    /// When it is said.
    pub time: Range<Duration>,
    /// How well it fits, 0 to 1.
    pub score: f32,
    /// Who says it; empty: nobody knows.
    pub speaker: String,
    /// Its characters.
    pub characters: Vec<Self>,
    /// Its phones.
    pub phones: Vec<Self>,
}

/// SubRip subtitles: a cue for each line of about 42 characters, and a new one after a pause, a sentence or a speaker.
pub fn srt(words: &[Timed]) -> String {
    let cues = cues::cues(words).into_iter().enumerate();
    let cue = |(number, cue): (usize, cues::Cue<'_>)| {
        let (start, end) = (clock(cue.time.start, ','), clock(cue.time.end, ','));
        format!("{}\n{start} --> {end}\n{}\n\n", number + 1, cue.text())
    };
    cues.map(cue).collect()
}

/// WebVTT subtitles, cut as [`srt`]; speakers as voices.
pub fn vtt(words: &[Timed]) -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    for cue in cues::cues(words) {
        let (start, end) = (clock(cue.time.start, '.'), clock(cue.time.end, '.'));
        let voice = if cue.speaker.is_empty() {
            String::new()
        } else {
            format!("<v {}>", escaped(cue.speaker))
        };
        text += &format!("{start} --> {end}\n{voice}{}\n\n", escaped(&cue.plain()));
    }
    text
}

/// NIST CTM: recording, channel 1, begin, length, word, confidence; a line for each word.
pub fn ctm(words: &[Timed], recording: &str) -> String {
    // Fields are parted by spaces.
    let field = |text: &str| -> String {
        let joined = text.split_whitespace().collect::<Vec<_>>().join("_");
        if joined.is_empty() { "-".to_owned() } else { joined }
    };
    let recording = field(recording);
    let line = |word: &Timed| {
        let (start, length) = (
            word.time.start.as_secs_f64(),
            (word.time.end - word.time.start).as_secs_f64(),
        );
        format!(
            "{recording} 1 {start:.3} {length:.3} {} {:.3}\n",
            field(&word.text),
            word.score
        )
    };
    words.iter().map(line).collect()
}

/// Hours, minutes, seconds and milliseconds.
fn clock(time: Duration, point: char) -> String {
    let millis = time.as_millis();
    let (seconds, minutes, hours) = (millis / 1_000, millis / 60_000, millis / 3_600_000);
    format!(
        "{hours:02}:{:02}:{:02}{point}{:03}",
        minutes % 60,
        seconds % 60,
        millis % 1_000
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
