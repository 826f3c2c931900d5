//! Samples without a container, cut anywhere: whole frames come out, the rest waits for the next bytes.

use crate::Error;
use crate::limits::Limits;
use crate::meter::Meter;
use crate::pcm::{Encoding, Pcm, Spec};
use crate::probe::Container;

/// Most frames in a block, so that a block stays small whatever the input.
const BLOCK_FRAMES: usize = 16 * 1024;

/// Cuts bytes into frames.
#[derive(Debug)]
pub(crate) struct Frames {
    pub(crate) encoding: Encoding,
    pub(crate) spec: Spec,
    carry: Vec<u8>,
}

/// Reads raw samples under limits.
#[derive(Debug)]
pub(crate) struct Reader {
    frames: Frames,
    meter: Meter,
}

// === impl Frames ===

impl Frames {
    pub(crate) const fn new(encoding: Encoding, spec: Spec) -> Self {
        Self {
            encoding,
            spec,
            carry: Vec::new(),
        }
    }

    /// Bytes in one frame.
    pub(crate) const fn frame(&self) -> usize {
        self.encoding.bytes() * self.spec.channels.count()
    }

    /// Bytes of a frame that is not whole yet.
    pub(crate) const fn left(&self) -> usize {
        self.carry.len()
    }

    /// Takes at most `limit` bytes, counted with those carried, and gives the samples of the whole frames in them.
    pub(crate) fn take(&mut self, input: &mut &[u8], limit: u64) -> Vec<f32> {
        let frame = self.frame();
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(BLOCK_FRAMES * frame);
        let mut samples = Vec::new();
        let mut room = limit - limit % frame;
        if !self.carry.is_empty() && room > 0 {
            let missing = (frame - self.carry.len()).min(input.len());
            self.carry.extend_from_slice(split(input, missing));
            if self.carry.len() < frame {
                return samples;
            }
            self.encoding.decode_into(&self.carry, &mut samples);
            self.carry.clear();
            room -= frame;
        }
        let whole = room.min(input.len() - input.len() % frame);
        self.encoding.decode_into(split(input, whole), &mut samples);
        if input.len() < frame && room > whole {
            self.carry.extend_from_slice(split(input, input.len()));
        }
        samples
    }
}

/// The first `len` bytes, which `input` loses.
pub(crate) fn split<'a>(input: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (head, tail) = input.split_at(len);
    *input = tail;
    head
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(encoding: Encoding, spec: Spec, limits: Limits) -> Result<Self, Error> {
        let mut meter = Meter::new(limits, Container::Raw);
        meter.declare(spec.rate.hz(), spec.channels.count() as u32, None)?;
        let frames = Frames::new(encoding, spec);
        Ok(Self { frames, meter })
    }

    /// The next block, or `None` when all of `input` is taken. At the `end` nothing may be left over.
    pub(crate) fn pull(&mut self, input: &mut &[u8], end: bool) -> Result<Option<Pcm>, Error> {
        let samples = self.frames.take(input, u64::MAX);
        if !samples.is_empty() {
            let spec = self.frames.spec;
            let pcm = self
                .meter
                .admit(spec.rate.hz(), spec.channels.count() as u32, samples)?;
            return Ok(Some(pcm));
        }
        if end {
            let (left, frame) = (self.frames.left(), self.frames.frame());
            if left > 0 {
                return Err(Error::PartialSample { left, frame });
            }
            if self.meter.frames == 0 {
                return Err(Error::Empty);
            }
        }
        Ok(None)
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }
}
