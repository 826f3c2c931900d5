//! How loud a frame is between the silence and the speech of its recording, and what a gap there costs.

/// The level of silence and of speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    floor: f32,
    speech: f32,
}

/// Below this share of the way from silence to speech a frame is silent, above the other it is speech.
const SILENT: f32 = 0.15;
const LOUD: f32 = 0.45;
/// What a gap costs in a silent and in a loud frame.
const QUIET_COST: f32 = 0.6;
const LOUD_COST: f32 = 1.6;
/// The share from which a frame counts for the means of speech.
const SPEECH: f32 = 0.4;
/// Silence lies at most so far below speech, in decibels.
const RANGE: f32 = 45.0;
/// Levels that are looked at, at most.
const SAMPLE: usize = 1 << 16;

// === impl Levels ===

impl Levels {
    /// Of a recording: its quietest twentieth, and the loudest twentieth of what is not silent.
    pub(super) fn of(levels: &[f32]) -> Self {
        let step = (levels.len() / SAMPLE).max(1);
        let mut sorted: Vec<f32> = levels.iter().step_by(step).copied().collect();
        sorted.sort_by(f32::total_cmp);
        let at = |levels: &[f32], share: f32| {
            let index = (levels.len().saturating_sub(1) as f32 * share) as usize;
            levels.get(index).copied().unwrap_or(0.0)
        };
        // How long nobody speaks must not matter for how loud speech is.
        let quiet = at(&sorted, 0.99) - RANGE;
        let loud = &sorted[sorted.partition_point(|level| *level < quiet)..];
        let speech = at(loud, 0.95);
        // Digital silence is no measure of how quiet a room is.
        let floor = at(&sorted, 0.05).max(speech - RANGE);
        Self {
            floor,
            speech: speech.max(floor + 1.0),
        }
    }

    /// For each frame, the share of the way from silence to speech, over 30 ms.
    pub(super) fn shares(self, levels: &[f32]) -> Vec<f32> {
        let at = |frame: usize| levels[frame.min(levels.len() - 1)];
        let mean = |frame: usize| (at(frame.saturating_sub(1)) + at(frame) + at(frame + 1)) / 3.0;
        let share = |frame| (mean(frame) - self.floor) / (self.speech - self.floor);
        (0..levels.len()).map(share).collect()
    }
}

/// What a gap costs in a frame.
pub(super) fn gap(share: f32) -> f32 {
    let loud = ((share - SILENT) / (LOUD - SILENT)).clamp(0.0, 1.0);
    QUIET_COST + (LOUD_COST - QUIET_COST) * loud
}

/// Whether there is speech in a frame.
pub(super) fn is_speech(share: f32) -> bool {
    share > SPEECH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_cheap_where_it_is_quiet() {
        let mut recording = vec![-60.0; 500];
        recording.extend(vec![-20.0; 500]);
        let shares = Levels::of(&recording).shares(&recording);
        assert!((gap(shares[10]) - QUIET_COST).abs() < 1e-6 && (gap(shares[900]) - LOUD_COST).abs() < 1e-6);
        assert!(is_speech(shares[900]) && !is_speech(shares[10]));
        assert!(Levels::of(&[]).shares(&[]).is_empty());
    }

    #[test]
    fn an_even_recording_is_not_divided_by_nothing() {
        let even = vec![-30.0; 100];
        assert!(
            Levels::of(&even)
                .shares(&even)
                .iter()
                .all(|share| share.is_finite())
        );
    }
}
