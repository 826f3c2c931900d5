//! ITU-T G.711 companding, expanded by its definition: a sign, a three-bit exponent, a four-bit mantissa.

/// Mu-law to -1..1 (14-bit magnitude, scaled as the usual 16-bit tables are).
pub(super) fn mu_law(byte: u8) -> f32 {
    let (code, exponent) = split(!byte);
    // A bias of 33 in 14-bit units, 132 in 16-bit units, keeps the segments contiguous.
    let magnitude = (((i32::from(code & 0x0f) << 3) + 132) << exponent) - 132;
    signed(magnitude, code & 0x80 != 0)
}

/// A-law to -1..1 (13-bit magnitude, scaled as the usual 16-bit tables are).
pub(super) fn a_law(byte: u8) -> f32 {
    // Every second bit is inverted on the wire.
    let (code, exponent) = split(byte ^ 0x55);
    let step = (i32::from(code & 0x0f) << 4) + 8;
    let magnitude = if exponent == 0 {
        step
    } else {
        (step + 256) << (exponent - 1)
    };
    signed(magnitude, code & 0x80 == 0)
}

fn split(code: u8) -> (u8, u32) {
    (code, u32::from(code >> 4 & 7))
}

fn signed(magnitude: i32, negative: bool) -> f32 {
    let magnitude = magnitude as f32 / 32_768.0;
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(sample: f32) -> i32 {
        (sample * 32_768.0) as i32
    }

    // Values of the tables in ITU-T G.711 (2a, 2b), in 16-bit units.
    #[test]
    fn codes_expand_to_the_values_of_the_recommendation() {
        for (code, value) in [
            (0xff, 0),
            (0x7f, 0),
            (0x80, 32_124),
            (0x00, -32_124),
            (0xfe, 8),
            (0xef, 132),
        ] {
            assert_eq!(int(mu_law(code)), value, "mu-law {code:#x}");
        }
        for (code, value) in [
            (0xd5, 8),
            (0x55, -8),
            (0xaa, 32_256),
            (0x2a, -32_256),
            (0xc5, 264),
        ] {
            assert_eq!(int(a_law(code)), value, "A-law {code:#x}");
        }
    }
}
