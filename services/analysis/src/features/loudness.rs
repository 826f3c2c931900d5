//! Loudness as EBU R128 has it: integrated and gated (ITU-R BS.1770-5), its range (EBU Tech 3342), the highest momentary
//! and short-term loudness (EBU Tech 3341), and the true peak. The filters, gates and oversampling are the crate `ebur128`'s.
//!
//! Momentary and short-term windows are looked at every 10 ms, so that a sound as long as the window is met within 5 ms
//! of its middle; the crate is asked for the energy of each 10 ms and the windows are added up here, because asking it for
//! three seconds a hundred times a second would cost more than all the rest.

use std::collections::VecDeque;
use std::fmt;

use ebur128::{Channel, EbuR128, Mode};
use polyphony_audio::pcm::Spec;

use crate::engine::Error;

/// How loud a recording is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loudness {
    /// Of the whole, gated, in LUFS. None: nothing is louder than -70 LUFS for 400 ms.
    pub integrated_lufs: Option<f32>,
    /// The range, in LU; 0 for less than 3 s.
    pub range_lu: f32,
    /// The highest momentary loudness (400 ms), in LUFS. None for silence.
    pub max_momentary_lufs: Option<f32>,
    /// The highest short-term loudness (3 s), in LUFS. None for silence.
    pub max_short_term_lufs: Option<f32>,
    /// The true peak of the loudest channel, in dBTP. None for silence.
    pub true_peak_dbtp: Option<f32>,
}

/// Measures loudness.
pub struct LoudnessMeter {
    ebu: EbuR128,
    spec: Spec,
    /// Frames taken in all.
    taken: u64,
    /// Frames at which the next step is complete.
    step: u64,
    /// The energies of the last steps, the latest last.
    energies: VecDeque<f64>,
    momentary: Window,
    short_term: Window,
}

/// The greatest sum over a number of steps.
#[derive(Debug, Clone, Copy)]
struct Window {
    steps: usize,
    sum: f64,
    greatest: f64,
}

const STEPS_A_SECOND: u64 = 100;
const STEP_MS: u32 = 10;
const NAME: &str = "ebur128";

// === impl LoudnessMeter ===

impl LoudnessMeter {
    /// For audio of this rate and these channels, ordered as in a WAV file. The low-frequency channel does not count.
    ///
    /// # Errors
    /// [`Error::Engine`] for channels or rates that no meter can be made of.
    pub fn new(spec: Spec) -> Result<Self, Error> {
        let mode = Mode::I | Mode::LRA | Mode::TRUE_PEAK;
        let channels = spec.channels.count();
        let wrong = |error| Error::engine(NAME, error);
        let mut ebu = EbuR128::new(channels as u32, spec.rate.hz(), mode).map_err(wrong)?;
        if let Some(map) = channel_map(channels) {
            ebu.set_channel_map(map).map_err(wrong)?;
        }
        Ok(Self {
            ebu,
            spec,
            taken: 0,
            step: step_end(1, spec),
            energies: VecDeque::with_capacity(Window::SHORT_TERM.steps),
            momentary: Window::MOMENTARY,
            short_term: Window::SHORT_TERM,
        })
    }

    /// Takes interleaved samples, whole frames.
    ///
    /// # Errors
    /// [`Error::Engine`] when the meter refuses them, which would be a bug.
    pub fn push(&mut self, mut samples: &[f32]) -> Result<(), Error> {
        let channels = self.spec.channels.count();
        while !samples.is_empty() {
            let wanted = (self.step - self.taken) as usize * channels;
            let (head, tail) = samples.split_at(wanted.min(samples.len()));
            self.ebu
                .add_frames_f32(head)
                .map_err(|error| Error::engine(NAME, error))?;
            self.taken += (head.len() / channels) as u64;
            samples = tail;
            if self.taken == self.step {
                self.look()?;
            }
        }
        Ok(())
    }

    /// How loud it was.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&self) -> Result<Loudness, Error> {
        let wrong = |error| Error::engine(NAME, error);
        let finite = |value: f64| value.is_finite().then_some(value as f32);
        let mut peak = 0.0f64;
        for channel in 0..self.ebu.channels() {
            peak = peak.max(self.ebu.true_peak(channel).map_err(wrong)?);
        }
        let range = self.ebu.loudness_range().map_err(wrong)?;
        Ok(Loudness {
            integrated_lufs: finite(self.ebu.loudness_global().map_err(wrong)?),
            range_lu: finite(range).unwrap_or_default(),
            max_momentary_lufs: finite(self.momentary.loudness()),
            max_short_term_lufs: finite(self.short_term.loudness()),
            true_peak_dbtp: finite(20.0 * peak.log10()),
        })
    }

    /// A step is complete.
    fn look(&mut self) -> Result<(), Error> {
        let loudness = self
            .ebu
            .loudness_window(STEP_MS)
            .map_err(|error| Error::engine(NAME, error))?;
        self.energies.push_back(energy(loudness));
        for window in [&mut self.momentary, &mut self.short_term] {
            window.slide(&self.energies);
        }
        if self.energies.len() > Window::SHORT_TERM.steps {
            self.energies.pop_front();
        }
        let next = self.taken * STEPS_A_SECOND / u64::from(self.spec.rate.hz()) + 1;
        self.step = step_end(next, self.spec).max(self.taken + 1);
        Ok(())
    }
}

impl fmt::Debug for LoudnessMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoudnessMeter")
            .field("spec", &self.spec)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

// === impl Window ===

impl Window {
    const MOMENTARY: Self = Self::of(40);
    const SHORT_TERM: Self = Self::of(300);

    const fn of(steps: usize) -> Self {
        Self {
            steps,
            sum: 0.0,
            greatest: 0.0,
        }
    }

    /// Moves on to the latest of `energies`.
    fn slide(&mut self, energies: &VecDeque<f64>) {
        let Some(latest) = energies.back() else { return };
        self.sum += latest;
        if energies.len() > self.steps {
            self.sum -= energies[energies.len() - 1 - self.steps];
        }
        // A sum that slides gathers rounding errors, which would sound loud after a loud passage: begin anew when it is
        // nearly nothing of what it was.
        if self.sum < self.greatest * 1e-9 {
            let from = energies.len().saturating_sub(self.steps);
            self.sum = energies.range(from..).sum();
        }
        self.greatest = self.greatest.max(self.sum);
    }

    /// In LUFS.
    fn loudness(&self) -> f64 {
        10.0 * (self.greatest / self.steps as f64).log10() - 0.691
    }
}

/// The frame at which step `n` ends.
const fn step_end(n: u64, spec: Spec) -> u64 {
    n * spec.rate.hz() as u64 / STEPS_A_SECOND
}

/// Mean square, from loudness as BS.1770 defines it.
fn energy(lufs: f64) -> f64 {
    10f64.powf((lufs + 0.691) / 10.0)
}

/// Where speakers stand in WAV's order, where the crate would leave some out: 6.1 and 7.1.
fn channel_map(channels: usize) -> Option<&'static [Channel]> {
    use Channel::{Center, Left, Mm090, Mm135, Mp090, Mp135, Mp180, Right, Unused};
    match channels {
        7 => Some(&[Left, Right, Center, Unused, Mp180, Mp090, Mm090]),
        8 => Some(&[Left, Right, Center, Unused, Mp135, Mm135, Mp090, Mm090]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    const RATE: u32 = 48_000;

    /// Parts of `(dBFS, seconds)` of a sine on `channels` channels.
    fn tone(hz: f64, channels: usize, parts: &[(f64, f64)]) -> Vec<f32> {
        let mut samples = Vec::new();
        let mut n = 0u32;
        for (db, seconds) in parts {
            let amplitude = 10f64.powf(db / 20.0);
            for _ in 0..(seconds * f64::from(RATE)).round() as usize {
                let value = amplitude * (2.0 * PI * hz * f64::from(n) / f64::from(RATE)).sin();
                samples.extend(std::iter::repeat_n(value as f32, channels));
                n += 1;
            }
        }
        samples
    }

    fn measure(samples: &[f32], channels: u32) -> Loudness {
        let mut meter = LoudnessMeter::new(Spec::new(RATE, channels).expect("valid")).expect("a meter");
        // Pieces of an odd size, whole frames.
        for piece in samples.chunks(1_234 * channels as usize) {
            meter.push(piece).expect("taken");
        }
        meter.finish().expect("measured")
    }

    fn near(found: Option<f32>, expected: f64, within: f64, what: &str) {
        let found = f64::from(found.unwrap_or(f32::NEG_INFINITY));
        assert!(
            (found - expected).abs() <= within,
            "{what}: {found}, not {expected}"
        );
    }

    /// EBU Tech 3341, table 1, cases 1 to 5, of 997 Hz instead of 1 kHz, which is whole samples.
    #[test]
    fn integrated_loudness_of_the_test_signals_of_the_ebu_is_within_a_tenth() {
        type Case<'a> = (&'a str, &'a [(f64, f64)], f64);
        let cases: [Case<'_>; 5] = [
            ("1", &[(-23.0, 20.0)], -23.0),
            ("2", &[(-33.0, 20.0)], -33.0),
            ("3", &[(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)], -23.0),
            (
                "4",
                &[
                    (-72.0, 10.0),
                    (-36.0, 10.0),
                    (-23.0, 60.0),
                    (-36.0, 10.0),
                    (-72.0, 10.0),
                ],
                -23.0,
            ),
            ("5", &[(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)], -23.0),
        ];
        for (case, parts, expected) in cases {
            let found = measure(&tone(997.0, 2, parts), 2);
            near(found.integrated_lufs, expected, 0.1, case);
        }
    }

    /// EBU Tech 3341, table 1, case 6: 5.1 with the low-frequency channel silent.
    #[test]
    fn surround_channels_weigh_more() {
        let channels = [-28.0, -28.0, -24.0, f64::NEG_INFINITY, -30.0, -30.0];
        let mono = tone(997.0, 1, &[(0.0, 20.0)]);
        let gains = channels.map(|db| 10f64.powf(db / 20.0));
        let samples: Vec<f32> = mono
            .iter()
            .flat_map(|sample| gains.map(|gain| (f64::from(*sample) * gain) as f32))
            .collect();
        near(measure(&samples, 6).integrated_lufs, -23.0, 0.1, "5.1");
    }

    /// EBU Tech 3341, cases 9 to 13: short-term and momentary loudness of tones that fill the window, wherever they begin.
    #[test]
    fn the_greatest_window_is_found_wherever_it_begins() {
        let waves: Vec<(f64, f64)> = [(-20.0, 1.34), (-30.0, 1.66)].repeat(5);
        let found = measure(&tone(997.0, 2, &waves), 2);
        near(found.max_short_term_lufs, -23.0, 0.1, "9");
        let waves: Vec<(f64, f64)> = [(-20.0, 0.18), (-30.0, 0.22)].repeat(25);
        let found = measure(&tone(997.0, 2, &waves), 2);
        near(found.max_momentary_lufs, -23.0, 0.1, "12");
        for n in [0, 1, 7, 13, 19] {
            let silent = f64::from(n);
            let long = [
                (f64::NEG_INFINITY, silent * 0.15),
                (-23.0, 3.0),
                (f64::NEG_INFINITY, 1.0),
            ];
            let found = measure(&tone(997.0, 2, &long), 2);
            near(found.max_short_term_lufs, -23.0, 0.1, "10");
            let short = [
                (f64::NEG_INFINITY, silent * 0.023),
                (-23.0, 0.4),
                (f64::NEG_INFINITY, 1.0),
            ];
            let found = measure(&tone(997.0, 2, &short), 2);
            near(found.max_momentary_lufs, -23.0, 0.1, "13");
        }
    }

    /// EBU Tech 3342, table 1, cases 1 to 3.
    #[test]
    fn the_range_of_the_test_signals_of_the_ebu_is_within_one() {
        for (low, high, range) in [(-30.0, -20.0, 10.0), (-15.0, -20.0, 5.0), (-20.0, -40.0, 20.0)] {
            let found = measure(&tone(997.0, 2, &[(low, 20.0), (high, 20.0)]), 2);
            assert!((f64::from(found.range_lu) - range).abs() <= 1.0, "{found:?}");
        }
    }

    /// EBU Tech 3341, cases 15 and 16: a quarter of the sample rate, sampled at its crests and between them.
    #[test]
    fn the_true_peak_lies_between_samples() {
        let quarter = f64::from(RATE) / 4.0;
        let amplitude = 0.5;
        let at = |phase: f64| -> Vec<f32> {
            (0..RATE)
                .map(|n| {
                    // Faded in, so that no edge rings.
                    let fade = (f64::from(n) / 4_800.0).min(1.0);
                    let turn = 2.0 * PI * quarter * f64::from(n) / f64::from(RATE) + phase;
                    (fade * amplitude * turn.sin()) as f32
                })
                .collect()
        };
        for phase in [0.0, PI / 4.0, PI / 3.0] {
            let found = measure(&at(phase), 1);
            let peak = found.true_peak_dbtp.expect("a peak");
            // Tech 3341 allows +0.2 and -0.4 dB.
            assert!((-6.42..=-5.82).contains(&peak), "{phase}: {peak}");
        }
    }

    #[test]
    fn silence_has_no_loudness_and_the_pieces_do_not_matter() {
        let silent = measure(&vec![0.0; RATE as usize], 1);
        assert_eq!(silent, Loudness::default());
        let samples = tone(440.0, 2, &[(-12.0, 1.5), (-30.0, 3.1)]);
        let mut meter = LoudnessMeter::new(Spec::new(RATE, 2).expect("valid")).expect("a meter");
        meter.push(&samples).expect("taken");
        assert_eq!(meter.finish().expect("measured"), measure(&samples, 2));
    }

    #[test]
    fn every_channel_of_seven_and_eight_but_the_low_one_is_heard() {
        for channels in [7usize, 8] {
            for loud in 0..channels {
                let samples: Vec<f32> = tone(997.0, 1, &[(-20.0, 1.0)])
                    .iter()
                    .flat_map(|sample| (0..channels).map(move |n| if n == loud { *sample } else { 0.0 }))
                    .collect();
                let found = measure(&samples, channels as u32).integrated_lufs;
                assert_eq!(found.is_some(), loud != 3, "{channels}: {loud}");
            }
        }
    }
}
