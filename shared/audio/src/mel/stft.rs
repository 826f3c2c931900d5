//! A short-time Fourier transform, one frame at a time, over samples that stay where they are.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::Error;

/// What lies beyond the edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Frames are centred on their hop; the edges mirror the signal without repeating the edge sample.
    Reflect,
    /// Frames are centred on their hop; the edges are silent.
    Zero,
    /// Frames begin at their hop; there is nothing beyond the edges.
    None,
}

/// Window, hop and transform. Cloning shares the plan and copies the scratch.
#[derive(Clone)]
pub struct Stft {
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    hop: usize,
    padding: Padding,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

// === impl Stft ===

impl Stft {
    /// With a periodic Hann window of `size` samples.
    ///
    /// # Errors
    /// [`Error::Setting`] unless `2 <= size <= 65536` and `1 <= hop <= size`.
    pub fn hann(size: usize, hop: usize, padding: Padding) -> Result<Self, Error> {
        if !(2..=65_536).contains(&size) {
            return Err(Error::setting("n_fft", "must be 2 to 65536"));
        }
        let window = (0..size)
            .map(|n| 0.5 - 0.5 * (2.0 * PI * n as f64 / size as f64).cos())
            .collect();
        Self::with_window(window, hop, padding)
    }

    /// With a window of one's own; its length is the transform's.
    ///
    /// # Errors
    /// As [`hann`](Self::hann).
    pub fn with_window(window: Vec<f64>, hop: usize, padding: Padding) -> Result<Self, Error> {
        if !(2..=65_536).contains(&window.len()) {
            return Err(Error::setting("n_fft", "must be 2 to 65536"));
        }
        if hop == 0 || hop > window.len() {
            return Err(Error::setting("hop_length", "must be 1 to n_fft"));
        }
        let fft = RealFftPlanner::new().plan_fft_forward(window.len());
        Ok(Self {
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
            window,
            hop,
            padding,
        })
    }

    /// Frequency bins in a frame: half the size and one.
    pub const fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// The number of frames of `len` samples.
    pub const fn frames(&self, len: usize) -> usize {
        match self.padding {
            Padding::Reflect | Padding::Zero => 1 + len / self.hop,
            Padding::None if len < self.window.len() => 0,
            Padding::None => 1 + (len - self.window.len()) / self.hop,
        }
    }

    /// The power spectrum of frame `index` of `samples`, which are followed by silence up to `len`.
    ///
    /// False, with `power` untouched, when the frame is silent throughout.
    pub fn power(&mut self, samples: &[f32], len: usize, index: usize, power: &mut [f64]) -> bool {
        if !self.load(samples, len, index) {
            return false;
        }
        let done = self
            .fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        // It can only fail on lengths, which `with_window` has made.
        debug_assert!(done.is_ok());
        for (power, bin) in power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        true
    }

    /// Fills `frame` with the windowed samples.
    fn load(&mut self, samples: &[f32], len: usize, index: usize) -> bool {
        let size = self.window.len();
        let centre = match self.padding {
            Padding::Reflect | Padding::Zero => size / 2,
            Padding::None => 0,
        };
        let start = (index * self.hop) as isize - centre as isize;
        let inside = usize::try_from(start)
            .ok()
            .and_then(|start| samples.get(start..start + size));
        if let Some(inside) = inside {
            for ((slot, sample), window) in self.frame.iter_mut().zip(inside).zip(&self.window) {
                *slot = f64::from(*sample) * window;
            }
            return inside.iter().any(|sample| *sample != 0.0);
        }
        let mut sound = false;
        for (n, (slot, window)) in self.frame.iter_mut().zip(&self.window).enumerate() {
            let at = start + n as isize;
            let at = match self.padding {
                Padding::Reflect => Some(reflect(at, len)),
                Padding::Zero | Padding::None => usize::try_from(at).ok(),
            };
            let sample = at.and_then(|at| samples.get(at)).copied().unwrap_or(0.0);
            sound |= sample != 0.0;
            *slot = f64::from(sample) * window;
        }
        sound
    }
}

impl fmt::Debug for Stft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stft")
            .field("size", &self.window.len())
            .field("hop", &self.hop)
            .field("padding", &self.padding)
            .finish_non_exhaustive()
    }
}

/// The index that `at` mirrors to, as often as it takes.
fn reflect(at: isize, len: usize) -> usize {
    if len < 2 {
        return 0;
    }
    let period = 2 * (len - 1);
    let at = at.rem_euclid(period as isize) as usize;
    at.min(period - at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_mirror_without_repeating_the_edge() {
        let mirrored: Vec<usize> = (-4..9).map(|at| reflect(at, 4)).collect();
        assert_eq!(mirrored, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!((reflect(-3, 1), reflect(5, 0)), (0, 0));
    }

    #[test]
    fn a_tone_in_the_middle_of_a_bin_is_in_that_bin() {
        let mut stft = Stft::hann(64, 16, Padding::None).expect("valid");
        let samples: Vec<f32> = (0..64)
            .map(|n| (2.0 * PI * 8.0 * f64::from(n) / 64.0).cos() as f32)
            .collect();
        let mut power = vec![0.0; stft.bins()];
        assert_eq!(stft.frames(samples.len()), 1);
        assert!(stft.power(&samples, 64, 0, &mut power));
        // A cosine of amplitude 1 under a Hann window: (N / 4)² in its bin, a quarter of that beside it, else nothing.
        let expected = |bin| match bin {
            8 => 256.0,
            7 | 9 => 64.0,
            _ => 0.0,
        };
        for (bin, power) in power.iter().enumerate() {
            assert!((power - expected(bin)).abs() < 1e-4, "bin {bin}: {power}");
        }
    }

    #[test]
    fn silence_is_not_transformed() {
        let mut stft = Stft::hann(400, 160, Padding::Reflect).expect("valid");
        let mut power = vec![7.0; stft.bins()];
        assert!(!stft.power(&[0.5; 100], 48_000, 100, &mut power));
        assert!(power.iter().all(|power| *power == 7.0));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for (size, hop) in [(1, 1), (400, 0), (400, 401), (70_000, 1)] {
            assert!(Stft::hann(size, hop, Padding::Zero).is_err());
        }
    }
}
