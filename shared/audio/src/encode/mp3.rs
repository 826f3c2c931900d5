//! MP3 of constant bit rate by libmp3lame. Its first frame is LAME's tag, which is known at the end: how many frames there
//! are and how much of delay and padding a decoder leaves out.

mod lame;

use crate::pcm::Spec;

use super::{Error, check_channels, listed};

use lame::Lame;

/// The rates of MPEG 2.5, MPEG 2 and MPEG 1.
const RATES: &[u32] = &[
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, MAX_RATE,
];
const MAX_RATE: u32 = 48_000;

/// kbit/s of MPEG 2.5, MPEG 2 and MPEG 1.
const KILOBITS: [&[u32]; 3] = [
    &[8, 16, 24, 32, 40, 48, 56, 64],
    &[8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    &[32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
];

/// Most frames that go into the library at once.
const PIECE: usize = 8 * 1_152;

/// Writes one file.
#[derive(Debug)]
pub(super) struct Writer {
    channels: usize,
    lame: Lame,
}

/// Whether MP3 can hold it.
pub(super) fn check(spec: Spec, bit_rate: u32) -> Result<(), Error> {
    check_channels(spec.channels, 2, "MP3")?;
    let rate = spec.rate.hz();
    if !RATES.contains(&rate) {
        return Err(Error::setting(
            "sample_rate_hertz",
            format!("MP3 has {} Hz, not {rate}", listed(RATES)),
        ));
    }
    let kilobits = match rate {
        ..12_001 => KILOBITS[0],
        12_001..24_001 => KILOBITS[1],
        _ => KILOBITS[2],
    };
    if !bit_rate.is_multiple_of(1_000) || !kilobits.contains(&(bit_rate / 1_000)) {
        return Err(Error::setting(
            "bit_rate",
            format!(
                "MP3 at {rate} Hz has {} times 1,000 bits a second, not {bit_rate}",
                listed(kilobits)
            ),
        ));
    }
    Ok(())
}

/// Whether the library is there.
pub(super) fn check_available() -> Result<(), Error> {
    Lame::library().map(drop)
}

/// The least rate that is not below, or else the highest.
pub(super) fn rate_for(hz: u32) -> u32 {
    let rates = RATES.iter().copied();
    rates.filter(|rate| *rate >= hz).min().unwrap_or(MAX_RATE)
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(spec: Spec, bit_rate: u32) -> Result<Self, Error> {
        let channels = spec.channels.count();
        Ok(Self {
            channels,
            lame: Lame::open(spec.rate.hz(), channels, bit_rate / 1_000)?,
        })
    }

    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), Error> {
        let side = |samples: &[f32], side: usize| -> Vec<f32> {
            samples.iter().skip(side).step_by(2).copied().collect()
        };
        for piece in samples.chunks(PIECE * self.channels) {
            if self.channels == 1 {
                self.lame.encode(piece, piece, out)?;
            } else {
                self.lame.encode(&side(piece, 0), &side(piece, 1), out)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<u8>, Error> {
        self.lame.flush(out)?;
        self.lame.tag()
    }
}
