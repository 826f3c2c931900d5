//! What all streams do with audio: bytes as they come to blocks of samples, and an account of them; and how a stream ends
//! before its time.

use std::time::Duration;

use polyphony_audio::limits::Limits;
use polyphony_audio::pcm::{Pcm, SampleRate};
use polyphony_audio::resample::Resampler;
use polyphony_audio::stream::{Format, StreamDecoder};
use polyphony_chassis::duplex::{Gone, told};
use polyphony_error::Fault;
use polyphony_wire::audio;
use prost::bytes::Bytes;
use tonic::Status;

use crate::engine;
use crate::whole::FIELD;

/// The largest piece of audio.
const MOST_AUDIO: usize = 32 << 10;
/// A stream without a limit ends before this.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why a worker stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody reads any more.
    Gone,
    /// The client is told.
    Failed(Status),
}

/// Decodes a stream.
#[derive(Debug)]
pub(super) struct Hearing {
    decoder: StreamDecoder,
    /// Frames heard in the stream's own rate, and that rate.
    heard: u64,
    rate: Option<SampleRate>,
}

/// Brings blocks to one rate, mono.
#[derive(Debug)]
pub(super) struct Mono {
    rate: SampleRate,
    resampler: Option<Resampler>,
    samples: Vec<f32>,
}

// === impl Hearing ===

impl Hearing {
    /// `longest` of zero: no limit.
    pub(super) fn new(format: Format, longest: Duration) -> Result<Self, Fault> {
        let limits = Limits {
            max_bytes: u64::MAX,
            max_duration: if longest.is_zero() { FOREVER } else { longest },
            ..Limits::default()
        };
        let decoder = StreamDecoder::new(format, limits)
            .map_err(|error| audio::fault(error, "config.explicit_decoding"))?;
        Ok(Self {
            decoder,
            heard: 0,
            rate: None,
        })
    }

    /// Takes bytes. Take all blocks out before the next.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.decoder.feed(bytes).map_err(bad_audio)
    }

    /// No more bytes will come. Take the last blocks out.
    pub(super) const fn finish(&mut self) {
        self.decoder.finish();
    }

    /// The next block, if the bytes so far hold one.
    pub(super) fn next(&mut self) -> Result<Option<Pcm>, Stop> {
        let block = self.decoder.next_block().map_err(bad_audio)?;
        if let Some(block) = &block {
            self.heard += block.frames();
            self.rate = Some(block.spec().rate);
        }
        Ok(block)
    }

    /// All that was heard.
    pub(super) fn duration(&self) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| rate.duration(self.heard))
    }
}

// === impl Mono ===

impl Mono {
    pub(super) const fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            resampler: None,
            samples: Vec::new(),
        }
    }

    /// A block's samples, as far as they are ready.
    pub(super) fn push(&mut self, block: Pcm) -> Result<&[f32], Stop> {
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
    pub(super) fn finish(&mut self) -> Result<&[f32], Stop> {
        self.samples.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.finish(&mut self.samples).map_err(bad_audio)?;
        }
        Ok(&self.samples)
    }
}

// === impl Stop ===

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl From<engine::Error> for Stop {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Cancelled => Self::Gone,
            error => Self::Failed(told(error.into())),
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Failed(told(fault))
    }
}

/// A piece of audio that a client sent.
pub(super) fn piece(bytes: Bytes) -> Result<Bytes, Fault> {
    if bytes.len() > MOST_AUDIO {
        let problem = "must be at most 32 KiB in one message; send more, smaller ones";
        return Err(Fault::invalid(FIELD, problem));
    }
    Ok(bytes)
}

/// A first message that is no config, or a later one that is.
pub(super) fn no_config(is_missing: bool) -> Fault {
    let problem = if is_missing {
        "is missing; the first message of a stream is its config"
    } else {
        "must be the first message of a stream"
    };
    Fault::invalid("config", problem)
}

pub(super) fn another_config() -> Fault {
    Fault::invalid(
        "config",
        "must be sent once; open another stream for another config",
    )
}

fn bad_audio(error: polyphony_audio::Error) -> Stop {
    Stop::Failed(told(audio::fault(error, FIELD)))
}
