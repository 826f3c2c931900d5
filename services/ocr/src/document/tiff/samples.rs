//! Samples of a TIFF, of any depth and colour that is decoded, to 8-bit RGB on white.

use tiff::ColorType;
use tiff::decoder::DecodingResult;

use crate::document::Trouble;
use crate::document::picture::over;

/// What the last sample of a pixel means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alpha {
    /// Nothing here.
    None,
    /// How opaque it is; the colours are multiplied with it.
    Associated,
    /// How opaque it is.
    Unassociated,
}

/// Converts the samples of a page.
pub(super) fn to_rgb(
    result: DecodingResult,
    color: ColorType,
    (width, height): (u32, u32),
    planes: usize,
    map: Option<&[u16]>,
    alpha: Alpha,
) -> Result<Vec<u8>, Trouble> {
    let (width, height) = (width as usize, height as usize);
    let unsupported = || Trouble::Unsupported(format!("its samples are {color:?}"));
    let bits = color.bit_depth();
    let samples = match (result, bits) {
        (DecodingResult::U8(packed), 1..8) => unpack(&packed, bits, width),
        (DecodingResult::U8(samples), 8) => samples,
        // Indexes of 16 bits would need a map of 65,536 colours; nobody writes them.
        (DecodingResult::U16(samples), 16) if map.is_none() => {
            samples.into_iter().map(|sample| (sample >> 8) as u8).collect()
        }
        _ => return Err(unsupported()),
    };
    let count = usize::from(color.num_samples()).max(1);
    let samples = if planes > 1 {
        interleave(&samples, planes, width * height)
    } else {
        samples
    };
    let count = if planes > 1 { planes } else { count };
    let pixels = samples.chunks_exact(count);
    let mut rgb = Vec::with_capacity(width * height * 3);
    if let Some(map) = map {
        let indexes = 1_usize << bits;
        // All reds, then all greens, then all blues.
        let entry = |index: usize, of: usize| {
            map.get(of * indexes + index)
                .map_or(0, |value| (value >> 8) as u8)
        };
        let colors: Vec<[u8; 3]> = (0..indexes)
            .map(|index| [entry(index, 0), entry(index, 1), entry(index, 2)])
            .collect();
        rgb.extend(pixels.flat_map(|pixel| colors[usize::from(pixel[0]).min(indexes - 1)]));
        return Ok(rgb);
    }
    match color {
        ColorType::Gray(_) => {
            let most = if bits < 8 { (1_u16 << bits) - 1 } else { 255 };
            let scale = |sample: u8| (u16::from(sample) * 255 / most) as u8;
            rgb.extend(pixels.flat_map(|pixel| [scale(pixel[0]); 3]));
        }
        ColorType::GrayA(_) | ColorType::Multiband { num_samples: 2, .. } => {
            rgb.extend(pixels.flat_map(|pixel| [lay(pixel[0], pixel[1], alpha); 3]));
        }
        ColorType::RGB(_) => rgb.extend(pixels.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])),
        ColorType::RGBA(_) => rgb.extend(pixels.flat_map(|pixel| {
            let of = |at: usize| lay(pixel[at], pixel[3], alpha);
            [of(0), of(1), of(2)]
        })),
        ColorType::CMYK(_) | ColorType::CMYKA(_) => rgb.extend(pixels.flat_map(|pixel| {
            let of = |at: usize| {
                let (ink, black) = (u16::from(pixel[at]), u16::from(pixel[3]));
                ((255 - ink) * (255 - black) / 255) as u8
            };
            [of(0), of(1), of(2)]
        })),
        ColorType::YCbCr(_) => rgb.extend(pixels.flat_map(|pixel| from_ycbcr(pixel[0], pixel[1], pixel[2]))),
        _ => return Err(unsupported()),
    }
    Ok(rgb)
}

/// One sample a byte. Rows begin at whole bytes.
fn unpack(packed: &[u8], bits: u8, width: usize) -> Vec<u8> {
    let row_bytes = (width * usize::from(bits)).div_ceil(8);
    let mask = ((1_u16 << bits) - 1) as u8;
    let mut samples = Vec::with_capacity(packed.len() / row_bytes.max(1) * width);
    for row in packed.chunks_exact(row_bytes.max(1)) {
        let mut left = width;
        let (mut held, mut have) = (0_u16, 0);
        for byte in row {
            held = (held << 8) | u16::from(*byte);
            have += 8;
            while have >= bits && left > 0 {
                have -= bits;
                samples.push((held >> have) as u8 & mask);
                left -= 1;
            }
            held &= (1 << have) - 1;
        }
    }
    samples
}

fn interleave(samples: &[u8], planes: usize, size: usize) -> Vec<u8> {
    let mut interleaved = vec![0; size * planes];
    for (plane, samples) in samples.chunks(size.max(1)).take(planes).enumerate() {
        for (pixel, sample) in samples.iter().enumerate() {
            interleaved[pixel * planes + plane] = *sample;
        }
    }
    interleaved
}

fn lay(sample: u8, opacity: u8, alpha: Alpha) -> u8 {
    match alpha {
        Alpha::None => sample,
        Alpha::Associated => sample.saturating_add(255 - opacity),
        Alpha::Unassociated => over(sample, opacity),
    }
}

/// ITU-R BT.601 in full range, as JFIF has it.
fn from_ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let clamp = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    [
        clamp(1.402f32.mul_add(cr, y)),
        clamp((-0.344_136f32).mul_add(cb, (-0.714_136f32).mul_add(cr, y))),
        clamp(1.772f32.mul_add(cb, y)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(
        samples: &[u8],
        color: ColorType,
        width: u32,
        planes: usize,
        map: Option<&[u16]>,
        alpha: Alpha,
    ) -> Vec<u8> {
        let result = DecodingResult::U8(samples.to_vec());
        to_rgb(result, color, (width, 1), planes, map, alpha).expect("converts")
    }

    #[test]
    fn bits_are_unpacked_row_by_row() {
        assert_eq!(
            unpack(&[0b1010_0000, 0, 0b0100_0000, 0], 1, 9),
            [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(unpack(&[0x1F, 0x20], 4, 3), [1, 15, 2]);
        assert_eq!(unpack(&[0b1101_1000], 2, 3), [3, 1, 2]);
        let grey = convert(&[0b1101_0000], ColorType::Gray(2), 2, 1, None, Alpha::None);
        assert_eq!(grey, [255, 255, 255, 85, 85, 85]);
    }

    /// Samples, of what colour, in how many planes, with what transparency; and the pixel that they make.
    type Case<'a> = (&'a [u8], ColorType, usize, Alpha, [u8; 3]);

    #[test]
    fn colours_come_out_as_they_look() {
        let white = [255, 255, 255];
        let cases: [Case<'_>; 8] = [
            (&[0, 0, 0, 0], ColorType::CMYK(8), 1, Alpha::None, white),
            (&[0, 0, 0, 255], ColorType::CMYK(8), 1, Alpha::None, [0, 0, 0]),
            (&[255, 0, 0, 0], ColorType::CMYK(8), 1, Alpha::None, [0, 255, 255]),
            (&[1, 2, 3, 0], ColorType::RGBA(8), 1, Alpha::Unassociated, white),
            (&[0, 0, 0, 0], ColorType::RGBA(8), 1, Alpha::Associated, white),
            (&[76, 85, 255], ColorType::YCbCr(8), 1, Alpha::None, [254, 0, 0]),
            (&[1, 2, 3], ColorType::RGB(8), 3, Alpha::None, [1, 2, 3]),
            (
                &[7, 0],
                ColorType::Multiband {
                    bit_depth: 8,
                    num_samples: 2,
                },
                1,
                Alpha::Unassociated,
                white,
            ),
        ];
        for (samples, color, planes, alpha, expected) in cases {
            assert_eq!(
                convert(samples, color, 1, planes, None, alpha),
                expected,
                "{color:?}"
            );
        }
        let map: Vec<u16> = [[0, 0xFF00], [0, 0x8000], [0, 0]].concat();
        let mapped = convert(&[0b0100_0000], ColorType::Gray(1), 2, 1, Some(&map), Alpha::None);
        assert_eq!(mapped, [0, 0, 0, 255, 128, 0]);
    }
}
