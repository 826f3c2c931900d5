//! Audio that comes in a stream: the pieces that a client sends, decoded as they come, to samples of one rate.

use std::time::Duration;

use polyphony_audio::limits::Limits;
use polyphony_audio::pcm::{Pcm, SampleRate};
use polyphony_audio::resample::Resampler;
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_error::Fault;
use prost::bytes::Bytes;

use crate::audio::fault;

/// The largest piece of audio.
const MOST_AUDIO: usize = 32 << 10;
/// A stream without a limit ends before this.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// What brings audio in a stream.
const FIELD: &str = "audio";

/// Decodes a stream.
#[derive(Debug)]
pub struct Hearing {
    decoder: StreamDecoder,
    /// Frames heard in the stream's own rate, and that rate.
    heard: u64,
    rate: Option<SampleRate>,
}

/// Brings blocks to one rate, mono.
#[derive(Debug)]
pub struct Mono {
    rate: SampleRate,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
}

/// A piece of audio that a client sent.
///
/// # Errors
/// INVALID_ARGUMENT for one that is too long.
pub fn piece(bytes: Bytes) -> Result<Bytes, Fault> {
    if bytes.len() > MOST_AUDIO {
        let problem = "must be at most 32 KiB in one message; send more, smaller ones";
        return Err(Fault::invalid(FIELD, problem));
    }
    Ok(bytes)
}

// === impl Hearing ===

impl Hearing {
    /// A stream of this format, no longer than `longest`; zero: no limit. `field` is what the format was said in.
    ///
    /// # Errors
    /// A format that cannot be decoded as it comes.
    pub fn new(format: Format, longest: Duration, field: &str) -> Result<Self, Fault> {
        let limits = Limits {
            max_bytes: u64::MAX,
            max_duration: if longest.is_zero() { FOREVER } else { longest },
            ..Limits::default()
        };
        let decoder = StreamDecoder::new(format, limits).map_err(|error| fault(error, field))?;
        Ok(Self {
            decoder,
            heard: 0,
            rate: None,
        })
    }

    /// Takes bytes. Take all blocks out before the next.
    ///
    /// # Errors
    /// When they are not of the format, or beyond the limits.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.decoder.feed(bytes).map_err(bad_audio)
    }

    /// No more bytes will come. Take the last blocks out.
    pub const fn finish(&mut self) {
        self.decoder.finish();
    }

    /// The next block, if the bytes so far hold one.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub fn next_block(&mut self) -> Result<Option<Pcm>, Fault> {
        let block = self.decoder.next_block().map_err(bad_audio)?;
        if let Some(block) = &block {
            self.heard += block.frames();
            self.rate = Some(block.spec().rate);
        }
        Ok(block)
    }

    /// All that was heard.
    pub fn duration(&self) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| rate.duration(self.heard))
    }
}

// === impl Mono ===

impl Mono {
    /// To this rate.
    pub const fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            resampler: None,
            samples: Vec::new(),
        }
    }

    /// A block's samples, as far as they are ready.
    ///
    /// # Errors
    /// A rate that cannot be brought to this one.
    pub fn push(&mut self, block: Pcm) -> Result<&[f32], Fault> {
        let resampler = match &mut self.resampler {
            Some(resampler) => resampler,
            none => none.insert(Resampler::new(block.spec().rate, self.rate).map_err(bad_audio)?),
        };
        self.samples.clear();
        resampler
            .push(block.into_mono().samples(), &mut self.samples)
            .map_err(bad_audio)?;
        Ok(&self.samples)
    }

    /// The last samples.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(&mut self) -> Result<&[f32], Fault> {
        self.samples.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.samples).map_err(bad_audio)?;
        }
        Ok(&self.samples)
    }
}

fn bad_audio(error: polyphony_audio::Error) -> Fault {
    fault(error, FIELD)
}
