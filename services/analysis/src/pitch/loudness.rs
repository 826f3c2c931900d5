//! How loud each frame is, as torchcrepe's threshold of silence hears it: the mean over the bins of a spectrum in
//! decibel, weighted by the A curve (IEC 61672).
//!
//! torchcrepe takes what lies more than 80 dB below the loudest bin of the whole recording as 80 dB below it
//! (librosa's `top_db`). A stream does not know the loudest bin to come, so there it is the loudest so far.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use super::frames::FRAME;
use crate::domain::PITCH_RATE;

/// What torchcrepe takes off the curve, so that full scale lies far below 0 dB.
const REFERENCE_DB: f64 = 20.0;
/// No bin is quieter.
const LEAST_DB: f32 = -100.0;
/// The curve goes no lower.
const LEAST_WEIGHT: f64 = -80.0;
const LEAST_POWER: f32 = 1e-10;
const RANGE_DB: f32 = 80.0;

/// Measures frames one after the other.
pub(super) struct Loudness {
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// For each bin, in decibel.
    weights: Vec<f32>,
    peak_db: f32,
    windowed: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

// === impl Loudness ===

impl Loudness {
    pub(super) fn new() -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(FRAME);
        let turn = std::f64::consts::TAU / FRAME as f64;
        let hann = |index: usize| (0.5 - 0.5 * (turn * index as f64).cos()) as f32;
        let weights = (0..=FRAME / 2).map(|bin| {
            let hz = bin as f64 * f64::from(PITCH_RATE) / FRAME as f64;
            (a_weight(hz) - REFERENCE_DB) as f32
        });
        Self {
            window: (0..FRAME).map(hann).collect(),
            weights: weights.collect(),
            peak_db: f32::NEG_INFINITY,
            windowed: transform.make_input_vec(),
            spectrum: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            transform,
        }
    }

    /// Hears a frame only for the loudest bin: once through a whole recording before it is measured.
    pub(super) fn listen(&mut self, frame: &[f32]) {
        self.transform(frame);
        let power = self
            .spectrum
            .iter()
            .map(Complex::norm_sqr)
            .fold(LEAST_POWER, f32::max);
        self.peak_db = self.peak_db.max(10.0 * power.log10());
    }

    /// The loudness of a frame, -100 dB to about 40 dB.
    pub(super) fn measure(&mut self, frame: &[f32]) -> f32 {
        self.listen(frame);
        let floor = self.peak_db - RANGE_DB;
        let sum: f32 = self
            .spectrum
            .iter()
            .zip(&self.weights)
            .map(|(bin, weight)| {
                let db = 10.0 * bin.norm_sqr().max(LEAST_POWER).log10();
                (db.max(floor) + weight).max(LEAST_DB)
            })
            .sum();
        sum / self.weights.len() as f32
    }

    fn transform(&mut self, frame: &[f32]) {
        for ((out, sample), window) in self.windowed.iter_mut().zip(frame).zip(&self.window) {
            *out = sample * window;
        }
        self.transform
            .process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers are of the transform's own making");
    }
}

impl std::fmt::Debug for Loudness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loudness")
            .field("peak_db", &self.peak_db)
            .finish_non_exhaustive()
    }
}

/// The A curve, in decibel; 0 at 1 kHz.
fn a_weight(hz: f64) -> f64 {
    const POLES: [f64; 4] = [12_194.217, 20.598_997, 107.652_65, 737.862_23];
    let square = hz * hz;
    let [top, low, second, third] = POLES.map(|pole| pole * pole);
    let decades = top.log10() + 2.0 * square.log10()
        - (square + top).log10()
        - (square + low).log10()
        - 0.5 * (square + second).log10()
        - 0.5 * (square + third).log10();
    (2.0 + 20.0 * decades).max(LEAST_WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_the_standards() {
        // IEC 61672-1, table 3.
        for (hz, db) in [
            (31.5, -39.4),
            (100.0, -19.1),
            (1_000.0, 0.0),
            (2_500.0, 1.3),
            (8_000.0, -1.1),
        ] {
            assert!((a_weight(hz) - db).abs() < 0.15, "{hz} Hz: {}", a_weight(hz));
        }
        assert!((a_weight(0.0) - LEAST_WEIGHT).abs() < f64::EPSILON);
    }

    #[test]
    fn silence_is_the_least_and_what_is_far_below_the_peak_is_lifted() {
        let mut loudness = Loudness::new();
        let silence = [0.0; FRAME];
        assert!((loudness.measure(&silence) - LEAST_DB).abs() < 0.5);
        let tone: Vec<f32> = (0..FRAME).map(|n| (n as f32 * 0.3).sin()).collect();
        let loud = loudness.measure(&tone);
        let after = loudness.measure(&silence);
        assert!(loud > -55.0 && after > -60.0 && after < loud, "{loud}, {after}");
    }
}
