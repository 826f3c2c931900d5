//! Tempo: the period at which onsets repeat, as librosa's `feature.tempo`.
//!
//! The mean over all frames of the tempogram (Grosche, Müller and Kurth 2010: the autocorrelation of the onsets of 8 s
//! around each frame, under a Hann window, over its value at no lag), weighed by a bell over the logarithm of the tempo, an octave wide around
//! the tempo that is expected (Ellis 2007). The mean is taken of the power spectra and turned back once, which is the
//! same, so each frame costs one transform and nothing is kept of it.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use polyphony_inference::Cancel;
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::beats;
use super::key::pearson;
use crate::engine::Error;

/// The span of onsets around a frame, in seconds.
const SPAN: usize = 8;
/// No faster tempo is found, in beats a minute.
const FASTEST: f64 = 320.0;

/// How fast a recording is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tempo {
    /// Beats a minute; 0 where no note begins.
    pub bpm: f64,
    /// The frames at which beats are.
    pub beats: Vec<u64>,
    /// How clear the beat is, 0 to 1: how well onsets correlate with those a beat later.
    pub confidence: f32,
}

/// Gathers onsets and their tempogram.
pub struct TempoFinder {
    frame_rate: f64,
    start_bpm: f64,
    onsets: Vec<f32>,
    tempogram: Tempogram,
}

struct Tempogram {
    forward: Arc<dyn RealToComplex<f64>>,
    backward: Arc<dyn ComplexToReal<f64>>,
    window: Vec<f64>,
    /// Power spectra of all frames so far, each over its energy.
    sum: Vec<f64>,
    frames: usize,
    input: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

// === impl TempoFinder ===

impl TempoFinder {
    /// For frames of `hop` samples at `rate` Hz, of music that is expected to be as fast as `start_bpm`.
    pub fn new(rate: u32, hop: usize, start_bpm: f32) -> Self {
        // As librosa counts: whole samples, then whole frames.
        let span = (SPAN * rate as usize / hop).max(2);
        Self {
            frame_rate: f64::from(rate) / hop as f64,
            start_bpm: f64::from(start_bpm),
            onsets: Vec::new(),
            tempogram: Tempogram::new(span),
        }
    }

    /// Takes the onset strength of the next frame.
    pub fn push(&mut self, onset: f32) {
        self.onsets.push(onset);
        let half = self.tempogram.half();
        // A frame is complete when the last onset of its span is there.
        if let Some(at) = (self.onsets.len() + half).checked_sub(self.tempogram.span())
            && at >= self.tempogram.frames
        {
            self.tempogram.add(&self.onsets, None);
        }
    }

    /// The tempo, now that all onsets are there.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn finish(mut self, cancel: &Cancel) -> Result<Tempo, Error> {
        if self.onsets.iter().all(|onset| *onset == 0.0) {
            return Ok(Tempo::default());
        }
        let last = self.onsets.last().copied().unwrap_or_default();
        while self.tempogram.frames < self.onsets.len() {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            self.tempogram.add(&self.onsets, Some(last));
        }
        let period = self.period();
        let bpm = 60.0 * self.frame_rate / period as f64;
        let onsets: Vec<f64> = self.onsets.iter().map(|onset| f64::from(*onset)).collect();
        let beats = beats::track(&onsets, self.frame_rate, bpm, cancel)?;
        let later = onsets.get(period..).unwrap_or_default();
        let confidence = pearson(&onsets[..later.len()], later).unwrap_or_default();
        Ok(Tempo {
            bpm,
            beats,
            confidence: confidence.max(0.0) as f32,
        })
    }

    /// The likeliest period in frames, at least 1.
    fn period(&mut self) -> usize {
        let bpm = |lag: usize| 60.0 * self.frame_rate / lag as f64;
        let span = self.tempogram.span();
        let slowest = (1..span).find(|lag| bpm(*lag) < FASTEST).unwrap_or(1);
        let start = self.start_bpm.log2();
        let mean = self.tempogram.mean();
        let mut best = (slowest, f64::NEG_INFINITY);
        for (lag, value) in mean.iter().enumerate().skip(slowest) {
            let away = bpm(lag).log2() - start;
            let score = (1e6 * value.max(0.0)).ln_1p() - 0.5 * away * away;
            if score > best.1 {
                best = (lag, score);
            }
        }
        best.0
    }
}

impl fmt::Debug for TempoFinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempoFinder")
            .field("frame_rate", &self.frame_rate)
            .field("start_bpm", &self.start_bpm)
            .field("onsets", &self.onsets.len())
            .finish_non_exhaustive()
    }
}

// === impl Tempogram ===

impl Tempogram {
    fn new(span: usize) -> Self {
        let size = (2 * span - 1).next_power_of_two();
        let mut planner = RealFftPlanner::new();
        let (forward, backward) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
        let scratch = forward.get_scratch_len().max(backward.get_scratch_len());
        Self {
            window: (0..span)
                .map(|n| 0.5 - 0.5 * (2.0 * PI * n as f64 / span as f64).cos())
                .collect(),
            sum: vec![0.0; size / 2 + 1],
            frames: 0,
            input: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            scratch: vec![Complex::default(); scratch],
            forward,
            backward,
        }
    }

    fn span(&self) -> usize {
        self.window.len()
    }

    /// Onsets of a span that lie before its frame.
    fn half(&self) -> usize {
        self.span() / 2
    }

    /// Adds the next frame. Beyond the edges onsets fall to 0 along a line: `last` is where the one at the end begins, if
    /// the end is known. The one at the beginning is flat, for the first onset is always 0.
    fn add(&mut self, onsets: &[f32], last: Option<f32>) {
        let half = self.half();
        let mut energy = 0.0;
        self.input.fill(0.0);
        for (n, (slot, window)) in self.input.iter_mut().zip(&self.window).enumerate() {
            let Some(at) = (self.frames + n).checked_sub(half) else {
                continue;
            };
            let onset = match (onsets.get(at), last) {
                (Some(onset), _) => f64::from(*onset),
                (None, Some(last)) => {
                    let beyond = at - onsets.len();
                    f64::from(last) * half.saturating_sub(beyond + 1) as f64 / half as f64
                }
                (None, None) => 0.0,
            };
            *slot = onset * window;
            energy += *slot * *slot;
        }
        self.frames += 1;
        if energy < f64::MIN_POSITIVE {
            return;
        }
        let done = self
            .forward
            .process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch);
        // It can only fail on lengths, which `new` has made.
        debug_assert!(done.is_ok());
        for (sum, bin) in self.sum.iter_mut().zip(&self.spectrum) {
            *sum += bin.norm_sqr() / energy;
        }
    }

    /// The mean autocorrelation at each lag of the span.
    fn mean(&mut self) -> Vec<f64> {
        for (bin, sum) in self.spectrum.iter_mut().zip(&self.sum) {
            *bin = Complex::new(*sum, 0.0);
        }
        let mut lags = self.backward.make_output_vec();
        let done = self
            .backward
            .process_with_scratch(&mut self.spectrum, &mut lags, &mut self.scratch);
        debug_assert!(done.is_ok());
        // The transform back is not scaled.
        let scale = 1.0 / (lags.len() as f64 * self.frames.max(1) as f64);
        lags.truncate(self.span());
        for lag in &mut lags {
            *lag *= scale;
        }
        lags
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pulses every `period` frames of 512 samples at 22,050 Hz.
    fn pulses(frames: usize, period: usize, start_bpm: f32) -> Tempo {
        let mut finder = TempoFinder::new(22_050, 512, start_bpm);
        for frame in 0..frames {
            let on = frame > 0 && frame.is_multiple_of(period);
            finder.push(if on { 1.0 } else { 0.0 });
        }
        finder.finish(&Cancel::default()).expect("a tempo")
    }

    #[test]
    fn pulses_have_their_period_and_beats_are_on_them() {
        let tempo = pulses(1_200, 20, 120.0);
        assert!(
            (tempo.bpm - 60.0 * 22_050.0 / 512.0 / 20.0).abs() < 1e-9,
            "{}",
            tempo.bpm
        );
        assert!(tempo.beats.iter().all(|beat| beat % 20 == 0));
        assert!(tempo.beats.len() >= 57, "{}", tempo.beats.len());
        assert!(tempo.confidence > 0.99, "{}", tempo.confidence);
    }

    #[test]
    fn the_expected_tempo_chooses_among_octaves() {
        let (slow, fast) = (pulses(1_200, 20, 60.0).bpm, pulses(1_200, 20, 240.0).bpm);
        assert!(slow < fast, "{slow} {fast}");
    }

    #[test]
    fn without_onsets_there_is_no_tempo() {
        let finder = || {
            let mut finder = TempoFinder::new(22_050, 512, 120.0);
            (0..100).for_each(|_| finder.push(0.0));
            finder
        };
        let tempo = finder().finish(&Cancel::default()).expect("nothing");
        assert_eq!(tempo, Tempo::default());
    }

    #[test]
    fn a_single_onset_and_a_moment_of_sound_are_no_trouble() {
        for frames in 1..60 {
            let mut finder = TempoFinder::new(22_050, 512, 120.0);
            (0..frames).for_each(|frame| finder.push(if frame == frames / 2 { 2.0 } else { 0.0 }));
            let tempo = finder.finish(&Cancel::default()).expect("a tempo");
            assert!(tempo.bpm > 0.0 && tempo.bpm < FASTEST, "{}", tempo.bpm);
            assert!(tempo.beats.iter().all(|beat| *beat < frames));
        }
    }
}
