//! Joins frames to a line, and says which of them are voiced.

use std::collections::VecDeque;
use std::ops::Range;

use super::bins;
use super::viterbi::Viterbi;
use crate::domain::{PitchDecoder, PitchOptions};

/// A frame that is decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decided {
    /// In hertz; 0 where it is unvoiced.
    pub(super) frequency_hz: f32,
    /// The activation of the bin that the line passes through, 0 where it is silent.
    pub(super) periodicity: f32,
}

/// The line through the frames of one recording or stream.
#[derive(Debug)]
pub(super) struct Line {
    /// The bins of the allowed frequencies.
    range: Range<usize>,
    decoder: Decoder,
    voicing: f32,
    silence_db: f32,
}

#[derive(Debug)]
enum Decoder {
    Argmax,
    WeightedArgmax,
    Viterbi(Box<Open>),
}

/// A line with its open frames.
#[derive(Debug)]
struct Open {
    viterbi: Viterbi,
    frames: VecDeque<Frame>,
    /// The bins of the oldest of them, in the range, on their way out.
    decided: Vec<usize>,
}

/// The activations of the allowed bins.
#[derive(Debug)]
struct Frame {
    activations: Box<[f32]>,
    is_silent: bool,
}

// === impl Line ===

impl Line {
    /// Viterbi looks so many frames ahead, or to the end.
    pub(super) fn new(options: &PitchOptions, ahead: Option<usize>) -> Self {
        let range = bins::of_range(options.min_frequency_hz, options.max_frequency_hz);
        let decoder = match options.decoder {
            PitchDecoder::Argmax => Decoder::Argmax,
            PitchDecoder::WeightedArgmax => Decoder::WeightedArgmax,
            PitchDecoder::Viterbi => Decoder::Viterbi(Box::new(Open {
                viterbi: Viterbi::new(range.len(), ahead),
                frames: VecDeque::new(),
                decided: Vec::new(),
            })),
        };
        Self {
            range,
            decoder,
            voicing: options.voicing_threshold,
            silence_db: options.silence_threshold_db,
        }
    }

    /// Takes the next frame: the activations of all 360 bins, and how loud it is.
    pub(super) fn push(&mut self, activations: &[f32], loudness_db: f32, out: &mut Vec<Decided>) {
        let frame = Frame {
            activations: activations[self.range.clone()].into(),
            is_silent: loudness_db < self.silence_db,
        };
        match &mut self.decoder {
            Decoder::Argmax => {
                let peak = argmax(&frame.activations);
                out.push(self.decided(&frame, peak, 0.0));
            }
            Decoder::WeightedArgmax => {
                let peak = argmax(&frame.activations);
                out.push(self.decided(&frame, peak, bins::place(&frame.activations, peak)));
            }
            Decoder::Viterbi(open) => {
                open.viterbi.push(&frame.activations, &mut open.decided);
                open.frames.push_back(frame);
                self.drain(out);
            }
        }
    }

    /// Decides what is still open.
    pub(super) fn finish(&mut self, out: &mut Vec<Decided>) {
        if let Decoder::Viterbi(open) = &mut self.decoder {
            open.viterbi.finish(&mut open.decided);
            self.drain(out);
        }
    }

    /// Gives what Viterbi has decided.
    fn drain(&mut self, out: &mut Vec<Decided>) {
        let Decoder::Viterbi(open) = &mut self.decoder else {
            return;
        };
        let decided = std::mem::take(&mut open.decided);
        let frames: Vec<Frame> = open.frames.drain(..decided.len()).collect();
        for (frame, peak) in frames.iter().zip(decided) {
            // Within its bin, so that the line stays the one that was found.
            let place = bins::place(&frame.activations, peak).clamp(-bins::HALF_BIN, bins::HALF_BIN);
            out.push(self.decided(frame, peak, place));
        }
    }

    fn decided(&self, frame: &Frame, peak: usize, cents: f64) -> Decided {
        let periodicity = if frame.is_silent {
            0.0
        } else {
            frame.activations[peak]
        };
        // The threshold 0 calls all voiced that is heard at all.
        let is_voiced = periodicity >= self.voicing && !frame.is_silent;
        Decided {
            frequency_hz: if is_voiced {
                bins::hertz(self.range.start + peak, cents)
            } else {
                0.0
            },
            periodicity,
        }
    }
}

/// The first of the highest.
fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activations(peak: usize, height: f32) -> Vec<f32> {
        (0..bins::BINS)
            .map(|bin| height * 0.5_f32.powi(bin.abs_diff(peak) as i32))
            .collect()
    }

    fn line(decoder: PitchDecoder, frames: &[(Vec<f32>, f32)]) -> Vec<Decided> {
        let options = PitchOptions {
            decoder,
            ..PitchOptions::default()
        };
        let (mut line, mut out) = (Line::new(&options, None), Vec::new());
        for (activations, loudness) in frames {
            line.push(activations, *loudness, &mut out);
        }
        line.finish(&mut out);
        out
    }

    #[test]
    fn a_peak_that_is_not_allowed_is_not_taken() {
        // 20 Hz below the range, and a lower peak within it.
        let mut frame = activations(20, 0.9);
        frame[200] = 0.5;
        for decoder in [
            PitchDecoder::Argmax,
            PitchDecoder::WeightedArgmax,
            PitchDecoder::Viterbi,
        ] {
            let [found] = line(decoder, &[(frame.clone(), -20.0)])[..] else {
                panic!("one frame");
            };
            assert!(
                (found.frequency_hz - bins::hertz(200, 0.0)).abs() < 0.5,
                "{decoder:?}: {found:?}"
            );
            assert!((found.periodicity - 0.5).abs() < f32::EPSILON);
        }
    }

    #[test]
    fn quiet_and_aperiodic_frames_are_unvoiced() {
        let frames = [
            (activations(200, 0.9), -20.0),
            (activations(200, 0.2), -20.0),
            (activations(200, 0.9), -61.0),
        ];
        for decoder in [
            PitchDecoder::Argmax,
            PitchDecoder::WeightedArgmax,
            PitchDecoder::Viterbi,
        ] {
            let found = line(decoder, &frames);
            let voiced: Vec<bool> = found.iter().map(|frame| frame.frequency_hz > 0.0).collect();
            assert_eq!(voiced, [true, false, false], "{decoder:?}");
            assert!((found[1].periodicity - 0.2).abs() < f32::EPSILON);
            assert!(found[2].periodicity.abs() < f32::EPSILON, "silence has no period");
        }
    }

    #[test]
    fn a_line_ignores_one_frame_that_jumps() {
        let mut frames = vec![(activations(150, 0.8), -20.0); 9];
        frames[4] = (activations(210, 0.81), -20.0);
        let far = |found: &[Decided]| found.iter().filter(|frame| frame.frequency_hz > 250.0).count();
        assert_eq!(far(&line(PitchDecoder::Argmax, &frames)), 1);
        assert_eq!(far(&line(PitchDecoder::Viterbi, &frames)), 0);
    }
}
