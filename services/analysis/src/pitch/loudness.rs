//! How loud each frame is: its A-weighted level (IEC 61672) relative to a tone of 1 kHz at full scale.
//!
//! torchcrepe weighs the same spectrum, but takes the mean of its bins in decibel. That says more of how full a spectrum
//! is than of how loud: a flute at -42 dB has -73 dB there, and would be silence at the -60 dB that everybody takes. It also
//! depends on the loudest bin of the whole recording, which no stream knows.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::frames::FRAME;
use crate::domain::PITCH_RATE;

/// Silence has so many decibel.
const LEAST_DB: f32 = -100.0;

/// Measures frames one after the other.
pub(super) struct Loudness {
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// For each bin, of its power; a tone at full scale then has 1 in all.
    weights: Vec<f32>,
    windowed: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

// === impl Loudness ===

impl Loudness {
    pub(super) fn new() -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(FRAME);
        let turn = std::f64::consts::TAU / FRAME as f64;
        let window: Vec<f64> = (0..FRAME)
            .map(|index| 0.5 - 0.5 * (turn * index as f64).cos())
            .collect();
        // The power of a sine is half of its square; a half of it lies in the bins of negative frequency.
        let full_scale = FRAME as f64 / 4.0 * window.iter().map(|value| value * value).sum::<f64>();
        let weights = (0..=FRAME / 2).map(|bin| {
            let hz = bin as f64 * f64::from(PITCH_RATE) / FRAME as f64;
            (a_weight(hz) / full_scale) as f32
        });
        Self {
            weights: weights.collect(),
            window: window.iter().map(|value| *value as f32).collect(),
            windowed: transform.make_input_vec(),
            spectrum: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            transform,
        }
    }

    /// The level of a frame, -100 dB or more.
    pub(super) fn measure(&mut self, frame: &[f32]) -> f32 {
        for ((out, sample), window) in self.windowed.iter_mut().zip(frame).zip(&self.window) {
            *out = sample * window;
        }
        self.transform
            .process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers are of the transform's own making");
        let bins = self.spectrum.iter().zip(&self.weights);
        let power: f32 = bins.map(|(bin, weight)| bin.norm_sqr() * weight).sum();
        (10.0 * power.log10()).max(LEAST_DB)
    }
}

impl std::fmt::Debug for Loudness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loudness").finish_non_exhaustive()
    }
}

/// The A curve, as a factor of power; 1 at 1 kHz.
fn a_weight(hz: f64) -> f64 {
    const POLES: [f64; 4] = [20.598_997, 107.652_65, 737.862_23, 12_194.217];
    /// What the curve loses at 1 kHz, given back.
    const GAIN_DB: f64 = 2.0;
    let square = hz * hz;
    let [low, second, third, top] = POLES.map(|pole| pole * pole);
    let response = top * square * square
        / ((square + low) * (square + top) * ((square + second) * (square + third)).sqrt());
    10_f64.powf(GAIN_DB / 10.0) * response * response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, amplitude: f32) -> Vec<f32> {
        let turn = std::f32::consts::TAU * hz / PITCH_RATE as f32;
        (0..FRAME).map(|n| amplitude * (n as f32 * turn).sin()).collect()
    }

    #[test]
    fn the_curve_is_the_standards() {
        // IEC 61672-1, table 3: exact frequencies, rounded weights.
        for (hz, db) in [
            (31.62, -39.4),
            (100.0, -19.1),
            (1_000.0, 0.0),
            (2_512.0, 1.3),
            (7_943.0, -1.1),
        ] {
            let weight = 10.0 * a_weight(hz).log10();
            assert!((weight - db).abs() < 0.1, "{hz} Hz: {weight}");
        }
        assert!(a_weight(0.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_tone_has_the_level_that_it_has() {
        let mut loudness = Loudness::new();
        for (hz, amplitude, db) in [
            (1_000.0, 1.0, 0.0),
            (1_000.0, 0.01, -40.0),
            (100.0, 1.0, -19.1),
            (3_000.0, 0.1, -18.8),
        ] {
            let measured = loudness.measure(&tone(hz, amplitude));
            assert!((measured - db).abs() < 0.3, "{hz} Hz: {measured}");
        }
        assert!((loudness.measure(&[0.0; FRAME]) - LEAST_DB).abs() < f32::EPSILON);
        assert!((loudness.measure(&tone(1_000.0, 1e-9)) - LEAST_DB).abs() < f32::EPSILON);
    }
}
