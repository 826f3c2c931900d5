//! Decodes audio as it arrives, in pieces of any size; the blocks that come out do not depend on the cuts.
//!
//! ```text
//! feed(bytes) → next_block() … until None → feed(bytes) → … → finish() → next_block() … until None
//! ```
//!
//! Raw samples and WAV are read in place. For FLAC, MP3, Ogg and WebM a thread of its own runs the demuxer, because
//! symphonia reads from a source that blocks and cannot be stopped and resumed. The two take turns: the thread runs
//! only inside `next_block`, until it has a block or needs bytes. So nothing piles up on either side, an error comes
//! out of the call that caused it, and a crafted 20 kB that decode to a day of silence meet the limit block by block.
//! The alternative, own resumable demuxers for four containers, would be far more code to get wrong.
//!
//! MP4 is refused with [`Error::NotStreamable`]: its index may come last, and applying its edits needs the index.
//!
//! A stream that ends without the end mark of its container (an Ogg end-of-stream page, a whole last frame) gives all
//! of its sound and then [`Error::Truncated`]; whoever feeds a live recorder may take that as the end.

mod turns;

use std::time::Duration;

use crate::limits::{Cancel, Limits};
use crate::pcm::{Encoding, Pcm, Spec};
use crate::probe::{Container, PROBE_LEN, Probe, probe};
use crate::{Error, raw, wav};

use turns::Turns;

/// What will be fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A container, found by its first bytes.
    Auto,
    /// A container that was announced; another is an error.
    Container(Container),
    /// Samples without a container.
    Raw {
        /// How each is stored.
        encoding: Encoding,
        /// Rate and channels.
        spec: Spec,
    },
}

/// Decodes one stream. Dropping it ends its thread.
#[derive(Debug)]
pub struct StreamDecoder {
    limits: Limits,
    expected: Option<Container>,
    state: State,
    pending: Vec<u8>,
    /// How many of `pending` have been read.
    read: usize,
    received: u64,
    ended: bool,
}

#[derive(Debug)]
enum State {
    Probing,
    /// Inside of an ID3 tag, with so many bytes to go.
    Skipping(u64),
    Raw(raw::Reader),
    Wav(Box<wav::Reader>),
    Turns(Turns),
    Done,
}

/// Most bytes that wait to be decoded. A well-behaved caller never has more than one message here.
const MAX_PENDING: usize = 4 << 20;

// === impl StreamDecoder ===

impl StreamDecoder {
    /// A decoder that waits for its first bytes.
    ///
    /// # Errors
    /// [`Error::Channels`] when raw audio has more than the limit, [`Error::NotStreamable`] for an announced MP4.
    pub fn new(format: Format, limits: Limits) -> Result<Self, Error> {
        let (state, expected) = match format {
            Format::Auto => (State::Probing, None),
            Format::Container(container @ Container::Mp4) => return Err(Error::NotStreamable { container }),
            Format::Container(container) => (State::Probing, Some(container)),
            Format::Raw { encoding, spec } => (
                State::Raw(raw::Reader::new(encoding, spec, limits.clone())?),
                None,
            ),
        };
        Ok(Self {
            limits,
            expected,
            state,
            pending: Vec::new(),
            read: 0,
            received: 0,
            ended: false,
        })
    }

    /// Takes bytes. Take all blocks out before the next.
    ///
    /// # Errors
    /// [`Error::TooManyBytes`] beyond the stream's limit, [`Error::Backlog`] when blocks are not taken.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if matches!(self.state, State::Done) {
            return Ok(());
        }
        let limit = self.limits.max_bytes;
        self.received += bytes.len() as u64;
        if self.received > limit {
            self.state = State::Done;
            return Err(Error::TooManyBytes { limit });
        }
        let waiting = self.pending.len() - self.read;
        if waiting > 0 && waiting + bytes.len() > MAX_PENDING {
            return Err(Error::Backlog);
        }
        self.pending.drain(..self.read);
        self.read = 0;
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// No more bytes will come. Take the remaining blocks out.
    pub const fn finish(&mut self) {
        self.ended = true;
    }

    /// The next block; `None` when more bytes are needed, or after [`finish`](Self::finish) at the end.
    ///
    /// It may compute for as long as decoding a block takes, so call it where blocking is allowed.
    ///
    /// # Errors
    /// Any [`Error`] that speaks of the input. After an error the stream is over and gives `None`.
    pub fn next_block(&mut self) -> Result<Option<Pcm>, Error> {
        let block = self.step();
        let over = match &block {
            Ok(block) => block.is_none() && self.ended,
            Err(_) => true,
        };
        if over {
            self.state = State::Done;
            (self.pending, self.read) = (Vec::new(), 0);
        }
        block
    }

    /// What the stream is, once its first bytes have been looked at.
    pub fn container(&self) -> Option<Container> {
        match &self.state {
            State::Raw(_) => Some(Container::Raw),
            State::Wav(_) => Some(Container::Wav),
            State::Turns(turns) => Some(turns.container()),
            State::Probing | State::Skipping(_) | State::Done => None,
        }
    }

    /// How much of what came out is silence in place of packets that could not be decoded.
    pub fn concealed(&self) -> Duration {
        match &self.state {
            State::Turns(turns) => turns.concealed(),
            _ => Duration::ZERO,
        }
    }

    fn step(&mut self) -> Result<Option<Pcm>, Error> {
        loop {
            let mut input = &self.pending[self.read..];
            let block = match &mut self.state {
                State::Probing => {
                    if input.len() < PROBE_LEN && !self.ended {
                        return Ok(None);
                    }
                    self.state = self.recognise(input)?;
                    continue;
                }
                State::Skipping(left) => {
                    let step = (*left).min(input.len() as u64);
                    self.read += step as usize;
                    *left -= step;
                    if *left > 0 {
                        return if self.ended { Err(in_tag()) } else { Ok(None) };
                    }
                    self.state = State::Probing;
                    continue;
                }
                State::Raw(reader) => reader.pull(&mut input, self.ended),
                State::Wav(reader) => reader.pull(&mut input, self.ended),
                State::Turns(turns) => turns.next_block(&mut input, self.ended),
                State::Done => return Ok(None),
            };
            self.read = self.pending.len() - input.len();
            return block;
        }
    }

    fn recognise(&self, head: &[u8]) -> Result<State, Error> {
        let found = match probe(head)? {
            Probe::Tag(len) if len > self.limits.max_header_bytes => {
                let limit = self.limits.max_header_bytes;
                return Err(Error::HeaderTooLarge { limit });
            }
            Probe::Tag(len) => return Ok(State::Skipping(len)),
            Probe::Found(found) => found,
        };
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(Error::WrongContainer { expected, found });
        }
        match found {
            Container::Mp4 => Err(Error::NotStreamable { container: found }),
            Container::Wav => Ok(State::Wav(Box::new(wav::Reader::new(self.limits.clone(), None)))),
            _ => Ok(State::Turns(Turns::start(
                found,
                self.limits.clone(),
                Cancel::new(),
            )?)),
        }
    }
}

/// The stream ended inside of an ID3 tag.
const fn in_tag() -> Error {
    Error::Truncated {
        decoded: Duration::ZERO,
        declared: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(decoder: &mut StreamDecoder) -> Result<Vec<f32>, Error> {
        let mut samples = Vec::new();
        while let Some(block) = decoder.next_block()? {
            samples.extend(block.into_samples());
        }
        Ok(samples)
    }

    #[test]
    fn raw_samples_cut_anywhere_come_out_whole() {
        let format = Format::Raw {
            encoding: Encoding::S16,
            spec: Spec::new(8_000, 2).expect("valid"),
        };
        let bytes: Vec<u8> = (0..40).collect();
        let mut whole = StreamDecoder::new(format, Limits::default()).expect("made");
        whole.feed(&bytes).expect("taken");
        whole.finish();
        let whole = drain(&mut whole).expect("decoded");
        assert_eq!(whole.len(), 20);
        for cut in 1..13 {
            let mut decoder = StreamDecoder::new(format, Limits::default()).expect("made");
            let mut samples = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.feed(piece).expect("taken");
                samples.extend(drain(&mut decoder).expect("decoded"));
            }
            decoder.finish();
            samples.extend(drain(&mut decoder).expect("decoded"));
            assert_eq!(samples, whole, "in pieces of {cut}");
        }
    }

    #[test]
    fn half_a_sample_at_the_end_is_said() {
        let format = Format::Raw {
            encoding: Encoding::S16,
            spec: Spec::SPEECH,
        };
        let mut decoder = StreamDecoder::new(format, Limits::default()).expect("made");
        decoder.feed(&[1, 2, 3]).expect("taken");
        assert_eq!(drain(&mut decoder).map(|samples| samples.len()), Ok(1));
        decoder.finish();
        assert_eq!(
            decoder.next_block(),
            Err(Error::PartialSample { left: 1, frame: 2 })
        );
        assert_eq!(decoder.next_block(), Ok(None));
    }

    #[test]
    fn what_was_announced_must_come() {
        let container = Container::Mp4;
        let announced = StreamDecoder::new(Format::Container(container), Limits::default());
        assert_eq!(announced.err(), Some(Error::NotStreamable { container }));
        let mut decoder =
            StreamDecoder::new(Format::Container(Container::Ogg), Limits::default()).expect("made");
        decoder.feed(b"fLaC\0\0\0\x22\x10\0\x10\0").expect("taken");
        let (expected, found) = (Container::Ogg, Container::Flac);
        assert_eq!(
            decoder.next_block(),
            Err(Error::WrongContainer { expected, found })
        );
    }

    #[test]
    fn a_caller_that_takes_nothing_out_is_stopped() {
        let format = Format::Raw {
            encoding: Encoding::U8,
            spec: Spec::SPEECH,
        };
        let mut decoder = StreamDecoder::new(format, Limits::default()).expect("made");
        decoder
            .feed(&vec![0; MAX_PENDING])
            .expect("one message may be large");
        assert_eq!(decoder.feed(&[0]), Err(Error::Backlog));
    }
}
