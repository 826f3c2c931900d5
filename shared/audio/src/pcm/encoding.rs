//! Raw little-endian samples to `f32`, as gRPC clients send them without a container.

use crate::pcm::g711;

/// How one raw sample is stored. Multi-byte samples are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Unsigned 8 bit, silence is 128.
    U8,
    /// Signed 16 bit: `LINEAR16`.
    S16,
    /// Signed 24 bit in three bytes.
    S24,
    /// Signed 32 bit.
    S32,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// G.711 mu-law: `MULAW`.
    MuLaw,
    /// G.711 A-law: `ALAW`.
    ALaw,
}

// === impl Encoding ===

impl Encoding {
    /// Bytes in one sample of one channel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::MuLaw | Self::ALaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Appends the samples in `bytes` to `out`, full scale -1 to 1. Bytes of a sample that is not whole are left.
    pub fn decode_into(self, bytes: &[u8], out: &mut Vec<f32>) {
        out.reserve(bytes.len() / self.bytes());
        match self {
            Self::U8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.0) / 128.0)),
            Self::MuLaw => out.extend(bytes.iter().map(|&b| g711::mu_law(b))),
            Self::ALaw => out.extend(bytes.iter().map(|&b| g711::a_law(b))),
            Self::S16 => out.extend(arrays(bytes).map(|b| f32::from(i16::from_le_bytes(b)) / 32_768.0)),
            // The three bytes become the high ones of an i32, which carries the sign along.
            Self::S24 => out.extend(
                arrays(bytes).map(|[a, b, c]| (i32::from_le_bytes([0, a, b, c]) >> 8) as f32 / 8_388_608.0),
            ),
            Self::S32 => {
                out.extend(
                    arrays(bytes).map(|b| (f64::from(i32::from_le_bytes(b)) / 2_147_483_648.0) as f32),
                );
            }
            Self::F32 => out.extend(arrays(bytes).map(f32::from_le_bytes)),
            Self::F64 => out.extend(arrays(bytes).map(|b| f64::from_le_bytes(b) as f32)),
        }
    }
}

fn arrays<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        encoding.decode_into(bytes, &mut out);
        out
    }

    #[test]
    fn full_scale_and_silence_are_where_they_belong() {
        assert_eq!(decode(Encoding::U8, &[0, 128, 192]), [-1.0, 0.0, 0.5]);
        assert_eq!(
            decode(Encoding::S16, &[0, 0x80, 0, 0, 0, 0x40, 9]),
            [-1.0, 0.0, 0.5]
        );
        assert_eq!(
            decode(
                Encoding::S24,
                &[0, 0, 0x80, 0, 0, 0, 0, 0, 0x40, 0xff, 0xff, 0xff]
            ),
            [-1.0, 0.0, 0.5, -1.0 / 8_388_608.0]
        );
        assert_eq!(
            decode(Encoding::S32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40]),
            [-1.0, 0.5]
        );
        assert_eq!(decode(Encoding::F32, &0.25f32.to_le_bytes()), [0.25]);
        assert_eq!(decode(Encoding::F64, &(-0.25f64).to_le_bytes()), [-0.25]);
    }
}
