//! The nouns of sound: rate, channels, samples. Durations and sample counts convert in integers, so nothing drifts.

mod encoding;
mod g711;

use std::time::Duration;

use crate::Error;

pub use encoding::Encoding;

const NANOS: u128 = 1_000_000_000;

/// Samples per second and channel, 8 000 to 192 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleRate(u32);

/// The number of channels, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channels(u8);

/// What must be known to make sense of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Frames per second.
    pub rate: SampleRate,
    /// Samples in a frame.
    pub channels: Channels,
}

/// Whole frames of samples, interleaved, full scale -1 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Pcm {
    samples: Vec<f32>,
    spec: Spec,
}

// === impl SampleRate ===

impl SampleRate {
    /// Telephone quality, the lowest that is accepted.
    pub const MIN: Self = Self(8_000);
    /// The highest that is accepted.
    pub const MAX: Self = Self(192_000);
    /// What speech models eat: 16 kHz.
    pub const SPEECH: Self = Self(16_000);

    /// A rate in Hz.
    ///
    /// # Errors
    /// [`Error::SampleRate`] outside of 8 000 to 192 000.
    pub const fn new(hz: u32) -> Result<Self, Error> {
        if hz < Self::MIN.0 || hz > Self::MAX.0 {
            return Err(Error::SampleRate { found: hz });
        }
        Ok(Self(hz))
    }

    /// In Hz.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// How long `frames` last, to the nanosecond below.
    pub fn duration(self, frames: u64) -> Duration {
        let rate = u64::from(self.0);
        // The remainder is less than the rate, so the product fits, and the quotient is less than a second.
        let nanos = u128::from(frames % rate) * NANOS / u128::from(rate);
        Duration::new(frames / rate, nanos as u32)
    }

    /// The frame nearest to `time`. The inverse of [`duration`](Self::duration); saturates.
    pub fn frames(self, time: Duration) -> u64 {
        let frames = (time.as_nanos() * u128::from(self.0) + NANOS / 2) / NANOS;
        u64::try_from(frames).unwrap_or(u64::MAX)
    }
}

// === impl Channels ===

impl Channels {
    /// One channel.
    pub const MONO: Self = Self(1);
    /// The highest number that is accepted anywhere.
    pub const MAX: u32 = 64;

    /// A number of channels.
    ///
    /// # Errors
    /// [`Error::Channels`] outside of 1 to 64.
    pub const fn new(count: u32) -> Result<Self, Error> {
        if count == 0 || count > Self::MAX {
            return Err(Error::Channels {
                found: count,
                max: Self::MAX,
            });
        }
        Ok(Self(count as u8))
    }

    /// How many.
    pub const fn count(self) -> usize {
        self.0 as usize
    }
}

// === impl Spec ===

impl Spec {
    /// 16 kHz mono.
    pub const SPEECH: Self = Self {
        rate: SampleRate::SPEECH,
        channels: Channels::MONO,
    };

    /// Checks both numbers.
    ///
    /// # Errors
    /// [`Error::SampleRate`] or [`Error::Channels`].
    pub fn new(rate_hz: u32, channels: u32) -> Result<Self, Error> {
        Ok(Self {
            rate: SampleRate::new(rate_hz)?,
            channels: Channels::new(channels)?,
        })
    }
}

// === impl Pcm ===

impl Pcm {
    /// Interleaved samples; a last frame that is not whole is dropped.
    pub fn new(mut samples: Vec<f32>, spec: Spec) -> Self {
        samples.truncate(samples.len() - samples.len() % spec.channels.count());
        Self { samples, spec }
    }

    /// One channel.
    pub fn mono(samples: Vec<f32>, rate: SampleRate) -> Self {
        let channels = Channels::MONO;
        Self::new(samples, Spec { rate, channels })
    }

    /// Rate and channels.
    pub const fn spec(&self) -> Spec {
        self.spec
    }

    /// All samples, interleaved.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// All samples, interleaved.
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// The number of frames.
    pub fn frames(&self) -> u64 {
        (self.samples.len() / self.spec.channels.count()) as u64
    }

    /// How long it lasts.
    pub fn duration(&self) -> Duration {
        self.spec.rate.duration(self.frames())
    }

    /// One channel: the mean of all. Costs nothing when it is mono already.
    pub fn into_mono(self) -> Self {
        let channels = self.spec.channels.count();
        if channels == 1 {
            return self;
        }
        let scale = 1.0 / channels as f32;
        let mean = |frame: &[f32]| frame.iter().sum::<f32>() * scale;
        let samples = self.samples.chunks_exact(channels).map(mean).collect();
        Self::mono(samples, self.spec.rate)
    }

    /// One channel alone, counted from 0; `None` where there is no such channel.
    pub fn channel(&self, index: usize) -> Option<Self> {
        let channels = self.spec.channels.count();
        if index >= channels {
            return None;
        }
        let samples = self
            .samples
            .iter()
            .skip(index)
            .step_by(channels)
            .copied()
            .collect();
        Some(Self::mono(samples, self.spec.rate))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_survive_the_trip_through_a_duration(hz in 8_000u32..=192_000, frames in 0u64..1 << 50) {
            let rate = SampleRate::new(hz).expect("in range");
            prop_assert_eq!(rate.frames(rate.duration(frames)), frames);
        }
    }

    #[test]
    fn a_day_at_44100_is_exact() {
        let rate = SampleRate::new(44_100).expect("valid");
        assert_eq!(rate.duration(44_100 * 86_400), Duration::from_secs(86_400));
        assert_eq!(rate.duration(44_100 * 86_400 + 1).subsec_nanos(), 22_675);
        assert_eq!(rate.frames(Duration::MAX), u64::MAX);
    }

    #[test]
    fn rates_and_channels_outside_of_audio_are_refused() {
        for hz in [0, 7_999, 192_001, u32::MAX] {
            assert_eq!(SampleRate::new(hz), Err(Error::SampleRate { found: hz }));
        }
        for count in [0, 65, u32::MAX] {
            assert_eq!(
                Channels::new(count),
                Err(Error::Channels {
                    found: count,
                    max: 64
                })
            );
        }
    }

    #[test]
    fn downmix_is_the_mean_and_a_partial_frame_is_dropped() {
        let spec = Spec::new(8_000, 2).expect("valid");
        let pcm = Pcm::new(vec![1.0, 0.0, -0.5, 0.5, 0.25], spec);
        assert_eq!(pcm.frames(), 2);
        assert_eq!(pcm.channel(1).map(Pcm::into_samples), Some(vec![0.0, 0.5]));
        assert_eq!(pcm.channel(2), None);
        assert_eq!(pcm.into_mono().samples(), [0.5, 0.0]);
    }
}
