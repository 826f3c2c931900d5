//! Cuts audio into frames as torchcrepe does: 1,024 samples around each multiple of the hop, zeros beyond both ends.

use std::time::Duration;

use crate::domain::PITCH_RATE;

/// Samples of a frame: 64 ms.
pub const FRAME: usize = 1_024;

const HALF: u64 = FRAME as u64 / 2;
const NANOS: u128 = 1_000_000_000;
/// A frame of silence is divided by this, as torchcrepe does.
const LEAST_DEVIATION: f64 = 1e-10;

/// Cuts one stream. Holds no more than what the next frames need.
#[derive(Debug)]
pub(super) struct Framer {
    hop: Duration,
    /// Samples from `start` on, which is counted with the zeros before the first.
    buffer: Vec<f32>,
    start: u64,
    /// Samples taken in.
    taken: u64,
    /// The next frame to cut.
    next: u64,
    ended: bool,
}

// === impl Framer ===

impl Framer {
    pub(super) fn new(hop: Duration) -> Self {
        Self {
            hop,
            buffer: vec![0.0; HALF as usize],
            start: 0,
            taken: 0,
            next: 0,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, samples: &[f32]) {
        self.buffer.extend_from_slice(samples);
        self.taken += samples.len() as u64;
    }

    /// No more comes: zeros follow.
    pub(super) fn end(&mut self) {
        self.buffer.resize(self.buffer.len() + HALF as usize, 0.0);
        self.ended = true;
    }

    /// How many frames can be cut now. The last lies no later than the end of the audio; no audio has no frames.
    pub(super) fn ready(&self) -> usize {
        let needed = if self.ended { 0 } else { HALF };
        if self.taken == 0 || self.taken < needed {
            return 0;
        }
        let last = self.last_at_or_before(self.taken - needed);
        usize::try_from((last + 1).saturating_sub(self.next)).unwrap_or(usize::MAX)
    }

    /// Hands out the next frame as it is heard. It must be ready.
    pub(super) fn cut(&mut self) -> &[f32] {
        // With the zeros in front, a frame begins where its middle is without them.
        let from = self.middle(self.next);
        self.next += 1;
        let mut skip = usize::try_from(from - self.start).unwrap_or(usize::MAX);
        // Moved rarely: half of the buffer is garbage by then.
        if skip >= FRAME.max(self.buffer.len() / 2) {
            self.buffer.drain(..skip);
            self.start = from;
            skip = 0;
        }
        &self.buffer[skip..skip + FRAME]
    }

    /// The sample nearest to a multiple of the hop.
    fn middle(&self, frame: u64) -> u64 {
        let nanos = self.hop.as_nanos() * u128::from(frame);
        ((nanos * u128::from(PITCH_RATE) + NANOS / 2) / NANOS) as u64
    }

    fn last_at_or_before(&self, sample: u64) -> u64 {
        // Rounding can move a frame by half a sample, so the quotient can be off by one.
        let nanos = u128::from(sample) * NANOS / u128::from(PITCH_RATE);
        let near = (nanos / self.hop.as_nanos()) as u64;
        (near.saturating_sub(1)..=near + 1)
            .rev()
            .find(|frame| self.middle(*frame) <= sample)
            .unwrap_or(0)
    }
}

/// The frame with mean 0 and deviation 1, as the network was taught.
pub(super) fn normalize(frame: &[f32], out: &mut Vec<f32>) {
    let count = frame.len() as f64;
    let mean = frame.iter().map(|sample| f64::from(*sample)).sum::<f64>() / count;
    let squares: f64 = frame
        .iter()
        .map(|sample| (f64::from(*sample) - mean).powi(2))
        .sum();
    let deviation = (squares / (count - 1.0)).sqrt().max(LEAST_DEVIATION);
    out.extend(
        frame
            .iter()
            .map(|sample| ((f64::from(*sample) - mean) / deviation) as f32),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(framer: &mut Framer, out: &mut Vec<f32>) {
        for _ in 0..framer.ready() {
            out.push(framer.cut()[HALF as usize]);
        }
    }

    #[test]
    fn there_are_as_many_frames_as_torchcrepe_has() {
        for (samples, frames) in [(0, 0), (1, 1), (159, 1), (160, 2), (161, 2), (16_000, 101)] {
            let mut framer = Framer::new(Duration::from_millis(10));
            framer.push(&vec![0.5; samples]);
            framer.end();
            assert_eq!(framer.ready(), frames, "{samples}");
        }
    }

    #[test]
    fn frames_are_the_same_however_the_samples_are_cut() {
        let audio: Vec<f32> = (0..20_000_u16).map(f32::from).collect();
        let mut all = Vec::new();
        for size in [1, 7, 160, 4_096, 20_000] {
            // 5.8 ms is 92.8 samples.
            let mut framer = Framer::new(Duration::from_micros(5_800));
            let mut middles = Vec::new();
            for piece in audio.chunks(size) {
                framer.push(piece);
                cut_all(&mut framer, &mut middles);
            }
            framer.end();
            cut_all(&mut framer, &mut middles);
            all.push(middles);
        }
        assert_eq!(&all[0][..4], [0.0, 93.0, 186.0, 278.0], "nearest, without drift");
        assert_eq!(all[0].len(), 216);
        assert!(all.iter().all(|middles| *middles == all[0]));
    }

    #[test]
    fn silence_does_not_divide_by_zero() {
        let mut out = Vec::new();
        normalize(&[0.25; FRAME], &mut out);
        assert!(out.iter().all(|sample| sample.abs() < 1e-3));
    }
}
