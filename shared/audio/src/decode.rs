//! Decodes a whole file that is in memory, block by block or at once.
//!
//! A refusal comes as early as it can: the size before the first byte is parsed, the declared length, rate and
//! channels before the first sample is decoded, the real length at the block that exceeds it. Blocks that came out
//! before an error are good: whoever wants the sound of a truncated file takes them from [`Decoder`] and stops at
//! [`Error::Truncated`]; the functions that collect refuse the file.
//!
//! What is known to be lost: a packet that cannot be decoded in the middle becomes silence of its own length, so that
//! later times stay true, and is counted in [`Decoder::concealed`]; HE-AAC is decoded without its upper octave or
//! refused; timestamps in containers are not used to insert gaps.

mod codecs;
mod ebml;
mod edits;
mod session;
mod source;

use std::time::Duration;

use crate::limits::{Cancel, Limits};
use crate::pcm::{Encoding, Pcm, SampleRate, Spec};
use crate::probe::{Container, Probe, probe};
use crate::resample::Resampler;
use crate::{Error, raw, wav};

pub(crate) use session::Session;
pub(crate) use source::{Source, Watch};

/// Decodes one file.
#[derive(Debug)]
pub struct Decoder<'a> {
    container: Container,
    inner: Inner<'a>,
    done: bool,
}

/// All of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The sound.
    pub pcm: Pcm,
    /// What it came in.
    pub container: Container,
    /// How much of it is silence in place of packets that could not be decoded. Zero for a sound file.
    pub concealed: Duration,
}

#[derive(Debug)]
enum Inner<'a> {
    Wav(wav::Reader, &'a [u8]),
    Raw(raw::Reader, &'a [u8]),
    Packets(Box<Session<'a>>),
}

/// Decodes all of a file into memory, in its own rate and channels.
///
/// # Errors
/// Any [`Error`] that speaks of the input; [`Error::Cancelled`].
pub fn decode(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Decoded, Error> {
    let mut decoder = Decoder::open(bytes, limits, cancel)?;
    let mut samples = Vec::new();
    let mut spec = None;
    while let Some(block) = decoder.next_block()? {
        spec = Some(block.spec());
        grow(&mut samples, block.samples().len(), limits)?;
        samples.extend_from_slice(block.samples());
    }
    decoder.collected(samples, spec)
}

/// Decodes all of a file into 16 kHz mono, resampling on the way, so that only the result is held.
///
/// # Errors
/// As [`decode`].
pub fn decode_speech(bytes: &[u8], limits: &Limits, cancel: &Cancel) -> Result<Decoded, Error> {
    Decoder::open(bytes, limits, cancel)?.into_speech(limits, cancel)
}

// === impl Decoder ===

impl<'a> Decoder<'a> {
    /// Finds the container and reads its header.
    ///
    /// # Errors
    /// Any [`Error`] that speaks of a header.
    pub fn open(bytes: &'a [u8], limits: &Limits, cancel: &Cancel) -> Result<Self, Error> {
        check_bytes(bytes.len(), limits)?;
        let (container, body) = find(bytes, limits)?;
        let inner = match container {
            Container::Wav => Inner::Wav(wav::Reader::new(limits.clone(), Some(body.len() as u64)), body),
            _ => {
                let watch = Watch::new(cancel.clone(), limits.max_header_bytes);
                let is_cut = match container {
                    Container::Mp4 => edits::is_cut(body),
                    Container::Matroska => {
                        watch.see(body);
                        !watch.is_whole()
                    }
                    _ => false,
                };
                let source = Source::new(body, container, is_cut, watch.clone());
                let mut session = Session::open(container, Box::new(source), limits, watch)?;
                if container == Container::Mp4 {
                    session.trim(edits::first_audio(body), is_cut);
                }
                session.limit_time(limits.patience);
                Inner::Packets(Box::new(session))
            }
        };
        Ok(Self::with(container, inner))
    }

    /// Raw samples in a known encoding.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::TooManyBytes`], or [`Error::Channels`] beyond the limit.
    pub fn open_raw(bytes: &'a [u8], encoding: Encoding, spec: Spec, limits: &Limits) -> Result<Self, Error> {
        check_bytes(bytes.len(), limits)?;
        let reader = raw::Reader::new(encoding, spec, limits.clone())?;
        Ok(Self::with(Container::Raw, Inner::Raw(reader, bytes)))
    }

    /// What the bytes are.
    pub const fn container(&self) -> Container {
        self.container
    }

    /// Rate and channels, where the header says; in any case after the first block.
    pub fn spec(&self) -> Option<Spec> {
        match &self.inner {
            Inner::Wav(reader, _) => reader.meter().spec,
            Inner::Raw(reader, _) => reader.meter().spec,
            Inner::Packets(session) => session.meter().spec,
        }
    }

    /// The length that the header declares, where it does. Not to be trusted, but checked against the limits.
    pub fn declared(&self) -> Option<Duration> {
        match &self.inner {
            Inner::Wav(reader, _) => reader.meter().declared(),
            Inner::Raw(reader, _) => reader.meter().declared(),
            Inner::Packets(session) => session.meter().declared(),
        }
    }

    /// How much of what came out is silence in place of packets that could not be decoded.
    pub fn concealed(&self) -> Duration {
        match &self.inner {
            Inner::Packets(session) => session.concealed(),
            Inner::Wav(..) | Inner::Raw(..) => Duration::ZERO,
        }
    }

    /// The next block, `None` at the end of sound audio. After an error there is nothing more.
    ///
    /// # Errors
    /// Any [`Error`] that speaks of the input; [`Error::Truncated`] when it ended early; [`Error::Cancelled`].
    pub fn next_block(&mut self) -> Result<Option<Pcm>, Error> {
        if self.done {
            return Ok(None);
        }
        let block = match &mut self.inner {
            Inner::Wav(reader, rest) => reader.pull(rest, true),
            Inner::Raw(reader, rest) => reader.pull(rest, true),
            Inner::Packets(session) => session.next_block(),
        };
        self.done = !matches!(block, Ok(Some(_)));
        block
    }

    /// All that is left, resampled to 16 kHz mono.
    ///
    /// # Errors
    /// As [`next_block`](Self::next_block), and [`Error::DecodedTooLarge`].
    pub fn into_speech(mut self, limits: &Limits, cancel: &Cancel) -> Result<Decoded, Error> {
        let mut samples = Vec::new();
        let mut resampler = None;
        while let Some(block) = self.next_block()? {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let resampler = match &mut resampler {
                Some(resampler) => resampler,
                none => none.insert(Resampler::new(block.spec().rate, SampleRate::SPEECH)?),
            };
            // At most the double comes out, from 8 kHz.
            grow(&mut samples, 2 * block.frames() as usize, limits)?;
            resampler.push(block.into_mono().samples(), &mut samples)?;
        }
        if let Some(mut resampler) = resampler {
            resampler.finish(&mut samples)?;
        }
        self.collected(samples, Some(Spec::SPEECH))
    }

    const fn with(container: Container, inner: Inner<'a>) -> Self {
        Self {
            container,
            inner,
            done: false,
        }
    }

    fn collected(self, samples: Vec<f32>, spec: Option<Spec>) -> Result<Decoded, Error> {
        let container = self.container;
        // Every reader refuses audio without samples, so a spec is there.
        let spec = spec.ok_or(Error::NoSamples { container })?;
        Ok(Decoded {
            pcm: Pcm::new(samples, spec),
            container,
            concealed: self.concealed(),
        })
    }
}

pub(crate) fn check_bytes(len: usize, limits: &Limits) -> Result<(), Error> {
    let limit = limits.max_bytes;
    match len as u64 {
        0 => Err(Error::Empty),
        len if len > limit => Err(Error::TooManyBytes { limit }),
        _ => Ok(()),
    }
}

/// The container and its first byte, behind any ID3 tags.
fn find<'a>(bytes: &'a [u8], limits: &Limits) -> Result<(Container, &'a [u8]), Error> {
    let mut rest = bytes;
    loop {
        match probe(rest)? {
            Probe::Found(container) => return Ok((container, rest)),
            Probe::Tag(len) => {
                let limit = limits.max_header_bytes;
                if (bytes.len() - rest.len()) as u64 + len > limit {
                    return Err(Error::HeaderTooLarge { limit });
                }
                rest = rest
                    .get(len as usize..)
                    .filter(|rest| !rest.is_empty())
                    .ok_or(Error::Truncated {
                        decoded: Duration::ZERO,
                        declared: None,
                    })?;
            }
        }
    }
}

fn grow(samples: &mut Vec<f32>, more: usize, limits: &Limits) -> Result<(), Error> {
    let limit = limits.max_decoded_bytes;
    if (samples.len() + more) as u64 * size_of::<f32>() as u64 > limit {
        return Err(Error::DecodedTooLarge { limit });
    }
    samples.reserve(more);
    Ok(())
}
