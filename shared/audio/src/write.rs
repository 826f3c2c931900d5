//! Writes WAV files in memory: 16-bit PCM or 32-bit float. Forty-four bytes of header need no library.

use crate::Error;
use crate::pcm::{Pcm, Spec};

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WavFormat {
    /// Signed 16 bit; samples beyond full scale are clipped.
    S16,
    /// 32-bit float, as they are.
    F32,
}

/// A whole WAV file.
///
/// # Errors
/// [`Error::TooManyBytes`] when the samples exceed the 4 GiB that the format can say.
pub fn wav(pcm: &Pcm, format: WavFormat) -> Result<Vec<u8>, Error> {
    let limit = u64::from(u32::MAX) - 36;
    let bytes = pcm.samples().len() as u64 * u64::from(format.bytes());
    if bytes > limit {
        return Err(Error::TooManyBytes { limit });
    }
    let size = bytes as u32;
    let mut out = Vec::with_capacity(44 + size as usize);
    out.extend_from_slice(&wav_header(pcm.spec(), format, size));
    append_samples(&mut out, pcm.samples(), format);
    Ok(out)
}

/// A header for a stream whose length is not known yet: sizes are 0xFFFFFFFF, as pipe writers put.
pub fn wav_stream_header(spec: Spec, format: WavFormat) -> [u8; 44] {
    wav_header(spec, format, u32::MAX)
}

/// Appends samples in the format's encoding.
pub fn append_samples(out: &mut Vec<u8>, samples: &[f32], format: WavFormat) {
    match format {
        WavFormat::S16 => out.extend(samples.iter().flat_map(|sample| {
            // `as` saturates, so what is beyond full scale clips and NaN becomes silence.
            ((sample * 32_768.0).round() as i16).to_le_bytes()
        })),
        WavFormat::F32 => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
    }
}

pub(crate) fn wav_header(spec: Spec, format: WavFormat, data: u32) -> [u8; 44] {
    let (rate, channels, width) = (spec.rate.hz(), spec.channels.count() as u32, format.bytes());
    let mut header = [0; 44];
    header[0..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&data.saturating_add(36).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16u32.to_le_bytes());
    header[20..22].copy_from_slice(&format.tag().to_le_bytes());
    header[22..24].copy_from_slice(&(channels as u16).to_le_bytes());
    header[24..28].copy_from_slice(&rate.to_le_bytes());
    header[28..32].copy_from_slice(&(rate * channels * width).to_le_bytes());
    header[32..34].copy_from_slice(&((channels * width) as u16).to_le_bytes());
    header[34..36].copy_from_slice(&((width * 8) as u16).to_le_bytes());
    header[36..40].copy_from_slice(b"data");
    header[40..44].copy_from_slice(&data.to_le_bytes());
    header
}

// === impl WavFormat ===

impl WavFormat {
    const fn bytes(self) -> u32 {
        match self {
            Self::S16 => 2,
            Self::F32 => 4,
        }
    }

    const fn tag(self) -> u16 {
        match self {
            Self::S16 => 1,
            Self::F32 => 3,
        }
    }
}
