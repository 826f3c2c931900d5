//! One picture: PNG, JPEG, WebP, BMP or GIF to upright RGB on white.

use std::io::Cursor;

use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageReader};

use super::{Limits, MediaType, Sheet, Trouble, resolution};
use crate::domain::Picture;

const WHITE: u32 = 255;

/// Whether its declared size is accepted. Decodes no pixel.
pub(super) fn check(bytes: &[u8], media_type: MediaType, limits: &Limits) -> Result<(), Trouble> {
    open(bytes, media_type, limits).map(drop)
}

/// Decodes the first picture, turns it as its EXIF orientation says, and lays it on white.
pub(super) fn decode(bytes: &[u8], media_type: MediaType, limits: &Limits) -> Result<Sheet, Trouble> {
    let mut decoder = open(bytes, media_type, limits)?;
    // Broken metadata is no reason to refuse a good picture.
    let orientation = decoder.orientation().ok();
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let total = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    if total as u64 > limits.max_memory {
        return Err(Trouble::TooMuch(format!("{} bytes", limits.max_memory)));
    }
    let mut samples = vec![0; total];
    decoder.read_image(&mut samples).map_err(trouble)?;
    let pixels = on_white(color, samples)?;
    let picture = Picture::from_raw(width, height, pixels)
        .ok_or_else(|| Trouble::Damaged("it has too few pixels".to_owned()))?;
    let picture = match orientation {
        None | Some(image::metadata::Orientation::NoTransforms) => picture,
        Some(orientation) => {
            let mut turned = DynamicImage::ImageRgb8(picture);
            turned.apply_orientation(orientation);
            turned.into_rgb8()
        }
    };
    Ok(Sheet::of(picture, resolution::of(bytes, media_type)))
}

/// Reads the header, and refuses what it says of its size.
fn open<'a>(
    bytes: &'a [u8],
    media_type: MediaType,
    limits: &Limits,
) -> Result<impl ImageDecoder + 'a, Trouble> {
    let Some(format) = media_type.image_format() else {
        return Err(Trouble::Reader(format!("{media_type} is no picture")));
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_memory);
    reader.limits(allowed);
    let decoder = reader.into_decoder().map_err(trouble)?;
    let (width, height) = decoder.dimensions();
    limits.check(width.into(), height.into())?;
    Ok(decoder)
}

/// Samples as they come out of a decoder, as 8-bit RGB on white.
pub(super) fn on_white(color: ColorType, samples: Vec<u8>) -> Result<Vec<u8>, Trouble> {
    // 16-bit samples are in the order of this machine; their higher byte is what 8 bits can hold.
    let high = |pair: &[u8]| match pair {
        [a, b] => (u16::from_ne_bytes([*a, *b]) >> 8) as u8,
        _ => 0,
    };
    let mut rgb;
    match color {
        ColorType::Rgb8 => rgb = samples,
        ColorType::L8 => {
            rgb = Vec::with_capacity(samples.len() * 3);
            rgb.extend(samples.iter().flat_map(|grey| [*grey; 3]));
        }
        ColorType::La8 => {
            rgb = Vec::with_capacity(samples.len() / 2 * 3);
            for pixel in samples.chunks_exact(2) {
                rgb.extend([over(pixel[0], pixel[1]); 3]);
            }
        }
        ColorType::Rgba8 => {
            rgb = Vec::with_capacity(samples.len() / 4 * 3);
            for pixel in samples.chunks_exact(4) {
                rgb.extend(pixel[..3].iter().map(|sample| over(*sample, pixel[3])));
            }
        }
        ColorType::L16 => {
            rgb = Vec::with_capacity(samples.len() / 2 * 3);
            rgb.extend(samples.chunks_exact(2).flat_map(|pair| [high(pair); 3]));
        }
        ColorType::La16 => {
            rgb = Vec::with_capacity(samples.len() / 4 * 3);
            for pixel in samples.chunks_exact(4) {
                rgb.extend([over(high(&pixel[..2]), high(&pixel[2..])); 3]);
            }
        }
        ColorType::Rgb16 => {
            rgb = Vec::with_capacity(samples.len() / 2);
            rgb.extend(samples.chunks_exact(2).map(high));
        }
        ColorType::Rgba16 => {
            rgb = Vec::with_capacity(samples.len() / 8 * 3);
            for pixel in samples.chunks_exact(8) {
                let alpha = high(&pixel[6..]);
                rgb.extend(pixel[..6].chunks_exact(2).map(|pair| over(high(pair), alpha)));
            }
        }
        other => return Err(Trouble::Unsupported(format!("its samples are {other:?}"))),
    }
    Ok(rgb)
}

/// A sample that is opaque to `alpha`, on white.
pub(super) fn over(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    ((sample * alpha + WHITE * (WHITE - alpha) + WHITE / 2) / WHITE) as u8
}

fn trouble(error: ImageError) -> Trouble {
    match error {
        ImageError::Unsupported(_) => Trouble::Unsupported(error.to_string()),
        ImageError::Limits(_) => Trouble::TooMuch("what its size needs".to_owned()),
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::IoError(_) => Trouble::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transparent_is_white() {
        assert_eq!(
            (over(0, 0), over(0, 255), over(100, 255), over(0, 128)),
            (255, 0, 100, 127)
        );
        let sixteen: Vec<u8> = [0_u16, 0xFFFF, 0x8000, 0]
            .into_iter()
            .flat_map(u16::to_ne_bytes)
            .collect();
        let cases: [(ColorType, &[u8], &[u8]); 6] = [
            (ColorType::L8, &[7], &[7, 7, 7]),
            (ColorType::La8, &[7, 255, 7, 0], &[7, 7, 7, 255, 255, 255]),
            (ColorType::Rgba8, &[1, 2, 3, 255], &[1, 2, 3]),
            (ColorType::L16, &sixteen[..4], &[0, 0, 0, 255, 255, 255]),
            (ColorType::Rgb16, &sixteen[..6], &[0, 255, 128]),
            (ColorType::Rgba16, &sixteen, &[255, 255, 255]),
        ];
        for (color, samples, expected) in cases {
            assert_eq!(
                on_white(color, samples.to_vec()).expect("known"),
                expected,
                "{color:?}"
            );
        }
    }
}
