//! Opus in Ogg as RFC 7845 says: a page of `OpusHead`, a page of `OpusTags`, then pages of packets of 20 ms, each with
//! the number of samples at 48 kHz that are complete at its end. The encoder's delay is the pre-skip at the front; the
//! last page counts only the samples that went in, so a decoder trims the padding at the end.
//!
//! A page ends every fifth of a second, and at [`Writer::flush`]. One packet is held back always, because only its
//! writing can end a page; there is one left for the last page at any time, since the delay must be pushed out.

use ogg::{PacketWriteEndInfo, PacketWriter};
use opusic_c::{Application, Bitrate, ErrorCode};

use crate::pcm::Spec;

use super::{Error, check_channels, listed};

/// The rate of granule positions and inside of the codec.
pub(super) const INSIDE: u32 = 48_000;

/// The rates that the encoder takes.
const RATES: &[u32] = &[8_000, 12_000, 16_000, 24_000, 48_000];
const BIT_RATES: std::ops::RangeInclusive<u32> = 6_000..=320_000;
/// Packets in a second.
const PACKETS: u32 = 50;
/// Packets in a page, unless it is ended before.
const PAGE: u32 = 10;
/// A stream of Ogg has a number, unique among those that are joined. Always the same here, so that the same sound gives
/// the same bytes.
const SERIAL: u32 = 0x506f_6c79;
/// The most bytes of a packet of 20 ms (RFC 6716, section 3.2.1), and some.
const MAX_PACKET: usize = 1_500;

/// Writes one stream.
pub(super) struct Writer {
    spec: Spec,
    encoder: opusic_c::Encoder,
    pages: PacketWriter<'static, Vec<u8>>,
    /// Samples of less than a packet.
    pending: Vec<f32>,
    /// The packet that is not written yet.
    held: Option<Vec<u8>>,
    /// Packets that were made.
    made: u64,
    in_page: u32,
    /// Packets in pages that are over.
    out: u64,
    /// Frames that went in.
    frames: u64,
    /// At 48 kHz.
    pre_skip: u64,
    begun: bool,
}

/// Whether Opus can hold it.
pub(super) fn check(spec: Spec, bit_rate: u32) -> Result<(), Error> {
    check_channels(spec.channels, 2, "OGG_OPUS")?;
    rate(spec)?;
    if !BIT_RATES.contains(&bit_rate) {
        let (least, most) = (BIT_RATES.start(), BIT_RATES.end());
        return Err(Error::setting(
            "bit_rate",
            format!("OGG_OPUS has {least} to {most} bits a second, not {bit_rate}"),
        ));
    }
    Ok(())
}

fn rate(spec: Spec) -> Result<opusic_c::SampleRate, Error> {
    Ok(match spec.rate.hz() {
        8_000 => opusic_c::SampleRate::Hz8000,
        12_000 => opusic_c::SampleRate::Hz12000,
        16_000 => opusic_c::SampleRate::Hz16000,
        24_000 => opusic_c::SampleRate::Hz24000,
        48_000 => opusic_c::SampleRate::Hz48000,
        other => {
            return Err(Error::setting(
                "sample_rate_hertz",
                format!("OGG_OPUS has {} Hz, not {other}", listed(RATES)),
            ));
        }
    })
}

fn failed(code: ErrorCode) -> Error {
    Error::failed(format!("libopus says {code:?}"))
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(spec: Spec, bit_rate: u32) -> Result<Self, Error> {
        let channels = match spec.channels.count() {
            1 => opusic_c::Channels::Mono,
            _ => opusic_c::Channels::Stereo,
        };
        let mut encoder =
            opusic_c::Encoder::new(channels, rate(spec)?, Application::Audio).map_err(failed)?;
        encoder.set_bitrate(Bitrate::Value(bit_rate)).map_err(failed)?;
        let delay = encoder.get_look_ahead().map_err(failed)?;
        Ok(Self {
            spec,
            encoder,
            pages: PacketWriter::new(Vec::new()),
            pending: Vec::new(),
            held: None,
            made: 0,
            in_page: 0,
            out: 0,
            frames: 0,
            pre_skip: u64::from(delay) * u64::from(INSIDE / spec.rate.hz()),
            begun: false,
        })
    }

    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), Error> {
        let channels = self.spec.channels.count();
        self.frames += (samples.len() / channels) as u64;
        self.feed(samples)?;
        self.take(out);
        Ok(())
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.release(PacketWriteEndInfo::EndPage, self.made * self.granule())?;
        self.take(out);
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let inside = u64::from(INSIDE / self.spec.rate.hz());
        let end = self.pre_skip + self.frames * inside;
        // Silence pushes the delay out.
        let wanted = end.div_ceil(self.granule());
        while self.made < wanted {
            let missing = self.packet() - self.pending.len();
            self.feed(&vec![0.0; missing])?;
        }
        self.release(PacketWriteEndInfo::EndStream, end)?;
        self.take(out);
        Ok(())
    }

    /// Frames that can be heard of the pages that are over.
    pub(super) fn heard(&self) -> u64 {
        let inside = u64::from(INSIDE / self.spec.rate.hz());
        let frames = (self.out * self.granule()).saturating_sub(self.pre_skip) / inside;
        frames.min(self.frames)
    }

    /// Samples of all channels in a packet.
    fn packet(&self) -> usize {
        (self.spec.rate.hz() / PACKETS) as usize * self.spec.channels.count()
    }

    /// What a packet adds to the granule position.
    fn granule(&self) -> u64 {
        u64::from(INSIDE / PACKETS)
    }

    fn feed(&mut self, mut samples: &[f32]) -> Result<(), Error> {
        self.begin()?;
        while !samples.is_empty() {
            let room = self.packet() - self.pending.len();
            let (head, tail) = samples.split_at(room.min(samples.len()));
            self.pending.extend_from_slice(head);
            samples = tail;
            if self.pending.len() == self.packet() {
                self.encode()?;
            }
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<(), Error> {
        let end = match self.in_page + 1 {
            PAGE.. => PacketWriteEndInfo::EndPage,
            _ => PacketWriteEndInfo::NormalPacket,
        };
        self.release(end, self.made * self.granule())?;
        let mut packet = vec![0; MAX_PACKET];
        let len = self
            .encoder
            .encode_float_to_slice(&self.pending, &mut packet)
            .map_err(failed)?;
        packet.truncate(len);
        self.pending.clear();
        self.held = Some(packet);
        self.made += 1;
        Ok(())
    }

    /// Writes the packet that is held, whose last sample is the `position`th.
    fn release(&mut self, end: PacketWriteEndInfo, position: u64) -> Result<(), Error> {
        let Some(packet) = self.held.take() else {
            return Ok(());
        };
        match end {
            PacketWriteEndInfo::NormalPacket => self.in_page += 1,
            PacketWriteEndInfo::EndPage | PacketWriteEndInfo::EndStream => {
                (self.in_page, self.out) = (0, self.made);
            }
        }
        self.write(packet, end, position)
    }

    fn begin(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let mut head = b"OpusHead\x01".to_vec();
        head.push(self.spec.channels.count() as u8);
        head.extend((self.pre_skip as u16).to_le_bytes());
        head.extend(self.spec.rate.hz().to_le_bytes());
        // No gain, and the channels in the order of mapping family 0.
        head.extend([0, 0, 0]);
        self.write(head, PacketWriteEndInfo::EndPage, 0)?;
        let vendor = opusic_c::version().as_bytes();
        let mut tags = b"OpusTags".to_vec();
        tags.extend((vendor.len() as u32).to_le_bytes());
        tags.extend(vendor);
        tags.extend([0; 4]);
        self.write(tags, PacketWriteEndInfo::EndPage, 0)
    }

    fn write(&mut self, packet: Vec<u8>, end: PacketWriteEndInfo, position: u64) -> Result<(), Error> {
        self.pages
            .write_packet(packet, SERIAL, end, position)
            .map_err(|error| Error::failed(error.to_string()))
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        out.append(self.pages.inner_mut());
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("spec", &self.spec)
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}
