//! Which samples are run together, and which of the frames that come out are kept.
//!
//! A window hears some of the audio on both sides of what is kept of it. Windows lie on the grid of frames, so no frame
//! is lost or told twice.

use std::ops::Range;

use crate::domain::{Pace, SAMPLE_RATE};

/// Samples that come, and windows that are full.
#[derive(Debug, Clone)]
pub(super) struct Windows {
    samples: Vec<f32>,
    /// The frame of the first sample that is kept.
    begin: usize,
    /// The next frame to be told.
    next: usize,
    stride: usize,
    plan: Plan,
}

/// The lengths of a window, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    left: usize,
    core: usize,
    right: usize,
    /// All is run at once.
    single: bool,
}

/// A window: its samples, and which of the frames that they give are told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window<'a> {
    pub(super) samples: &'a [f32],
    pub(super) frames: Range<usize>,
}

/// A recording up to this long is run at once, as transformers runs it.
const SINGLE: usize = 30 * SAMPLE_RATE as usize;

// === impl Windows ===

impl Windows {
    pub(super) fn new(pace: Pace, stride: usize) -> Self {
        let frames = |seconds: f64| ((seconds * f64::from(SAMPLE_RATE)) as usize / stride).max(1);
        let plan = match pace {
            Pace::Whole { samples } => Plan {
                left: frames(3.0),
                core: frames(20.0),
                right: frames(3.0),
                single: samples <= SINGLE,
            },
            // What is held back here is part of what may be.
            Pace::Live { lookahead } => Plan {
                left: frames(3.0),
                core: frames((lookahead.as_secs_f64() / 4.0).clamp(0.5, 5.0)),
                right: frames((lookahead.as_secs_f64() / 8.0).clamp(0.25, 2.0)),
                single: false,
            },
        };
        Self {
            samples: Vec::new(),
            begin: 0,
            next: 0,
            stride,
            plan,
        }
    }

    pub(super) fn push(&mut self, samples: &[f32]) {
        self.samples.extend_from_slice(samples);
    }

    /// The next window that is full.
    pub(super) fn full(&self) -> Option<Window<'_>> {
        if self.plan.single {
            return None;
        }
        let Plan { core, right, .. } = self.plan;
        let end = (self.next + core + right - self.begin) * self.stride;
        let samples = self.samples.get(..end)?;
        let first = self.next - self.begin;
        Some(Window {
            samples,
            frames: first..first + core,
        })
    }

    /// What is left, now that no more comes; `frames` are those that its samples give.
    pub(super) fn rest(&self, frames: impl Fn(usize) -> usize) -> Window<'_> {
        let first = self.next - self.begin;
        Window {
            samples: &self.samples,
            frames: first..frames(self.samples.len()).max(first),
        }
    }

    /// So many frames were told.
    pub(super) fn told(&mut self, frames: usize) {
        self.next += frames;
        let begin = self.next.saturating_sub(self.plan.left).max(self.begin);
        self.samples
            .drain(..((begin - self.begin) * self.stride).min(self.samples.len()));
        self.begin = begin;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The frames of a model whose kernels are as long as its stride and a quarter.
    fn frames(samples: usize) -> usize {
        if samples < 400 {
            0
        } else {
            (samples - 400) / 320 + 1
        }
    }

    fn told(pace: Pace, samples: usize, cut: usize) -> Vec<usize> {
        let mut windows = Windows::new(pace, 320);
        // Each sample says which it is.
        let all: Vec<f32> = (0..samples).map(|sample| sample as f32).collect();
        let mut told = Vec::new();
        let mut tell = |window: &Window<'_>| {
            assert!(window.frames.end <= frames(window.samples.len()));
            let first = window.samples[0] as usize;
            assert_eq!(first % 320, 0);
            told.extend(window.frames.clone().map(|frame| first / 320 + frame));
            window.frames.len()
        };
        for piece in all.chunks(cut) {
            windows.push(piece);
            while let Some(window) = windows.full() {
                let count = tell(&window);
                windows.told(count);
            }
        }
        tell(&windows.rest(frames));
        told
    }

    #[test]
    fn every_frame_is_told_once_in_order() {
        let live = |seconds| Pace::Live {
            lookahead: Duration::from_secs(seconds),
        };
        for (pace, samples) in [
            (Pace::Whole { samples: 2_000_000 }, 2_000_000),
            (Pace::Whole { samples: 100_000 }, 100_000),
            (live(1), 333_333),
            (live(60), 1_234_567),
        ] {
            let expected: Vec<usize> = (0..frames(samples)).collect();
            for cut in [997, 16_000, samples] {
                assert_eq!(told(pace, samples, cut), expected, "{pace:?} cut at {cut}");
            }
        }
    }
}
