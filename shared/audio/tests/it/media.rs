//! The fixtures, the signal that they were made of, and media made in code.

use std::f64::consts::PI;

use polyphony_audio::pcm::{Pcm, SampleRate};
use polyphony_audio::write::{WavFormat, wav};

/// A committed file and what it must decode to.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
    pub(crate) rate: u32,
    pub(crate) channels: usize,
    /// Frames that come out. The encoder was given half a second (0.04 s for 24 bit); some containers do not say how
    /// much of the encoder's delay and padding to leave out.
    pub(crate) frames: u64,
    /// Frames of delay at the front that the container does not say.
    pub(crate) lag: i64,
    /// Least signal-to-noise ratio in dB against the formula, so delayed.
    pub(crate) snr: f64,
    /// Whether it can be decoded as it arrives.
    pub(crate) streams: bool,
}

macro_rules! fixtures {
    ($($name:literal, $rate:literal, $channels:literal, $frames:literal, $lag:literal, $snr:literal, $streams:literal;)*) => {
        &[$(Fixture {
            name: $name,
            bytes: include_bytes!(concat!("../fixtures/", $name)),
            rate: $rate,
            channels: $channels,
            frames: $frames,
            lag: $lag,
            snr: $snr,
            streams: $streams,
        }),*]
    };
}

pub(crate) const FIXTURES: &[Fixture] = fixtures! {
    "tone.flac", 16_000, 1, 8_000, 0, 90.0, true;
    "tone_24bit_stereo.flac", 48_000, 2, 1_920, 0, 130.0, true;
    "tone.mp3", 16_000, 1, 8_000, 0, 24.0, true;
    "tone_id3_cbr.mp3", 16_000, 1, 9_216, 1_105, 17.0, true;
    "tone.opus", 48_000, 1, 24_000, 0, 13.0, true;
    "tone_vorbis.ogg", 16_000, 1, 8_000, 0, 22.0, true;
    "tone.m4a", 16_000, 1, 8_000, 0, 9.5, false;
    "tone_moov_last.m4a", 44_100, 2, 22_050, 0, 10.0, false;
    "tone_fragmented.mp4", 16_000, 1, 9_216, 1_024, 9.0, false;
    "tone_opus.webm", 48_000, 1, 24_648, 0, 11.0, true;
    "tone_vorbis.webm", 16_000, 1, 8_192, 0, 17.0, true;
    "tone_live.webm", 48_000, 1, 24_648, 0, 11.0, true;
};

impl Fixture {
    /// The beginning of the file, cut inside of its sound. Most of a short Vorbis file is code books.
    pub(crate) fn cut(&self) -> &'static [u8] {
        let parts = if self.name.contains("vorbis") { 19 } else { 17 };
        &self.bytes[..self.bytes.len() * parts / 20]
    }
}

/// What `make_media.sh` fed to the encoders: sample `n` of channel `channel`.
pub(crate) fn signal(n: u64, rate: u32, channel: usize) -> f64 {
    let t = n as f64 / f64::from(rate);
    let first = 0.4 * (2.0 * PI * 440.0 * t).sin() + 0.2 * (2.0 * PI * (300.0 * t + 1500.0 * t * t)).sin();
    if channel == 0 { first } else { -0.5 * first }
}

/// Half a second of the signal at 16 kHz.
pub(crate) fn speech() -> Pcm {
    let samples = (0..8_000).map(|n| signal(n, 16_000, 0) as f32).collect();
    Pcm::mono(samples, SampleRate::SPEECH)
}

/// The same as a WAV.
pub(crate) fn tone_wav() -> Vec<u8> {
    wav(&speech(), WavFormat::S16).expect("small")
}

/// The signal-to-noise ratio in dB of `pcm`, delayed by `lag` frames, against the formula.
pub(crate) fn snr(pcm: &Pcm, lag: i64) -> f64 {
    let channels = pcm.spec().channels.count();
    let (mut power, mut noise) = (0.0, 0.0);
    for (n, frame) in pcm.samples().chunks_exact(channels).enumerate() {
        let Ok(at) = u64::try_from(n as i64 - lag) else {
            continue;
        };
        for (channel, sample) in frame.iter().enumerate() {
            let ideal = signal(at, pcm.spec().rate.hz(), channel);
            power += ideal * ideal;
            noise += (ideal - f64::from(*sample)).powi(2);
        }
    }
    10.0 * (power / noise).log10()
}

/// FLAC of silence at 16 kHz mono in blocks of 65 535 frames, each some 14 bytes for 4 s: its header declares
/// `declared` frames, `blocks` blocks are really there.
pub(crate) fn flac_of_silence(declared: u64, blocks: u32) -> Vec<u8> {
    const BLOCK: u16 = 65_535;
    let mut out = b"fLaC\x80\0\0\x22".to_vec();
    out.extend([BLOCK.to_be_bytes(), BLOCK.to_be_bytes()].concat());
    out.extend([0; 6]);
    // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of frames.
    let packed = 16_000u64 << 44 | 15 << 36 | declared & 0xf_ffff_ffff;
    out.extend(packed.to_be_bytes());
    out.extend([0; 16]);
    for block in 0..blocks {
        let start = out.len();
        // Fixed block size in 16 bits at the end of the header, rate and width as in STREAMINFO.
        out.extend([0xff, 0xf8, 0x70, 0x00]);
        out.extend(
            char::from_u32(block)
                .map(|c| c.to_string().into_bytes())
                .unwrap_or_default(),
        );
        out.extend((BLOCK - 1).to_be_bytes());
        let crc = crc(&out[start..], 8, 0x07);
        out.push(crc as u8);
        // One subframe: constant, no wasted bits, value 0.
        out.extend([0, 0, 0]);
        let crc = self::crc(&out[start..], 16, 0x8005);
        out.extend((crc as u16).to_be_bytes());
    }
    out
}

fn crc(bytes: &[u8], bits: u32, polynomial: u32) -> u32 {
    let top = 1 << (bits - 1);
    bytes.iter().fold(0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << (bits - 8), |crc, _| {
            let shifted = crc << 1;
            (if crc & top != 0 {
                shifted ^ polynomial
            } else {
                shifted
            }) & (top | (top - 1))
        })
    })
}
