//! RIFF WAVE, read forwards in pieces of any size, so that files and streams share one reader.
//!
//! Our own and not symphonia's, because what a WAV says of its own length is often untrue and each lie means
//! something else:
//!
//! | data chunk says | meaning | we |
//! | --- | --- | --- |
//! | fits in the input | the truth | read so much, ignore what follows |
//! | larger than the input | the file was cut | read what is there, then [`Error::Truncated`] |
//! | 2 GiB less 4 KiB or more, and more than there is | written to a pipe (ffmpeg 0xFFFFFFFF, sox 0x7FFFF000) | read to the end |
//! | 0, and the RIFF size ends there too or is unknown | the writer never came back to fill it in | read to the end |
//! | 0, and the RIFF size goes on | truly empty | [`Error::NoSamples`] |
//!
//! Format: Microsoft "Multiple channel audio data and WAVE files" (tags 1, 3, 6, 7 and `WAVE_FORMAT_EXTENSIBLE`).

use std::borrow::Cow;

use crate::Error;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::pcm::{Encoding, Pcm};
use crate::probe::Container;
use crate::raw::{Frames, split};

/// From here on a size is what pipe writers put for "unknown", unless so much is really there.
const UNKNOWN: u32 = 0x7fff_f000;
/// The largest format chunk that is taken seriously; the real ones have 16, 18 or 40 bytes.
const MAX_FORMAT: u32 = 4096;

/// Reads one WAV.
#[derive(Debug)]
pub(crate) struct Reader {
    meter: Meter,
    /// Length of the whole input where it is known.
    total: Option<u64>,
    /// Bytes taken so far.
    position: u64,
    riff_size: u32,
    carry: Vec<u8>,
    frames: Option<Frames>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Riff,
    Chunk,
    Format {
        size: u32,
    },
    Skip {
        left: u64,
    },
    /// `None`: to the end of the input.
    Data {
        left: Option<u64>,
    },
    Done,
}

// === impl Reader ===

impl Reader {
    pub(crate) const fn new(limits: Limits, total: Option<u64>) -> Self {
        Self {
            meter: Meter::new(limits, Container::Wav),
            total,
            position: 0,
            riff_size: 0,
            carry: Vec::new(),
            frames: None,
            state: State::Riff,
        }
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The next block, or `None` when all of `input` is taken and, at the `end`, all is well.
    pub(crate) fn pull(&mut self, input: &mut &[u8], end: bool) -> Result<Option<Pcm>, Error> {
        loop {
            match self.state {
                State::Riff => {
                    if !self.fill(input, 12) {
                        return self.starved(end);
                    }
                    self.riff_size = u32_at(&self.carry, 4);
                    self.enter(State::Chunk);
                }
                State::Chunk => {
                    if !self.fill(input, 8) {
                        return self.starved(end);
                    }
                    let size = u32_at(&self.carry, 4);
                    let next = self.chunk(size)?;
                    self.enter(next);
                }
                State::Format { size } => {
                    if !self.fill(input, size as usize) {
                        return self.starved(end);
                    }
                    self.format()?;
                    // Chunks are padded to an even length.
                    self.enter(State::Skip {
                        left: u64::from(size & 1),
                    });
                }
                State::Skip { left } => {
                    let step = left.min(input.len() as u64);
                    split(input, step as usize);
                    self.position += step;
                    self.check_header()?;
                    if step < left {
                        self.state = State::Skip { left: left - step };
                        return self.starved(end);
                    }
                    self.enter(State::Chunk);
                }
                State::Data { left } => return self.data(input, left, end),
                State::Done => {
                    *input = &[];
                    if end {
                        self.meter.finish()?;
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn chunk(&mut self, size: u32) -> Result<State, Error> {
        match &self.carry[..4] {
            b"fmt " if self.frames.is_some() => Err(self.meter.corrupt("it has two format chunks")),
            b"fmt " if !(16..=MAX_FORMAT).contains(&size) => {
                Err(self.meter.corrupt("its format chunk has an impossible size"))
            }
            b"fmt " => Ok(State::Format { size }),
            b"data" => self.begin_data(size),
            _ => Ok(State::Skip {
                left: u64::from(size) + u64::from(size & 1),
            }),
        }
    }

    fn format(&mut self) -> Result<(), Error> {
        let chunk = &self.carry;
        let (tag, channels) = (u16_at(chunk, 0), u32::from(u16_at(chunk, 2)));
        let (rate, align, bits) = (u32_at(chunk, 4), u32::from(u16_at(chunk, 12)), u16_at(chunk, 14));
        // The extensible form keeps the real tag in the first bytes of a GUID.
        let tag = match tag {
            0xfffe if chunk.len() >= 40 => u16_at(chunk, 24),
            tag => tag,
        };
        let encoding = encoding(tag, bits)?;
        let spec = self.meter.declare(rate, channels, None)?;
        if align != channels * encoding.bytes() as u32 {
            return Err(self
                .meter
                .corrupt("its block size contradicts its sample size and channels"));
        }
        self.frames = Some(Frames::new(encoding, spec));
        Ok(())
    }

    fn begin_data(&mut self, size: u32) -> Result<State, Error> {
        let Some(frames) = &self.frames else {
            return Err(self.meter.corrupt("its data chunk comes before its format chunk"));
        };
        // `position` does not count the chunk header in `carry` yet.
        let start = self.position + 8;
        let rest = self.total.map(|total| total.saturating_sub(start));
        let more_than_there_is = rest.is_none_or(|rest| u64::from(size) > rest);
        let riff_ends_here = self.riff_size >= UNKNOWN || u64::from(self.riff_size) + 8 <= start;
        if (size >= UNKNOWN && more_than_there_is) || (size == 0 && riff_ends_here) {
            return Ok(State::Data { left: None });
        }
        let (spec, declared) = (frames.spec, u64::from(size) / frames.frame() as u64);
        self.meter
            .declare(spec.rate.hz(), spec.channels.count() as u32, Some(declared))?;
        Ok(State::Data {
            left: Some(u64::from(size)),
        })
    }

    fn data(&mut self, input: &mut &[u8], left: Option<u64>, end: bool) -> Result<Option<Pcm>, Error> {
        // Set by `begin_data`, the only way into this state.
        let Some(frames) = &mut self.frames else {
            return Err(self.meter.corrupt("its data chunk comes before its format chunk"));
        };
        let (before, carried) = (input.len(), frames.left() as u64);
        // `left` counts the carried bytes as taken, `take` counts them as still to come.
        let limit = left.map_or(u64::MAX, |left| left + carried);
        if limit < frames.frame() as u64 {
            self.state = State::Done;
            return self.pull(input, end);
        }
        let samples = frames.take(input, limit);
        let spec = frames.spec;
        let left = left.map(|left| left - (before - input.len()) as u64);
        self.state = State::Data { left };
        if !samples.is_empty() {
            let pcm = self
                .meter
                .admit(spec.rate.hz(), spec.channels.count() as u32, samples)?;
            return Ok(Some(pcm));
        }
        match left {
            Some(_) if end => Err(self.meter.truncated()),
            None if end => self.meter.finish().map(|()| None),
            _ => Ok(None),
        }
    }

    /// Moves bytes into `carry` until it has `len` of them; false when the input does not suffice.
    fn fill(&mut self, input: &mut &[u8], len: usize) -> bool {
        let missing = (len - self.carry.len()).min(input.len());
        self.carry.extend_from_slice(split(input, missing));
        self.carry.len() == len
    }

    fn enter(&mut self, state: State) {
        self.position += self.carry.len() as u64;
        self.carry.clear();
        self.state = state;
    }

    fn starved(&self, end: bool) -> Result<Option<Pcm>, Error> {
        if end {
            return Err(self.meter.truncated());
        }
        Ok(None)
    }

    fn check_header(&self) -> Result<(), Error> {
        let limit = self.meter.limits.max_header_bytes;
        if self.position > limit {
            return Err(Error::HeaderTooLarge { limit });
        }
        Ok(())
    }
}

fn encoding(tag: u16, bits: u16) -> Result<Encoding, Error> {
    match (tag, bits) {
        (1, 1..=8) => Ok(Encoding::U8),
        (1, 9..=16) => Ok(Encoding::S16),
        (1, 17..=24) => Ok(Encoding::S24),
        (1, 25..=32) => Ok(Encoding::S32),
        (3, 32) => Ok(Encoding::F32),
        (3, 64) => Ok(Encoding::F64),
        (6, 8) => Ok(Encoding::ALaw),
        (7, 8) => Ok(Encoding::MuLaw),
        _ => Err(Error::UnsupportedCodec {
            container: Container::Wav,
            codec: codec_name(tag, bits),
        }),
    }
}

fn codec_name(tag: u16, bits: u16) -> Cow<'static, str> {
    match tag {
        1 => format!("{bits}-bit PCM").into(),
        3 => format!("{bits}-bit float").into(),
        2 => "Microsoft ADPCM".into(),
        0x11 => "IMA ADPCM".into(),
        0x31 => "GSM 6.10".into(),
        0x55 => "MP3".into(),
        tag => format!("codec {tag:#06x}").into(),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
