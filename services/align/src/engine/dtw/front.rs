//! What the audio and the synthesised speech are compared by: mel-frequency cepstra every 10 ms, and the level.

use polyphony_audio::mel::Padding;
use polyphony_audio::mfcc::{Frames, Mfcc, MfccSettings};

use crate::Error;

/// Frames a second.
pub(super) const RATE: usize = 100;
/// Samples from one frame to the next, at 16 kHz.
pub(super) const HOP: usize = 160;
/// Values in a frame.
pub(super) const WIDTH: usize = 13;
/// Samples in a transform.
const SIZE: usize = 512;
/// What lies before the middle of the first frame.
const LEAD: usize = SIZE / 2;

/// Cepstra and levels as samples come: frame `n` lies around sample `n * HOP`.
#[derive(Debug, Clone)]
pub(super) struct Front {
    mfcc: Mfcc,
    /// Samples from the beginning of the next frame.
    tail: Vec<f32>,
    taken: usize,
}

/// What was heard, frame by frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Sound {
    /// [`WIDTH`] cepstra a frame.
    pub(super) cepstra: Frames,
    /// The level of each frame in decibels.
    pub(super) levels: Vec<f32>,
}

// === impl Front ===

impl Front {
    pub(super) fn new() -> Result<Self, Error> {
        let settings = MfccSettings {
            sample_rate: 16_000,
            n_fft: SIZE,
            window: 400,
            hop: HOP,
            padding: Padding::None,
            mels: 40,
            low: 100.0,
            high: 7_600.0,
            coefficients: WIDTH,
            top_db: None,
            lifter: 0.0,
        };
        let mfcc = Mfcc::new(settings).map_err(|error| Error::engine(super::NAME, error))?;
        Ok(Self {
            mfcc,
            tail: vec![0.0; LEAD],
            taken: 0,
        })
    }

    /// Takes samples and appends the frames that they complete.
    pub(super) fn push(&mut self, samples: &[f32], sound: &mut Sound) {
        self.taken += samples.len();
        self.tail.extend_from_slice(samples);
        self.drain(sound);
    }

    /// Appends the frames that lie at the end; the next samples are of another recording.
    pub(super) fn finish(&mut self, sound: &mut Sound) {
        let missing = SIZE - LEAD;
        if self.taken > 0 {
            self.tail.extend(std::iter::repeat_n(0.0, missing));
            self.drain(sound);
        }
        self.tail.clear();
        self.tail.resize(LEAD, 0.0);
        self.taken = 0;
    }

    fn drain(&mut self, sound: &mut Sound) {
        let decibels = self.mfcc.decibels(&self.tail);
        let cepstra = self.mfcc.cepstra(&decibels);
        sound.levels.extend(decibels.rows().map(level));
        sound.cepstra.width = WIDTH;
        sound.cepstra.data.extend(cepstra.data);
        self.tail.drain(..decibels.len() * HOP);
    }
}

/// All bands together.
fn level(row: &[f32]) -> f32 {
    let power: f32 = row
        .iter()
        .map(|decibels| (decibels * (std::f32::consts::LN_10 / 10.0)).exp())
        .sum();
    10.0 * power.log10()
}

// === impl Sound ===

impl Sound {
    pub(super) const fn len(&self) -> usize {
        self.levels.len()
    }

    /// Forgets the first frames.
    pub(super) fn forget(&mut self, frames: usize) {
        let frames = frames.min(self.levels.len());
        self.levels.drain(..frames);
        self.cepstra.data.drain(..frames * WIDTH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_do_not_depend_on_how_samples_are_cut() {
        let samples: Vec<f32> = (0..9_000).map(|n| ((n * n) as f32 * 0.001).sin() * 0.3).collect();
        let (mut whole, mut cut) = (Sound::default(), Sound::default());
        let mut front = Front::new().expect("settings");
        front.push(&samples, &mut whole);
        front.finish(&mut whole);
        for piece in samples.chunks(701) {
            front.push(piece, &mut cut);
        }
        front.finish(&mut cut);
        assert_eq!(whole.len(), samples.len() / HOP + 1);
        assert_eq!(whole.cepstra, cut.cepstra);
        assert_eq!(whole.levels, cut.levels);
    }
}
