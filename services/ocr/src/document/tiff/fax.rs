//! Facsimiles: CCITT Group 3 and Group 4 (ITU-T T.4 and T.6) in strips.

use hayro_ccitt::{DecodeSettings, DecoderContext, EncodingMode};
use tiff::tags::Tag;

use super::{FILL_ORDER, PageDecoder, T4_OPTIONS, first_number, trouble};
use crate::document::Trouble;

/// How a page is encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    mode: EncodingMode,
    rows_are_byte_aligned: bool,
    end_of_line: bool,
}

/// Rows as they come out of the decoder, as RGB.
struct Rows {
    width: usize,
    /// Rows that are still wanted.
    left: usize,
    black: u8,
    pixels: Vec<u8>,
}

// === impl Encoding ===

/// How it is encoded, if it is a facsimile.
pub(super) fn encoding(decoder: &mut PageDecoder<'_>) -> Option<Encoding> {
    let options = first_number(decoder, Tag::Unknown(T4_OPTIONS)).unwrap_or(0);
    let (mode, rows_are_byte_aligned, end_of_line) = match first_number(decoder, Tag::Compression)? {
        2 => (EncodingMode::Group3_1D, true, false),
        3 if options & 1 == 1 => (EncodingMode::Group3_2D, false, true),
        3 => (EncodingMode::Group3_1D, false, true),
        4 => (EncodingMode::Group4, false, false),
        _ => return None,
    };
    Some(Encoding {
        mode,
        rows_are_byte_aligned,
        end_of_line,
    })
}

/// Decodes all strips. What a damaged strip lacks is white.
pub(super) fn decode(
    decoder: &mut PageDecoder<'_>,
    bytes: &[u8],
    encoding: Encoding,
    (width, height): (u32, u32),
    black_is_zero: bool,
) -> Result<Vec<u8>, Trouble> {
    let offsets = decoder.get_tag_u64_vec(Tag::StripOffsets).map_err(trouble)?;
    let lengths = decoder.get_tag_u64_vec(Tag::StripByteCounts).map_err(trouble)?;
    let rows_per_strip = first_number(decoder, Tag::RowsPerStrip)
        .unwrap_or_else(|| height.into())
        .clamp(1, height.into()) as usize;
    let reversed = first_number(decoder, FILL_ORDER) == Some(2);
    let (width_pixels, height_pixels) = (width as usize, height as usize);
    // The runs are called white and black, but they stand for 0 and 1, and the page says what those are.
    let black = if black_is_zero { 255 } else { 0 };
    let size = width_pixels * height_pixels * 3;
    let mut pixels = Vec::with_capacity(size);
    let mut any = false;
    for (offset, length) in offsets.into_iter().zip(lengths) {
        let end = pixels.len() + (rows_per_strip * width_pixels * 3).min(size - pixels.len());
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let strip = bytes.get(begin..).unwrap_or_default();
        let strip = &strip[..length.min(strip.len())];
        let wanted = (end - pixels.len()) / (width_pixels * 3);
        let mut rows = Rows {
            width: width_pixels,
            left: wanted,
            black,
            pixels,
        };
        let settings = DecodeSettings {
            columns: width,
            rows: u32::try_from(wanted).unwrap_or(u32::MAX),
            end_of_block: true,
            end_of_line: encoding.end_of_line,
            rows_are_byte_aligned: encoding.rows_are_byte_aligned,
            encoding: encoding.mode,
            strict: false,
        };
        let mut context = DecoderContext::new(settings);
        let decoded = if reversed {
            let turned: Vec<u8> = strip.iter().map(|byte| byte.reverse_bits()).collect();
            hayro_ccitt::decode(&turned, &mut rows, &mut context)
        } else {
            hayro_ccitt::decode(strip, &mut rows, &mut context)
        };
        any |= decoded.is_ok() || rows.left < wanted;
        pixels = rows.pixels;
        pixels.resize(end, 255 - black);
    }
    if !any {
        return Err(Trouble::Damaged("none of its strips can be decoded".to_owned()));
    }
    pixels.resize(size, 255 - black);
    Ok(pixels)
}

impl hayro_ccitt::Decoder for Rows {
    fn push_row(&mut self, changes: &[u32]) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let begin = self.pixels.len();
        self.pixels.resize(begin + self.width * 3, 255 - self.black);
        let row = &mut self.pixels[begin..];
        for span in changes.chunks(2) {
            let from = span[0] as usize;
            let to = span.get(1).map_or(self.width, |end| *end as usize);
            if let Some(span) = row.get_mut(from * 3..to.min(self.width) * 3) {
                span.fill(self.black);
            }
        }
    }
}
