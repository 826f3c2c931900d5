//! What was said in a recording, with its tokens, and the transcript that is made of it.

use std::time::Duration;

use super::words::TimedWord;
use crate::domain::{Segment, TimingSource, Transcript, Word};

/// When a window is taken for invented. The default is openai-whisper's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// A window is silence if the probability of no speech is above this…
    pub no_speech: f64,
    /// …and its mean log-probability is not above this.
    pub log_prob: f64,
}

/// What was said, with what a transcript leaves out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcription {
    /// The language, named or found.
    pub language: Option<String>,
    /// In order of time.
    pub segments: Vec<TokenSegment>,
}

/// A segment and its tokens. Times are in seconds from the start of the recording.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSegment {
    /// Where it begins.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// Its text, with the space before it.
    pub text: String,
    /// Text and timestamps.
    pub tokens: Vec<u32>,
    /// The mean log-probability of its window's tokens.
    pub avg_log_prob: f64,
    /// The probability that nobody speaks in its window.
    pub no_speech_prob: f64,
    /// Its words.
    pub words: Vec<TokenWord>,
}

/// A word of a segment. Times are in seconds from the start of the recording.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenWord {
    /// The word, with the space before it.
    pub text: String,
    /// Where it begins.
    pub start: f64,
    /// Where it ends.
    pub end: f64,
    /// The mean probability of its tokens.
    pub probability: f64,
    /// Whether the times are the model's; else they are shares of the segment's time.
    pub aligned: bool,
}

// === impl Thresholds ===

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            no_speech: 0.6,
            log_prob: -1.0,
        }
    }
}

// === impl TokenWord ===

impl TokenWord {
    pub(super) fn of(word: TimedWord, aligned: bool) -> Self {
        let TimedWord {
            text,
            start,
            end,
            probability,
            ..
        } = word;
        Self {
            text,
            start,
            end: end.max(start),
            probability,
            aligned,
        }
    }
}

// === impl Transcription ===

impl Transcription {
    /// The transcript of a recording that lasts `length`. The model sees 30 s whatever is in them, and may set times after
    /// the end; these become the end.
    pub(super) fn into_transcript(self, length: Duration) -> Transcript {
        let mut segments: Vec<Segment> = self.segments.into_iter().map(Segment::from).collect();
        for segment in &mut segments {
            let words = segment.words.iter_mut();
            let words = words.flat_map(|word| [&mut word.start, &mut word.end]);
            for time in words.chain([&mut segment.start, &mut segment.end]) {
                *time = length.min(*time);
            }
        }
        Transcript {
            language: self.language,
            segments,
        }
    }
}

impl From<TokenSegment> for Segment {
    fn from(segment: TokenSegment) -> Self {
        let TokenSegment {
            start,
            end,
            text,
            tokens: _,
            avg_log_prob,
            no_speech_prob,
            words,
        } = segment;
        Self {
            text: text.trim().to_owned(),
            start: seconds(start),
            end: seconds(end.max(start)),
            words: words.into_iter().map(Word::from).collect(),
            confidence: Some(avg_log_prob.exp() as f32),
            avg_log_prob: Some(avg_log_prob as f32),
            no_speech_prob: Some(no_speech_prob as f32),
        }
    }
}

impl From<TokenWord> for Word {
    fn from(word: TokenWord) -> Self {
        let TokenWord {
            text,
            start,
            end,
            probability,
            aligned,
        } = word;
        Self {
            text: text.trim().to_owned(),
            start: seconds(start),
            end: seconds(end),
            confidence: Some(probability as f32),
            log_prob: Some(probability.ln() as f32),
            timing: if aligned {
                TimingSource::Model
            } else {
                TimingSource::Interpolated
            },
        }
    }
}

/// Whisper's times are multiples of 10 ms, computed in binary; this takes the dust off.
fn seconds(time: f64) -> Duration {
    Duration::from_millis((time.max(0.0) * 1000.0).round() as u64)
}
