//! ITU-T G.711 companding, from samples to codes: the segment by the highest bit, then four bits of it. The other
//! direction is in [`pcm`](crate::pcm).

/// A bias of 33 in 14-bit units, so that every segment begins at a power of two.
const BIAS: u32 = 132;

/// -1..1 to mu-law.
pub(super) fn mu_law(sample: f32) -> u8 {
    let (magnitude, negative) = parts(sample);
    let biased = magnitude.min(32_635) + BIAS;
    // 132 is in the segment of bit 7, which is the first.
    let exponent = biased.ilog2() - 7;
    let mantissa = (biased >> (exponent + 3)) & 0x0f;
    let code = (exponent << 4) | mantissa;
    !(code as u8 | sign(negative))
}

/// -1..1 to A-law.
pub(super) fn a_law(sample: f32) -> u8 {
    let (magnitude, negative) = parts(sample);
    let magnitude = magnitude.min(32_767);
    // The first two segments have the same steps.
    let exponent = magnitude.max(0x80).ilog2() - 7;
    let mantissa = (magnitude >> (exponent.max(1) + 3)) & 0x0f;
    let code = (exponent << 4) | mantissa;
    (code as u8 | sign(!negative)) ^ 0x55
}

/// In 16-bit units, and whether below zero.
fn parts(sample: f32) -> (u32, bool) {
    let sample = (sample * 32_768.0).round();
    // `as` saturates and makes NaN silence.
    (sample.abs() as u32, sample < 0.0)
}

const fn sign(set: bool) -> u8 {
    if set { 0x80 } else { 0 }
}

#[cfg(test)]
mod tests {
    use crate::pcm::Encoding;

    use super::*;

    fn expanded(encoding: Encoding) -> Vec<f32> {
        let mut values = Vec::new();
        encoding.decode_into(&(0..=255).collect::<Vec<u8>>(), &mut values);
        values
    }

    /// Every code comes back as itself; of the two zeros of mu-law the positive one.
    #[test]
    fn codes_survive_the_way_through_samples() {
        for (encoding, compress) in [
            (Encoding::MuLaw, mu_law as fn(f32) -> u8),
            (Encoding::ALaw, a_law),
        ] {
            for (code, value) in expanded(encoding).into_iter().enumerate() {
                let wanted = if encoding == Encoding::MuLaw && code == 0x7f {
                    0xff
                } else {
                    code
                };
                assert_eq!(compress(value) as usize, wanted, "{encoding:?} {code:#x}");
            }
        }
    }

    /// Within half a step of its segment, as the recommendation's decision values are. (Between two segments these are not
    /// in the middle of the two values, so the nearest code would be another.)
    #[test]
    fn a_sample_gets_a_code_of_its_own_step() {
        for (encoding, compress, most) in [
            (Encoding::MuLaw, mu_law as fn(f32) -> u8, 32_635.0),
            (Encoding::ALaw, a_law, 32_767.0),
        ] {
            let values = expanded(encoding);
            for sample in i16::MIN..=i16::MAX {
                let sample = f32::from(sample).clamp(-most, most);
                let code = compress(sample / 32_768.0);
                // The other code of the same pair is in the same segment.
                let step = (values[code as usize] - values[(code ^ 1) as usize]).abs() * 32_768.0;
                let error = (values[code as usize] * 32_768.0 - sample).abs();
                assert!(
                    error <= step / 2.0,
                    "{encoding:?} {sample}: {error} where a step is {step}"
                );
            }
        }
    }

    #[test]
    fn what_is_beyond_full_scale_clips() {
        for (value, mu, a) in [(2.0, 0x80, 0xaa), (-2.0, 0x00, 0x2a), (f32::NAN, 0xff, 0xd5)] {
            assert_eq!((mu_law(value), a_law(value)), (mu, a), "{value}");
        }
    }
}
