//! A picture as a JPEG file.

use std::path::Path;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::{Frames, aside};
use crate::error::{Error, Result};

/// Good enough to look at, in a few kilobytes.
const QUALITY: u8 = 80;

/// Writes the first of pictures as a JPEG file, which appears whole.
///
/// # Errors
///
/// A file that cannot be written.
pub fn preview(output: &Path, frames: &Frames) -> Result<()> {
    let picture = frames.rgb.get(..frames.picture_bytes()).unwrap_or_default();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode(picture, frames.width, frames.height, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Encoding(error.to_string()))?;
    aside::write(output, &bytes, false)
}
