//! Samples to centred frames and their spectra, as they come.
//!
//! Frame `t` has its middle at sample `t * hop`; beyond the edges is silence. `n` samples give `1 + n / hop` frames, as
//! librosa's `center=True, pad_mode="constant"`.

use std::ops::Range;

use polyphony_audio::Error;
use polyphony_audio::mel::{Padding, Stft};

/// One frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// As many samples as the transform has.
    pub samples: &'a [f32],
    /// First and one past the last of them that are of the recording; the others are padding.
    pub sound: (usize, usize),
    /// The power of each bin under a Hann window; empty where no spectrum was asked for.
    pub power: &'a [f64],
    /// The roots of `power`; empty where they were not asked for.
    pub magnitude: &'a [f64],
}

/// What is made of the spectrum of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spectra {
    /// Nothing.
    None,
    /// The power of each bin.
    Power,
    /// The power and the magnitude of each bin.
    Magnitude,
}

/// Cuts samples into frames. Holds a frame and what was pushed last.
#[derive(Debug)]
pub struct Framer {
    stft: Option<Stft>,
    size: usize,
    hop: usize,
    /// What was pushed and is still needed, behind half a frame of silence at the beginning.
    held: Vec<f32>,
    /// Of `held`, how many samples the next frame is past.
    at: usize,
    /// Frames made.
    made: u64,
    /// Samples taken.
    taken: u64,
    power: Vec<f64>,
    magnitude: Vec<f64>,
}

// === impl Framer ===

impl Framer {
    /// Frames of `size` samples every `hop`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a size that no transform has.
    pub fn new(size: usize, hop: usize, spectra: Spectra) -> Result<Self, Error> {
        // Each frame is given to the transform alone, so its own hop is of no matter.
        let stft = (spectra > Spectra::None)
            .then(|| Stft::hann(size, 1, Padding::None))
            .transpose()?;
        let bins = stft.as_ref().map_or(0, Stft::bins);
        Ok(Self {
            stft,
            size,
            hop: hop.max(1),
            held: vec![0.0; size / 2],
            at: 0,
            made: 0,
            taken: 0,
            power: vec![0.0; bins],
            magnitude: if spectra == Spectra::Magnitude {
                vec![0.0; bins]
            } else {
                Vec::new()
            },
        })
    }

    /// Frequency bins of a spectrum.
    pub const fn bins(&self) -> usize {
        self.size / 2 + 1
    }

    /// Frames made so far.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Samples taken so far.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes samples and gives the frames that are now whole.
    pub fn push(&mut self, samples: &[f32], mut each: impl FnMut(Frame<'_>)) {
        self.taken += samples.len() as u64;
        self.held.extend_from_slice(samples);
        self.run(None, &mut each);
        let gone = self.at.min(self.held.len());
        self.held.drain(..gone);
        self.at -= gone;
    }

    /// Gives the last frames. Nothing may be pushed after it.
    pub fn finish(&mut self, mut each: impl FnMut(Frame<'_>)) {
        let end = self.held.len();
        self.held.resize(end + self.size / 2, 0.0);
        self.run(Some(end), &mut each);
    }

    /// `end`: where in `held` the recording ends, once that is known.
    fn run(&mut self, end: Option<usize>, each: &mut impl FnMut(Frame<'_>)) {
        while let Some(samples) = self.held.get(self.at..self.at + self.size) {
            // In the coordinates of the padded recording the sound begins half a frame in.
            let first = self.made * self.hop as u64;
            let left = (self.size as u64 / 2).saturating_sub(first) as usize;
            let right = end.map_or(self.size, |end| end.saturating_sub(self.at).min(self.size));
            if let Some(stft) = &mut self.stft {
                if !stft.power(samples, self.size, 0, &mut self.power) {
                    self.power.fill(0.0);
                }
                for (magnitude, power) in self.magnitude.iter_mut().zip(&self.power) {
                    *magnitude = power.sqrt();
                }
            }
            each(Frame {
                samples,
                sound: (left.min(right), right),
                power: &self.power,
                magnitude: &self.magnitude,
            });
            self.made += 1;
            self.at += self.hop;
        }
    }
}

// === impl Frame ===

impl Frame<'_> {
    /// The samples that are of the recording.
    pub const fn sound(&self) -> Range<usize> {
        self.sound.0..self.sound.1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(samples: &[f32], size: usize, hop: usize, cuts: &[usize]) -> Vec<(Vec<f32>, Range<usize>)> {
        let mut framer = Framer::new(size, hop, Spectra::None).expect("valid");
        let mut found = Vec::new();
        let mut rest = samples;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            framer.push(head, |frame| found.push((frame.samples.to_vec(), frame.sound())));
            rest = tail;
        }
        framer.finish(|frame| found.push((frame.samples.to_vec(), frame.sound())));
        assert_eq!(framer.made(), found.len() as u64);
        found
    }

    #[test]
    fn frames_are_centred_and_edges_are_silence() {
        let samples: Vec<f32> = (1..=10u8).map(f32::from).collect();
        let found = frames(&samples, 4, 3, &[10]);
        assert_eq!(
            found,
            [
                (vec![0.0, 0.0, 1.0, 2.0], 2..4),
                (vec![2.0, 3.0, 4.0, 5.0], 0..4),
                (vec![5.0, 6.0, 7.0, 8.0], 0..4),
                (vec![8.0, 9.0, 10.0, 0.0], 0..3),
            ]
        );
    }

    #[test]
    fn a_recording_shorter_than_a_frame_has_padding_on_both_sides() {
        let found = frames(&[1.0, 2.0], 8, 4, &[1]);
        assert_eq!(found, [(vec![0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0], 4..6)]);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            len in 1usize..400,
            half in 1usize..20,
            hop in 1usize..60,
            cuts in proptest::collection::vec(1usize..90, 1..5),
        ) {
            let samples: Vec<f32> = (0..len).map(|n| n as f32 + 1.0).collect();
            let whole = frames(&samples, 2 * half, hop, &[len]);
            prop_assert_eq!(whole.len(), 1 + len / hop);
            prop_assert_eq!(frames(&samples, 2 * half, hop, &cuts), whole);
        }
    }
}
