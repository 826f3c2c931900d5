//! The audio of utterances, one after the other, as encoded bytes, and when things are heard in all of it.
//!
//! Engines give samples at their own rate and count time from the beginning of the utterance; a client hears one
//! recording at one rate. Each utterance is resampled by itself, so that all of it is out when it is over.

use std::time::Duration;

use polyphony_audio::encode::{self, Encoder, Format, Settings};
use polyphony_audio::pcm::{Channels, SampleRate, Spec};
use polyphony_audio::resample::Resampler;
use polyphony_error::{Fault, Kind};

use crate::Error;

/// How audio is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    pub(crate) format: Format,
    pub(crate) rate: SampleRate,
    pub(crate) bit_rate: u32,
}

/// One recording in the making.
#[derive(Debug)]
pub(crate) struct Sound {
    rate: SampleRate,
    encoder: Encoder,
    /// From which rate, where it is not the same.
    resampler: Option<(SampleRate, Resampler)>,
    frames: u64,
    /// Where the present utterance begins.
    begin: Duration,
    resampled: Vec<f32>,
}

// === impl Encoding ===

impl Encoding {
    fn settings(self) -> Settings {
        Settings {
            format: self.format,
            spec: Spec {
                rate: self.rate,
                channels: Channels::MONO,
            },
            bit_rate: self.bit_rate,
        }
    }
}

// === impl Sound ===

impl Sound {
    /// Nothing was spoken. `path` is where the audio config stands in the request.
    pub(crate) fn new(encoding: Encoding, path: &str) -> Result<Self, Fault> {
        let encoder = Encoder::new(encoding.settings()).map_err(|error| fault(error, path))?;
        Ok(Self {
            rate: encoding.rate,
            encoder,
            resampler: None,
            frames: 0,
            begin: Duration::ZERO,
            resampled: Vec::new(),
        })
    }

    /// An utterance of so many samples a second begins. What was left of one that was broken off is gone.
    pub(crate) fn begin(&mut self, rate: u32) -> Result<(), Error> {
        self.begin = self.length();
        let from = SampleRate::new(rate).map_err(failed)?;
        self.resampler = if from == self.rate {
            None
        } else {
            Some((from, Resampler::new(from, self.rate).map_err(failed)?))
        };
        Ok(())
    }

    /// Takes samples of the utterance and appends to `out` what they became.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), Error> {
        if samples.iter().any(|sample| !sample.is_finite()) {
            return Err(failed("the model gave a sample that is no number"));
        }
        self.resampled.clear();
        match &mut self.resampler {
            None => self.resampled.extend_from_slice(samples),
            Some((_, resampler)) => resampler.push(samples, &mut self.resampled).map_err(failed)?,
        }
        self.write(out)
    }

    /// The utterance is over: appends the rest of it.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.resampled.clear();
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.finish(&mut self.resampled).map_err(failed)?;
        }
        self.write(out)
    }

    /// Appends what the encoder can be made to give now.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.encoder.flush(out).map_err(failed)
    }

    /// Ends the recording; gives the bytes that belong at its beginning instead of those that went there.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<Vec<u8>, Error> {
        self.encoder.finish(out).map_err(failed)
    }

    /// All that was taken so far.
    pub(crate) fn length(&self) -> Duration {
        self.rate.duration(self.frames)
    }

    /// How much can be heard of the bytes that were given so far.
    pub(crate) fn heard(&self) -> Duration {
        self.rate.duration(self.encoder.heard().unwrap_or(self.frames))
    }

    /// When something is heard that comes so long after the beginning of the present utterance.
    pub(crate) fn at(&self, time: Duration) -> Duration {
        self.begin + time
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        for sample in &mut self.resampled {
            *sample = sample.clamp(-1.0, 1.0);
        }
        self.frames += self.resampled.len() as u64;
        self.encoder.push(&self.resampled, out).map_err(failed)
    }
}

/// What cannot be written so, in the field that asks for it.
pub(crate) fn fault(error: encode::Error, path: &str) -> Fault {
    match error {
        encode::Error::Setting { field, problem } => Fault::invalid(format!("{path}{field}"), problem),
        encode::Error::Missing { .. } => {
            let message = format!("{path}audio_encoding: {error}, or ask for another encoding");
            Fault::new(Kind::FailedPrecondition, "ENCODER_MISSING", message).because(error)
        }
        encode::Error::TooLong => Fault::exhausted("AUDIO_TOO_LARGE", "audio", error.to_string(), None),
        error => Fault::internal(error),
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::engine("the encoder", source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(format: Format, rate: u32) -> Encoding {
        Encoding {
            format,
            rate: SampleRate::new(rate).expect("valid"),
            bit_rate: Format::BIT_RATE,
        }
    }

    #[test]
    fn utterances_of_other_rates_follow_one_another_without_a_gap() {
        let mut sound = Sound::new(encoding(Format::Linear16, 16_000), "").expect("made");
        let mut out = Vec::new();
        for (rate, samples, begin) in [(22_050, 2_205, 0), (16_000, 800, 100), (24_000, 4_800, 150)] {
            sound.begin(rate).expect("begins");
            assert_eq!(sound.at(Duration::ZERO), Duration::from_millis(begin));
            for piece in vec![0.25; samples].chunks(777) {
                sound.push(piece, &mut out).expect("taken");
            }
            sound.end(&mut out).expect("ends");
        }
        assert_eq!(sound.length(), Duration::from_millis(350));
        assert_eq!(out.len(), 2 * 5_600);
    }

    #[test]
    fn what_is_too_loud_is_cut_off_and_what_is_no_number_refused() {
        let mut sound = Sound::new(encoding(Format::Float32, 16_000), "").expect("made");
        let mut out = Vec::new();
        sound.begin(16_000).expect("begins");
        sound.push(&[2.0, -3.0, 0.5], &mut out).expect("taken");
        let bytes: Vec<u8> = [1.0_f32, -1.0, 0.5]
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        assert_eq!(out, bytes);
        sound.push(&[f32::NAN], &mut out).expect_err("no number");
    }

    #[test]
    fn an_utterance_that_is_broken_off_leaves_nothing_behind() {
        let mut sound = Sound::new(encoding(Format::Linear16, 16_000), "").expect("made");
        let mut out = Vec::new();
        sound.begin(24_000).expect("begins");
        sound.push(&vec![0.5; 24_000], &mut out).expect("taken");
        let broken = sound.length();
        sound.begin(24_000).expect("begins");
        assert_eq!(sound.at(Duration::ZERO), broken);
        sound.push(&vec![0.0; 2_400], &mut out).expect("taken");
        sound.end(&mut out).expect("ends");
        assert_eq!(sound.length(), broken + Duration::from_millis(100));
    }

    #[test]
    fn what_an_encoding_lacks_is_refused_by_its_path() {
        let refused =
            Sound::new(encoding(Format::OggOpus, 22_050), "config.audio_config.").expect_err("no rate");
        assert_eq!(
            refused.violations[0].field,
            "config.audio_config.sample_rate_hertz"
        );
    }
}
