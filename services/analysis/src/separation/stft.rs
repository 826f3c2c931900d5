//! The spectrogram that htdemucs hears and the way back, for exports that leave both outside of the graph.
//!
//! Windows of `2 * bins` samples, a quarter of one apart, a periodic Hann window, scaled by the root of the window's length
//! both ways; the signal is mirrored at both ends so that frame `t` has its middle in the middle of hop `t`, and the highest
//! bin is left out (`demucs.htdemucs.HTDemucs._spec` and `_ispec`).

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Transforms signals of one length. Cheap to clone.
#[derive(Clone)]
pub struct Transform {
    length: usize,
    bins: usize,
    frames: usize,
    window: Arc<[f32]>,
    /// What overlapping windows add up to, for each sample of a hop.
    envelope: Arc<[f32]>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// Hops in a window.
const HOPS: usize = 4;

// === impl Transform ===

impl Transform {
    /// For signals of `length` samples and spectrograms of `bins`. None where the signal is too short to be mirrored, or
    /// `bins` is no even number of hops.
    pub fn new(length: usize, bins: usize) -> Option<Self> {
        let window_length = 2 * bins;
        let hop = window_length / HOPS;
        if hop < 2 || !hop.is_multiple_of(2) || !window_length.is_multiple_of(HOPS) || length <= window_length
        {
            return None;
        }
        let turn = std::f64::consts::TAU / window_length as f64;
        let hann = |index: usize| (0.5 - 0.5 * (turn * index as f64).cos()) as f32;
        let window: Arc<[f32]> = (0..window_length).map(hann).collect();
        let envelope = |sample: usize| (0..HOPS).map(|index| window[sample + index * hop].powi(2)).sum();
        let mut planner = RealFftPlanner::new();
        Some(Self {
            length,
            bins,
            frames: length.div_ceil(hop),
            envelope: (0..hop).map(envelope).collect(),
            window,
            forward: planner.plan_fft_forward(window_length),
            inverse: planner.plan_fft_inverse(window_length),
        })
    }

    /// Frames of a spectrogram.
    pub fn frames(&self) -> usize {
        self.frames
    }

    fn hop(&self) -> usize {
        2 * self.bins / HOPS
    }

    /// How far the first frame reaches before the signal.
    fn lead(&self) -> usize {
        self.hop() / 2 * 3
    }

    /// A signal's spectrogram, appended to `out` as real parts `[bin][frame]`, then imaginary parts.
    pub fn analyse(&self, signal: &[f32], out: &mut Vec<f32>) {
        debug_assert_eq!(signal.len(), self.length);
        let (lead, hop) = (self.lead(), self.hop());
        let scale = 1.0 / (2.0 * self.bins as f32).sqrt();
        let begin = out.len();
        let plane = self.bins * self.frames;
        out.resize(begin + 2 * plane, 0.0);
        let (mut input, mut spectrum) = (self.forward.make_input_vec(), self.forward.make_output_vec());
        let mut scratch = self.forward.make_scratch_vec();
        for frame in 0..self.frames {
            for (offset, (sample, window)) in input.iter_mut().zip(self.window.iter()).enumerate() {
                *sample = window * signal[self.mirrored(frame * hop + offset, lead)];
            }
            self.forward
                .process_with_scratch(&mut input, &mut spectrum, &mut scratch)
                .expect("the buffers are of the transform's own making");
            for (bin, value) in spectrum[..self.bins].iter().enumerate() {
                let place = begin + bin * self.frames + frame;
                out[place] = value.re * scale;
                out[place + plane] = value.im * scale;
            }
        }
    }

    /// The signal of a spectrogram as `analyse` makes it, added to `signal`.
    pub fn synthesise(&self, spectrogram: &[f32], signal: &mut [f32]) {
        debug_assert_eq!(spectrogram.len(), 2 * self.bins * self.frames);
        let (lead, hop) = (self.lead(), self.hop());
        // The inverse transform is not scaled by itself.
        let scale = 1.0 / (2.0 * self.bins as f32).sqrt();
        let (real, imaginary) = spectrogram.split_at(self.bins * self.frames);
        let (mut spectrum, mut output) = (self.inverse.make_input_vec(), self.inverse.make_output_vec());
        let mut scratch = self.inverse.make_scratch_vec();
        for frame in 0..self.frames {
            for (bin, value) in spectrum[..self.bins].iter_mut().enumerate() {
                let place = bin * self.frames + frame;
                *value = Complex::new(real[place] * scale, imaginary[place] * scale);
            }
            // A real signal has no imaginary part there; a network's spectrogram may.
            spectrum[0].im = 0.0;
            spectrum[self.bins] = Complex::default();
            self.inverse
                .process_with_scratch(&mut spectrum, &mut output, &mut scratch)
                .expect("the buffers are of the transform's own making, and the ends are real");
            for (offset, (value, window)) in output.iter().zip(self.window.iter()).enumerate() {
                let place = (frame * hop + offset).wrapping_sub(lead);
                if let Some(sample) = signal.get_mut(place) {
                    *sample += value * window / self.envelope[offset % hop];
                }
            }
        }
    }

    /// Where a padded sample lies in the signal, mirrored at its ends without repeating them.
    fn mirrored(&self, padded: usize, lead: usize) -> usize {
        let last = self.length - 1;
        if padded < lead {
            return lead - padded;
        }
        let place = padded - lead;
        if place > last { 2 * last - place } else { place }
    }
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transform")
            .field("length", &self.length)
            .field("bins", &self.bins)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_comes_back() {
        // Also of a length that is no multiple of the hop.
        for length in [4_096, 5_001] {
            let transform = Transform::new(length, 512).expect("fits");
            let signal: Vec<f32> = (0..length)
                .map(|n| (n as f32 * 0.05).sin() + (n as f32 * 0.31).cos())
                .collect();
            let mut spectrogram = Vec::new();
            transform.analyse(&signal, &mut spectrogram);
            assert_eq!(spectrogram.len(), 2 * 512 * length.div_ceil(256));
            let mut back = vec![1.0; length];
            transform.synthesise(&spectrogram, &mut back);
            let worst = signal
                .iter()
                .zip(&back)
                .map(|(a, b)| (a + 1.0 - b).abs())
                .fold(0.0, f32::max);
            // Only the ends, where frames that would hold their mirror image are missing, may differ.
            let inner = signal[1_024..length - 1_024].iter().zip(&back[1_024..]);
            let inner = inner.map(|(a, b)| (a + 1.0 - b).abs()).fold(0.0, f32::max);
            assert!(inner < 1e-5, "{inner}, at the ends {worst}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Transform::new(1_024, 512).is_none(), "too short");
        assert!(Transform::new(9_000, 2).is_none(), "half a hop is no sample");
        assert!(Transform::new(9_000, 513).is_none());
        assert!(Transform::new(0, 0).is_none());
    }
}
