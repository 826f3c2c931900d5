//! What is done to an engine's audio so that it is spoken as it was asked for: the length of pauses, and what the model
//! itself cannot do of rate, pitch and volume.
//!
//! Pitch beyond the model's is made by playing the audio faster or slower; speed that this brings too much of, the model
//! takes back if it can, else the audio is stretched. The voice's timbre moves along with such a pitch.

use std::ops::{Range, RangeInclusive};

use polyphony_audio::pcm::SampleRate;
use polyphony_audio::resample::Resampler;

use super::pauses::Pauses;
use super::stretch::Stretch;
use crate::domain::Prosody;

/// What of a prosody a model does by itself.
#[derive(Debug, Clone)]
pub(super) struct Native {
    /// The rates that it can speak at.
    pub(super) rates: RangeInclusive<f32>,
    /// The changes of pitch that it can do, in semitones.
    pub(super) pitches: RangeInclusive<f32>,
}

/// How a prosody is shared between the model and what is done to its audio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// For the model.
    pub(super) rate: f32,
    /// For the model, in semitones.
    pub(super) pitch: f32,
    /// How much shorter the audio is made without a change of pitch.
    speed: f64,
    /// How much faster it is played then.
    play: f64,
    amplitude: f32,
}

/// Does what is left of a plan to the audio of one script.
pub(super) struct Shaper {
    pauses: Pauses,
    stretch: Option<Stretch>,
    player: Option<Resampler>,
    plan: Plan,
}

/// Resampling knows rates; a ratio is told by this one and another.
const PLAYED: u32 = 32_000;
/// Rates that differ by less share no divisor, which makes the filter's blocks long.
const STEP: f64 = 50.0;

// === impl Plan ===

impl Plan {
    pub(super) fn new(prosody: Prosody, native: &Native) -> Self {
        let pitch = prosody
            .pitch
            .clamp(*native.pitches.start(), *native.pitches.end());
        let more = f64::from(prosody.pitch - pitch);
        // What can be played exactly.
        let ratio = (more / 12.0).exp2();
        let play = (ratio * f64::from(PLAYED) / STEP).round() * STEP / f64::from(PLAYED);
        let wanted = f64::from(prosody.rate) / play;
        let rate = (wanted as f32).clamp(*native.rates.start(), *native.rates.end());
        let speed = wanted / f64::from(rate);
        Self {
            rate,
            pitch,
            speed: if (speed - 1.0).abs() < 1e-3 { 1.0 } else { speed },
            play,
            amplitude: prosody.amplitude(),
        }
    }
}

// === impl Shaper ===

impl Shaper {
    /// For audio at `rate` with pauses at these places.
    pub(super) fn new(
        plan: Plan,
        rate: u32,
        pauses: &[Range<usize>],
        silence_scale: f32,
    ) -> Result<Self, polyphony_audio::Error> {
        let player = if plan.play == 1.0 {
            None
        } else {
            let from = SampleRate::new((f64::from(PLAYED) * plan.play).round() as u32)?;
            Some(Resampler::new(from, SampleRate::new(PLAYED)?)?)
        };
        Ok(Self {
            pauses: Pauses::new(pauses, silence_scale),
            stretch: (plan.speed != 1.0).then(|| Stretch::new(plan.speed, rate)),
            player,
            plan,
        })
    }

    /// Takes samples and gives what is ready.
    pub(super) fn push(&mut self, samples: Vec<f32>) -> Result<Vec<f32>, polyphony_audio::Error> {
        let mut samples = self.pauses.push(samples);
        if let Some(stretch) = &mut self.stretch {
            let mut stretched = Vec::new();
            stretch.push(&samples, &mut stretched);
            samples = stretched;
        }
        self.play(samples, false)
    }

    /// Gives the rest.
    pub(super) fn finish(&mut self) -> Result<Vec<f32>, polyphony_audio::Error> {
        let mut rest = Vec::new();
        if let Some(stretch) = &mut self.stretch {
            stretch.finish(&mut rest);
        }
        self.play(rest, true)
    }

    /// Where a sample of the model's audio is in what comes out.
    pub(super) fn moved(&self, at: usize) -> usize {
        (self.pauses.moved(at) as f64 / (self.plan.speed * self.plan.play)).round() as usize
    }

    fn play(&mut self, mut samples: Vec<f32>, last: bool) -> Result<Vec<f32>, polyphony_audio::Error> {
        if let Some(player) = &mut self.player {
            let mut played = Vec::new();
            player.push(&samples, &mut played)?;
            if last {
                player.finish(&mut played)?;
            }
            samples = played;
        }
        if self.plan.amplitude != 1.0 {
            for sample in &mut samples {
                *sample *= self.plan.amplitude;
            }
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(rates: RangeInclusive<f32>, pitches: RangeInclusive<f32>) -> Native {
        Native { rates, pitches }
    }

    #[test]
    fn a_model_does_what_it_can() {
        let natural = Plan::new(Prosody::NATURAL, &native(0.5..=2.0, -12.0..=12.0));
        assert_eq!(
            (natural.rate, natural.pitch, natural.speed, natural.play),
            (1.0, 0.0, 1.0, 1.0)
        );
        let fast = Prosody {
            rate: 4.0,
            pitch: 5.0,
            gain: -6.0,
        };
        let plan = Plan::new(fast, &native(0.5..=2.0, -12.0..=12.0));
        assert_eq!(
            (plan.rate, plan.pitch, plan.speed, plan.play),
            (2.0, 5.0, 2.0, 1.0)
        );
        // A model without pitch speaks slower and is played faster.
        let high = Prosody {
            rate: 1.0,
            pitch: 12.0,
            gain: 0.0,
        };
        let plan = Plan::new(high, &native(0.2..=5.0, 0.0..=0.0));
        assert_eq!(
            (plan.rate, plan.pitch, plan.speed, plan.play),
            (0.5, 0.0, 1.0, 2.0)
        );
    }

    #[test]
    fn length_and_places_are_as_asked_for() {
        for (rate, pitch) in [(4.0, 0.0), (0.25, 0.0), (1.0, 7.0), (2.0, -20.0), (0.5, 20.0)] {
            let prosody = Prosody {
                rate,
                pitch,
                gain: -20.0,
            };
            let plan = Plan::new(prosody, &native(1.0..=1.0, 0.0..=0.0));
            let mut shaper = Shaper::new(plan, 22_050, &[], 1.0).expect("a shaper");
            let mut out = Vec::new();
            for _ in 0..10 {
                out.extend(shaper.push(vec![1.0; 2_205]).expect("audio"));
            }
            out.extend(shaper.finish().expect("audio"));
            let wanted = 22_050.0 / rate;
            assert!(
                (out.len() as f32 - wanted).abs() < wanted * 0.01,
                "{rate} {pitch}: {}",
                out.len()
            );
            assert!(shaper.moved(22_050).abs_diff(out.len()) < 20);
            assert!((out[out.len() / 2] - 0.1).abs() < 0.01, "{}", out[out.len() / 2]);
        }
    }
}
