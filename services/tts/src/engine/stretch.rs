//! Longer or shorter without another pitch: WSOLA (Verhelst and Roelands, "An overlap-add technique based on waveform
//! similarity for high quality time-scale modification of speech", ICASSP 1993).
//!
//! The output is made of overlapping frames of the input. Each is taken near where the change of speed wants it, at the
//! offset where it goes on most like what was played before.

/// Changes the speed of one stream of mono audio. What comes out does not depend on how the input was cut.
#[derive(Debug)]
pub(super) struct Stretch {
    speed: f64,
    /// Half a frame: the step of the output.
    hop: usize,
    /// How far a frame may be moved.
    reach: usize,
    /// A rising half of a Hann window.
    rise: Vec<f32>,
    input: Vec<f32>,
    /// Where `input` begins in all the input.
    dropped: usize,
    /// Frames that were played.
    frames: usize,
    /// Where the last frame began in all the input.
    last: usize,
    /// The falling half of the last frame, to be added to the next.
    tail: Vec<f32>,
    taken: usize,
    given: usize,
}

/// A frame holds two periods of a deep voice.
const HOP_SECONDS: f64 = 0.012;
/// A period of a deep voice.
const REACH_SECONDS: f64 = 0.010;

// === impl Stretch ===

impl Stretch {
    /// `speed` above 1 is shorter.
    pub(super) fn new(speed: f64, rate: u32) -> Self {
        let hop = (f64::from(rate) * HOP_SECONDS) as usize;
        let rise = (0..hop).map(|at| {
            let phase = std::f64::consts::PI * (at as f64 + 0.5) / hop as f64;
            (0.5 - 0.5 * phase.cos()) as f32
        });
        Self {
            speed,
            hop,
            reach: (f64::from(rate) * REACH_SECONDS) as usize,
            rise: rise.collect(),
            input: Vec::new(),
            dropped: 0,
            frames: 0,
            last: 0,
            tail: Vec::new(),
            taken: 0,
            given: 0,
        }
    }

    /// Takes samples and appends to `out` what is ready.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.input.extend_from_slice(samples);
        self.taken += samples.len();
        let all = (self.taken as f64 / self.speed) as usize;
        while self.given + self.hop <= all
            && self.wanted() + self.reach + 2 * self.hop <= self.dropped + self.input.len()
        {
            self.frame(out);
        }
    }

    /// Appends the rest: all together are as many samples as the speed makes of the input.
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) {
        let all = (self.taken as f64 / self.speed).round() as usize;
        let before = out.len();
        self.input
            .resize(self.input.len() + self.reach + 4 * self.hop, 0.0);
        while self.given < all {
            if self.wanted() + self.reach + 2 * self.hop > self.dropped + self.input.len() {
                let more = self.input.len() + self.hop;
                self.input.resize(more, 0.0);
            }
            self.frame(out);
        }
        let surplus = self.given.saturating_sub(all);
        out.truncate((out.len() - surplus).max(before));
    }

    /// Where the next frame is wanted, in all the input.
    fn wanted(&self) -> usize {
        (self.frames as f64 * self.hop as f64 * self.speed) as usize
    }

    fn frame(&mut self, out: &mut Vec<f32>) {
        let wanted = self.wanted();
        let begin = if self.frames == 0 { 0 } else { self.best(wanted) };
        let frame = &self.input[begin - self.dropped..begin - self.dropped + 2 * self.hop];
        let (first, second) = frame.split_at(self.hop);
        if self.frames == 0 {
            out.extend_from_slice(first);
        } else {
            let faded = first.iter().zip(&self.rise).map(|(sample, rise)| sample * rise);
            out.extend(self.tail.iter().zip(faded).map(|(old, new)| old + new));
        }
        self.tail.clear();
        let falls = self.rise.iter().rev();
        self.tail
            .extend(second.iter().zip(falls).map(|(sample, fall)| sample * fall));
        self.frames += 1;
        self.last = begin;
        self.given += self.hop;
        // What no later frame can begin at, nor be compared with.
        let needed = self.wanted().saturating_sub(self.reach).min(self.last + self.hop);
        self.input.drain(..needed.saturating_sub(self.dropped));
        self.dropped = self.dropped.max(needed);
    }

    /// The place near `wanted` where the input is most like what would come after the last frame.
    fn best(&self, wanted: usize) -> usize {
        let natural = self.last + self.hop - self.dropped;
        let Some(model) = self.input.get(natural..natural + self.hop) else {
            return wanted;
        };
        let (low, high) = (
            wanted.saturating_sub(self.reach).max(self.dropped),
            wanted + self.reach,
        );
        let likeness = |begin: usize| {
            let candidate = &self.input[begin - self.dropped..begin - self.dropped + self.hop];
            let (mut product, mut energy) = (0.0_f32, 1e-6_f32);
            for (one, other) in model.iter().zip(candidate) {
                product += one * other;
                energy += other * other;
            }
            product / energy.sqrt()
        };
        let last = (self.dropped + self.input.len()).saturating_sub(2 * self.hop);
        let candidates = (low..=high.min(last)).step_by(2);
        candidates
            .max_by(|one, other| likeness(*one).total_cmp(&likeness(*other)))
            .unwrap_or_else(|| wanted.min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 22_050;

    fn tone(seconds: f64) -> Vec<f32> {
        let samples = (f64::from(RATE) * seconds) as usize;
        (0..samples)
            .map(|at| (at as f32 * 150.0 * std::f32::consts::TAU / RATE as f32).sin())
            .collect()
    }

    fn stretched(input: &[f32], speed: f64, size: usize) -> Vec<f32> {
        let mut stretch = Stretch::new(speed, RATE);
        let mut out = Vec::new();
        for block in input.chunks(size) {
            stretch.push(block, &mut out);
        }
        stretch.finish(&mut out);
        out
    }

    #[test]
    fn the_length_changes_and_the_pitch_does_not() {
        let input = tone(1.0);
        for speed in [0.5, 0.8, 1.0, 1.3, 2.0, 3.0] {
            let out = stretched(&input, speed, 1_000);
            let wanted = (input.len() as f64 / speed).round() as usize;
            assert_eq!(out.len(), wanted, "{speed}");
            let crossings = out.windows(2).filter(|two| two[0] < 0.0 && two[1] >= 0.0).count();
            let heard = crossings as f64 * f64::from(RATE) / out.len() as f64;
            assert!((heard - 150.0).abs() < 4.0, "{speed}: {heard} Hz");
            let peak = out.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
            assert!((0.95..1.05).contains(&peak), "{speed}: {peak}");
        }
    }

    #[test]
    fn it_does_not_matter_how_the_audio_comes() {
        let input = tone(0.4);
        let whole = stretched(&input, 1.4, usize::MAX);
        for size in [1, 77, 1_000] {
            assert_eq!(stretched(&input, 1.4, size), whole, "{size}");
        }
    }

    #[test]
    fn little_or_no_audio_is_no_trouble() {
        assert!(stretched(&[], 2.0, 10).is_empty());
        assert_eq!(stretched(&[0.5; 7], 0.5, 10).len(), 14);
        assert_eq!(stretched(&[0.5; 300], 3.0, 10).len(), 100);
    }
}
