//! TIFF, one picture a page (Adobe TIFF 6.0; BigTIFF).
//!
//! The chain of directories is walked here, so that one damaged page does not hide those after it; what a directory means
//! is the crate `tiff`'s, which is shown one page at a time. Facsimiles (CCITT Group 3 and 4) are decoded by the decoder
//! that PDFs use, because `tiff` knows Group 4 alone, and not bits in reversed order.

mod directory;
mod fax;
mod overlay;
mod samples;

use tiff::decoder::{Decoder, DecodingResult, Limits as DecoderLimits};
use tiff::tags::Tag;
use tiff::{TiffError, TiffResult};

use self::directory::Chain;
use self::overlay::Overlay;
use self::samples::Alpha;
use super::{Limits, Sheet, Trouble, resolution};
use crate::domain::Picture;

/// A TIFF that is open.
#[derive(Debug)]
pub(super) struct Tiff {
    bytes: Vec<u8>,
    chain: Chain,
}

type PageDecoder<'a> = Decoder<Overlay<'a>>;

/// Tags without a name in `tiff`'s list of what it uses.
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: Tag = Tag::FillOrder;
const T4_OPTIONS: u16 = 292;
/// The photometric interpretation of indexes into a colour map, and of plain grey.
const PALETTE: u64 = 3;
const BLACK_IS_ZERO: u16 = 1;

// === impl Tiff ===

impl Tiff {
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, Trouble> {
        let chain = Chain::walk(&bytes)?;
        Ok(Self { bytes, chain })
    }

    pub(super) fn page_count(&self) -> u32 {
        u32::try_from(self.chain.pages.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn page(&self, number: u32, limits: &Limits) -> Result<Sheet, Trouble> {
        let at = self.chain.pages.get(number as usize).ok_or(Trouble::NoSuchPage)?;
        let mut overlay = Overlay::new(&self.bytes);
        overlay.put(self.chain.pointer_at(), self.chain.pointer(*at));
        let photometric = self.chain.entry(&self.bytes, *at, PHOTOMETRIC);
        let palette = photometric.is_some_and(|(_, value)| value == PALETTE);
        if let Some((value_at, _)) = photometric.filter(|_| palette) {
            // `tiff` refuses colour maps; told that they are grey, it gives the indexes.
            overlay.put(value_at, self.chain.short(BLACK_IS_ZERO));
        }
        let memory = usize::try_from(limits.max_memory).unwrap_or(usize::MAX);
        let mut allowed = DecoderLimits::default();
        allowed.decoding_buffer_size = memory;
        allowed.intermediate_buffer_size = memory;
        let mut decoder = Decoder::new(overlay).map_err(trouble)?.with_limits(allowed);
        let (width, height) = decoder.dimensions().map_err(trouble)?;
        limits.check(width.into(), height.into())?;
        let dpi = dots_an_inch(&mut decoder);
        let orientation = first_number(&mut decoder, Tag::Orientation);
        let pixels = match fax::encoding(&mut decoder) {
            Some(encoding) => {
                let black_is_zero = photometric.is_some_and(|(_, value)| value != 0);
                fax::decode(
                    &mut decoder,
                    &self.bytes,
                    encoding,
                    (width, height),
                    black_is_zero,
                )?
            }
            None => decode(&mut decoder, (width, height), palette)?,
        };
        let picture = Picture::from_raw(width, height, pixels)
            .ok_or_else(|| Trouble::Damaged("it has too few pixels".to_owned()))?;
        let orientation = orientation
            .and_then(|value| u8::try_from(value).ok())
            .and_then(image::metadata::Orientation::from_exif);
        let picture = match orientation {
            None | Some(image::metadata::Orientation::NoTransforms) => picture,
            Some(orientation) => {
                let mut turned = image::DynamicImage::ImageRgb8(picture);
                turned.apply_orientation(orientation);
                turned.into_rgb8()
            }
        };
        Ok(Sheet::of(picture, dpi))
    }
}

/// Samples of any kind that `tiff` decodes, as RGB.
fn decode(decoder: &mut PageDecoder<'_>, size: (u32, u32), palette: bool) -> Result<Vec<u8>, Trouble> {
    let color = decoder.colortype().map_err(trouble)?;
    let map = if palette {
        Some(decoder.get_tag_u16_vec(Tag::ColorMap).map_err(trouble)?)
    } else {
        None
    };
    // 1: multiplied with the colour already; 2: not.
    let alpha = match first_number(decoder, Tag::ExtraSamples) {
        Some(1) => Alpha::Associated,
        Some(2) => Alpha::Unassociated,
        _ => Alpha::None,
    };
    let mut result = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut result).map_err(trouble)?;
    if result.as_buffer(0).byte_len() < layout.complete_len {
        return Err(Trouble::TooMuch("what its size needs".to_owned()));
    }
    samples::to_rgb(result, color, size, layout.planes, map.as_deref(), alpha)
}

/// Dots an inch across, from XResolution and ResolutionUnit.
fn dots_an_inch(decoder: &mut PageDecoder<'_>) -> f32 {
    let ratio = match decoder.find_tag(Tag::XResolution) {
        Ok(Some(tiff::decoder::ifd::Value::Rational(over, under))) if under > 0 => over as f32 / under as f32,
        _ => return 0.0,
    };
    let said = match first_number(decoder, Tag::ResolutionUnit).unwrap_or(2) {
        2 => Some(ratio),
        3 => Some((ratio * 2.54).round()),
        _ => None,
    };
    resolution::believed(said)
}

/// The first number of a tag; none where it is absent or no number.
fn first_number(decoder: &mut PageDecoder<'_>, tag: Tag) -> Option<u64> {
    let numbers: TiffResult<Option<Vec<u64>>> = decoder.find_tag_unsigned_vec(tag);
    numbers.ok().flatten()?.first().copied()
}

fn trouble(error: TiffError) -> Trouble {
    match error {
        TiffError::UnsupportedError(_) => Trouble::Unsupported(error.to_string()),
        TiffError::LimitsExceeded => Trouble::TooMuch("what its size needs".to_owned()),
        TiffError::FormatError(_)
        | TiffError::IoError(_)
        | TiffError::IntSizeError
        | TiffError::UsageError(_) => Trouble::Damaged(error.to_string()),
    }
}
