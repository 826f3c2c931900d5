//! Cuts what a window was decoded to into segments, and says where the next window begins.
//!
//! The same as the body of openai-whisper's `transcribe` (whisper/transcribe.py): pairs of timestamps end segments;
//! an unfinished segment is left for the next window, which begins where the last finished one ended.

use super::greedy::Decoded;
use super::vocabulary::Vocabulary;

/// A stretch of a window's tokens, with its times in seconds from the start of the recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slice {
    pub(super) start: f64,
    pub(super) end: f64,
    /// Where its tokens begin and end in the window.
    pub(super) tokens: std::ops::Range<usize>,
}

/// A window, cut.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cut {
    pub(super) slices: Vec<Slice>,
    /// Frames to the next window.
    pub(super) advance: usize,
    /// Whether it ended in one timestamp, which means that nobody speaks after it.
    pub(super) finished: bool,
}

/// A window of the recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Its first frame.
    pub(super) seek: usize,
    /// Its frames, without the filling.
    pub(super) frames: usize,
}

/// The time between two timestamps, and its length in frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tick {
    pub(super) seconds: f64,
    pub(super) frames: usize,
}

// === impl Window ===

impl Window {
    /// Its first moment, in seconds.
    pub(super) fn start(self) -> f64 {
        self.seek as f64 / super::features::FRAME_RATE
    }
}

/// Cuts a window.
pub(super) fn cut(vocabulary: &Vocabulary, decoded: &Decoded, window: Window, tick: Tick) -> Cut {
    let tokens = decoded.tokens.as_slice();
    let is_time = |index: usize| {
        tokens
            .get(index)
            .is_some_and(|&token| vocabulary.is_timestamp(token))
    };
    let ticks = |index: usize| {
        tokens
            .get(index)
            .map_or(0, |token| token.saturating_sub(vocabulary.timestamps))
    };
    let offset = window.start();
    let at = |ticks: u32| offset + f64::from(ticks) * tick.seconds;

    let count = tokens.len();
    let finished = count >= 2 && !is_time(count - 2) && is_time(count - 1);
    let mut ends: Vec<usize> = (1..count)
        .filter(|&index| is_time(index - 1) && is_time(index))
        .collect();
    if ends.is_empty() {
        // No pair: one segment, to the last timestamp if there is one, else to the end of the window.
        let last = (0..count)
            .rev()
            .find(|&index| is_time(index))
            .map(ticks)
            .filter(|&ticks| ticks > 0);
        let end = last.map_or(offset + window.frames as f64 / super::features::FRAME_RATE, at);
        let slice = Slice {
            start: offset,
            end,
            tokens: 0..count,
        };
        return Cut {
            slices: vec![slice],
            advance: window.frames,
            finished,
        };
    }
    if finished {
        ends.push(count);
    }
    let mut start = 0;
    let mut slices = Vec::with_capacity(ends.len());
    for end in ends {
        slices.push(Slice {
            start: at(ticks(start)),
            end: at(ticks(end - 1)),
            tokens: start..end,
        });
        start = end;
    }
    let advance = if finished {
        window.frames
    } else {
        ticks(start - 1) as usize * tick.frames
    };
    Cut {
        slices,
        advance,
        finished,
    }
}
