//! FLAC of 16 bits, block by block, each a frame of its own as soon as it is full. The frames are flacenc's; the stream
//! header is ours, because it is written before the length is known and once more after (RFC 9639, section 8.2).

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use crate::pcm::Spec;
use crate::write::{WavFormat, append_samples};

use super::{Error, check_channels};

/// The most that flacenc takes.
pub(super) const MAX_RATE: u32 = 96_000;

/// Frames in a block, as the reference encoder has.
const BLOCK: usize = 4_096;
const BITS: usize = 16;

/// Writes one file.
pub(super) struct Writer {
    spec: Spec,
    config: Verified<flacenc::config::Encoder>,
    info: StreamInfo,
    block: FrameBuf,
    /// Counts samples and computes their MD5.
    context: Context,
    /// 16-bit samples of less than a block, little-endian.
    pending: Vec<u8>,
    blocks: usize,
    /// The least and the largest frame in bytes.
    sizes: Option<(usize, usize)>,
}

/// Whether FLAC can hold it.
pub(super) fn check(spec: Spec) -> Result<(), Error> {
    check_channels(spec.channels, 8, "FLAC")?;
    let rate = spec.rate.hz();
    if rate > MAX_RATE {
        return Err(Error::setting(
            "sample_rate_hertz",
            format!("FLAC is written with 8000 to {MAX_RATE} Hz, not {rate}"),
        ));
    }
    Ok(())
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(spec: Spec) -> Result<Self, Error> {
        let channels = spec.channels.count();
        let config = flacenc::config::Encoder::default();
        Ok(Self {
            spec,
            config: config
                .into_verified()
                .map_err(|(_, error)| Error::failed(error.to_string()))?,
            info: StreamInfo::new(spec.rate.hz() as usize, channels, BITS)
                .map_err(|error| Error::failed(error.to_string()))?,
            block: FrameBuf::with_size(channels, BLOCK).map_err(|error| Error::failed(error.to_string()))?,
            context: Context::new(BITS, channels),
            pending: Vec::with_capacity(BLOCK * channels * 2),
            blocks: 0,
            sizes: None,
        })
    }

    /// The beginning of the file as far as it is known: `fLaC` and the block STREAMINFO, where 0 means unknown.
    pub(super) fn head(&self) -> [u8; 42] {
        let frames = self.context.total_samples() as u64;
        let (least, largest) = self.sizes.unwrap_or_default();
        // An MD5 of nothing would claim that there is nothing.
        let digest = match frames {
            0 => [0; 16],
            _ => self.context.md5_digest(),
        };
        let block = (BLOCK as u16).to_be_bytes();
        let channels = self.spec.channels.count() as u64;
        // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of frames; 2^36 frames are eight days at 96 kHz.
        let frames = if frames >> 36 == 0 { frames } else { 0 };
        let packed =
            u64::from(self.spec.rate.hz()) << 44 | (channels - 1) << 41 | (BITS as u64 - 1) << 36 | frames;
        let mut head = [0; 42];
        head[..4].copy_from_slice(b"fLaC");
        // The last (and only) block of metadata, of type 0 and 34 bytes.
        head[4..8].copy_from_slice(&[0x80, 0, 0, 34]);
        head[8..10].copy_from_slice(&block);
        head[10..12].copy_from_slice(&block);
        head[12..15].copy_from_slice(&(least as u32).to_be_bytes()[1..]);
        head[15..18].copy_from_slice(&(largest as u32).to_be_bytes()[1..]);
        head[18..26].copy_from_slice(&packed.to_be_bytes());
        head[26..].copy_from_slice(&digest);
        head
    }

    /// Frames in the blocks that are written.
    pub(super) fn heard(&self) -> u64 {
        self.context.total_samples() as u64
    }

    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), Error> {
        let full = BLOCK * self.spec.channels.count();
        let mut samples = samples;
        while !samples.is_empty() {
            let room = full - self.pending.len() / 2;
            let (head, tail) = samples.split_at(room.min(samples.len()));
            append_samples(&mut self.pending, head, WavFormat::S16);
            samples = tail;
            if self.pending.len() / 2 == full {
                self.write(out)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<u8>, Error> {
        if !self.pending.is_empty() {
            self.write(out)?;
        }
        Ok(self.head().to_vec())
    }

    /// Makes a frame of what is pending.
    fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let source = |error: flacenc::error::SourceError| Error::failed(error.to_string());
        self.block
            .fill_le_bytes(&self.pending, BITS / 8)
            .map_err(source)?;
        self.context
            .fill_le_bytes(&self.pending, BITS / 8)
            .map_err(source)?;
        self.pending.clear();
        let frame = flacenc::encode_fixed_size_frame(&self.config, &self.block, self.blocks, &self.info)
            .map_err(|error| Error::failed(error.to_string()))?;
        self.blocks += 1;
        let mut sink = ByteSink::new();
        frame
            .write(&mut sink)
            .map_err(|error| Error::failed(error.to_string()))?;
        let size = sink.as_slice().len();
        let (least, largest) = self.sizes.unwrap_or((size, size));
        self.sizes = Some((least.min(size), largest.max(size)));
        out.extend_from_slice(sink.as_slice());
        Ok(())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("spec", &self.spec)
            .field("blocks", &self.blocks)
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}
