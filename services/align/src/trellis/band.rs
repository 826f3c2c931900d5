//! Which states each frame may be in: a stretch that never goes back, so that memory and work are bounded.

use std::ops::Range;

/// The first state and the one past the last, for each frame; neither ever falls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    states: Vec<Range<u32>>,
}

// === impl Band ===

impl Band {
    /// All states in all frames.
    pub fn full(frames: usize, states: usize) -> Self {
        Self {
            states: vec![0..states as u32; frames],
        }
    }

    /// The states within `half` of the line that goes through them as fast as `progress` says of each frame, 0 or more
    /// (a straight line: Sakoe and Chiba 1978).
    pub fn along(progress: &[f32], states: usize, half: usize) -> Self {
        // Where nothing says how fast, the line is straight.
        let little = 1e-3;
        let all: f64 = progress.iter().map(|step| f64::from(step + little)).sum();
        let mut passed = 0.0;
        let around = |step: &f32| {
            let centre = (passed / all * states as f64) as usize;
            passed += f64::from(step + little);
            centre.saturating_sub(half) as u32..(centre + half + 1).min(states) as u32
        };
        Self::of(progress.iter().map(around).collect(), states)
    }

    /// The states within `half` of a path through them.
    pub fn around(path: &[u32], states: usize, half: usize) -> Self {
        let half = half as u32;
        let around = |state: &u32| state.saturating_sub(half)..(state + half + 1).min(states as u32);
        Self::of(path.iter().map(around).collect(), states)
    }

    /// Of stretches that may fall back: each is widened as far as it takes.
    pub fn of(mut ranges: Vec<Range<u32>>, states: usize) -> Self {
        let mut high = 0;
        for range in &mut ranges {
            high = range.end.clamp(high, states as u32);
            range.end = high.max(1);
        }
        let mut low = states.saturating_sub(1) as u32;
        for range in ranges.iter_mut().rev() {
            low = range.start.min(low);
            range.start = low.min(range.end - 1);
        }
        Self { states: ranges }
    }

    /// What both allow; what one alone allows where they have nothing in common.
    #[must_use]
    pub fn within(mut self, other: &Self, states: usize) -> Self {
        for (mine, other) in self.states.iter_mut().zip(&other.states) {
            let both = mine.start.max(other.start)..mine.end.min(other.end);
            if both.start < both.end {
                *mine = both;
            } else {
                *mine = other.clone();
            }
        }
        Self::of(self.states, states)
    }

    /// The number of frames.
    pub const fn frames(&self) -> usize {
        self.states.len()
    }

    /// The states of a frame.
    pub fn states(&self, frame: usize) -> Range<usize> {
        let range = &self.states[frame];
        range.start as usize..range.end as usize
    }

    /// All cells.
    pub fn cells(&self) -> usize {
        self.states.iter().map(ExactSizeIterator::len).sum()
    }
}
