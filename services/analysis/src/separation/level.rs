//! The loudness that a network is taught to expect: demucs takes the mean of the mix away and divides by its deviation,
//! both of the mean of its channels, over the whole mix.
//!
//! A stream does not know its whole. There both are of what has been heard up to the end of each segment, so the first
//! segments differ most. Little of it is heard: htdemucs brings each segment to one loudness of its own once more.

/// What is added to a deviation before anything is divided by it, as demucs does.
const LEAST: f64 = 1e-8;

/// The mean and deviation of what was heard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    count: u64,
    sum: f64,
    squares: f64,
}

/// How to bring a segment to a network and back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    pub(super) mean: f32,
    pub(super) deviation: f32,
}

// === impl Meter ===

impl Meter {
    /// Hears the samples of one moment, one a channel.
    pub(super) fn hear(&mut self, frame: impl ExactSizeIterator<Item = f32>) {
        let channels = frame.len() as f64;
        let value = frame.map(f64::from).sum::<f64>() / channels;
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }

    /// Of all that was heard. Silence has a deviation too small to hear.
    pub(super) fn level(&self) -> Level {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        // Of a sample, not of all there could be; rounding may take it below zero.
        let variance = (self.squares - count * mean * mean) / (count - 1.0).max(1.0);
        Level {
            mean: mean as f32,
            deviation: (variance.max(0.0).sqrt() + LEAST) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(frames: &[[f32; 2]]) -> Level {
        let mut meter = Meter::default();
        for frame in frames {
            meter.hear(frame.iter().copied());
        }
        meter.level()
    }

    #[test]
    fn the_level_is_of_the_mean_of_the_channels() {
        // 0.5, 1.5, 2.5: a deviation of 1 among three samples.
        let level = level(&[[0.0, 1.0], [1.0, 2.0], [3.0, 2.0]]);
        assert!(
            (level.mean - 1.5).abs() < 1e-6 && (level.deviation - 1.0).abs() < 1e-6,
            "{level:?}"
        );
    }

    #[test]
    fn silence_and_little_have_a_level() {
        for frames in [&[][..], &[[0.0, 0.0]][..], &[[0.3, 0.3]; 100][..]] {
            let level = level(frames);
            assert!(level.deviation > 0.0 && level.deviation < 1e-3, "{level:?}");
        }
    }
}
