//! Where people speak, according to Silero VAD: in a stream frame by frame, in a recording as a whole.
//!
//! Traits, so that a test can script the probabilities. What follows from a probability is decided elsewhere:
//! `polyphony_audio::endpoint` holds the rules.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use polyphony_audio::endpoint::{self, Rules, Stop};
use polyphony_inference::silero::{self, Silero, SileroStream};

use crate::domain::{Cancel, SAMPLE_RATE};
use crate::error::Error;

/// Samples in a frame, 32 ms.
pub const FRAME: usize = silero::CHUNK;

/// Judges a stream, frame by frame.
pub trait Vad: Send {
    /// The probability, 0 to 1, that somebody speaks in the next frame.
    ///
    /// # Errors
    /// [`Error::Engine`] when the model fails.
    fn probability(&mut self, frame: &[f32; FRAME]) -> Result<f32, Error>;
}

/// Tells where people speak.
pub trait VoiceActivity: Send + Sync {
    /// Begins a stream.
    fn stream(&self) -> Box<dyn Vad>;

    /// The stretches of speech, in order, with some silence around them, none longer than 28 s.
    ///
    /// # Errors
    /// [`Error::Engine`] when the model fails, [`Error::Cancelled`].
    fn speech(&self, audio: &[f32], cancel: &Cancel) -> Result<Vec<Range<usize>>, Error>;
}

/// The model, for streams and for recordings. Cheap to clone.
#[derive(Clone)]
pub struct SileroVad(Silero);

/// The longest stretch, which an engine takes as one utterance.
const LONGEST: Duration = Duration::from_secs(28);
/// Stretches closer than this are one, as long as it is not too long.
const NEAR: u64 = 3 * SAMPLE_RATE as u64 / 2;

// === impl SileroVad ===

impl SileroVad {
    /// Wraps the open model.
    pub const fn new(silero: Silero) -> Self {
        Self(silero)
    }
}

impl VoiceActivity for SileroVad {
    fn stream(&self) -> Box<dyn Vad> {
        Box::new(self.0.stream())
    }

    fn speech(&self, audio: &[f32], cancel: &Cancel) -> Result<Vec<Range<usize>>, Error> {
        let mut stream = self.0.stream();
        let mut probabilities = Vec::with_capacity(audio.len().div_ceil(FRAME));
        let mut frame = [0.0; FRAME];
        for chunk in audio.chunks(FRAME) {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            frame[..chunk.len()].copy_from_slice(chunk);
            frame[chunk.len()..].fill(0.0);
            probabilities.push(stream.push(&frame).map_err(failed)?);
        }
        let rules = Rules {
            stop: Stop::Silence(Duration::from_millis(500)),
            pad_before: Duration::from_millis(200),
            pad_after: Duration::from_millis(200),
            max_speech: Some(LONGEST),
            ..Rules::silero()
        };
        let found = endpoint::segments(&probabilities, audio.len() as u64, &rules)
            .map_err(|error| Error::engine(NAME, error))?;
        Ok(joined(found))
    }
}

impl fmt::Debug for SileroVad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SileroVad")
    }
}

impl Vad for SileroStream {
    fn probability(&mut self, frame: &[f32; FRAME]) -> Result<f32, Error> {
        self.push(frame).map_err(failed)
    }
}

const NAME: &str = "silero";

fn failed(error: polyphony_inference::Error) -> Error {
    Error::engine(NAME, error)
}

/// Joins near stretches, because an engine hears more in one long utterance than in several short ones.
fn joined(found: Vec<Range<u64>>) -> Vec<Range<usize>> {
    let longest = LONGEST.as_secs() * u64::from(SAMPLE_RATE);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for next in found {
        let near = |last: &&mut Range<u64>| {
            next.start.saturating_sub(last.end) < NEAR && next.end - last.start <= longest
        };
        match joined.last_mut().filter(near) {
            Some(last) => last.end = next.end,
            None => joined.push(next),
        }
    }
    joined
        .into_iter()
        .map(|range| range.start as usize..range.end as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_stretches_are_joined_up_to_the_longest() {
        let second = u64::from(SAMPLE_RATE);
        let range = |from: u64, to: u64| from * second..to * second;
        let found = joined(vec![range(0, 10), range(11, 27), range(28, 30), range(40, 41)]);
        let seconds: Vec<_> = found
            .iter()
            .map(|range| (range.start as u64 / second, range.end as u64 / second))
            .collect();
        assert_eq!(seconds, [(0, 27), (28, 30), (40, 41)]);
    }
}
