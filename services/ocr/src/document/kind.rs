//! What kind of file it is, by its first bytes; names and extensions are not asked.

use std::fmt;

use image::ImageFormat;
use serde::{Deserialize, Serialize};

use super::Trouble;

/// The kinds of documents that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaType {
    /// PNG, one picture.
    Png,
    /// JPEG, one picture.
    Jpeg,
    /// WebP, its first picture.
    WebP,
    /// Windows bitmap, one picture.
    Bmp,
    /// GIF, its first picture.
    Gif,
    /// TIFF, one picture a page.
    Tiff,
    /// PDF.
    Pdf,
}

/// PDF readers look for the header in so many bytes; junk may stand before it.
const PDF_HEADER_WITHIN: usize = 1024;

/// What others send by mistake, so that they are told what it is.
const STRANGERS: [(&[u8], usize, &str); 16] = [
    (b"WAVE", 8, "WAV audio"),
    (b"AVI ", 8, "an AVI film"),
    (b"fLaC", 0, "FLAC audio"),
    (b"ID3", 0, "MP3 audio"),
    (b"\xFF\xFB", 0, "MP3 audio"),
    (b"OggS", 0, "Ogg audio"),
    (b"\x1A\x45\xDF\xA3", 0, "a Matroska or WebM film"),
    (b"ftypavif", 4, "AVIF; send PNG, JPEG or WebP"),
    (b"ftypheic", 4, "HEIC; send PNG, JPEG or WebP"),
    (b"ftypmif1", 4, "HEIF; send PNG, JPEG or WebP"),
    (b"ftyp", 4, "an MP4 film or audio"),
    (
        b"PK\x03\x04",
        0,
        "a ZIP archive or an Office document; export it as PDF",
    ),
    (b"\xD0\xCF\x11\xE0", 0, "an old Office document; export it as PDF"),
    (b"\0\0\0\x0CjP  ", 0, "JPEG 2000; send PNG, JPEG or WebP"),
    (b"%!PS", 0, "PostScript; export it as PDF"),
    (b"{\\rtf", 0, "RTF; export it as PDF"),
];

// === impl MediaType ===

impl MediaType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Png,
        Self::Jpeg,
        Self::WebP,
        Self::Bmp,
        Self::Gif,
        Self::Tiff,
        Self::Pdf,
    ];

    /// What the bytes are.
    ///
    /// # Errors
    /// [`Trouble::Unknown`], with what they look like.
    pub fn of(bytes: &[u8]) -> Result<Self, Trouble> {
        let at =
            |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        if at(0, b"\x89PNG\r\n\x1A\n") {
            Ok(Self::Png)
        } else if at(0, b"\xFF\xD8\xFF") {
            Ok(Self::Jpeg)
        } else if at(0, b"RIFF") && at(8, b"WEBP") {
            Ok(Self::WebP)
        } else if at(0, b"GIF87a") || at(0, b"GIF89a") {
            Ok(Self::Gif)
        } else if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+") {
            Ok(Self::Tiff)
        } else if at(0, b"BM") && bytes.len() >= 26 {
            Ok(Self::Bmp)
        } else if has_pdf_header(bytes) {
            Ok(Self::Pdf)
        } else {
            let stranger = STRANGERS.iter().find(|(magic, offset, _)| at(*offset, magic));
            let looks = match stranger {
                Some((_, _, name)) => (*name).to_owned(),
                None if looks_like_text(bytes) => "plain text".to_owned(),
                None => String::new(),
            };
            Err(Trouble::Unknown(looks))
        }
    }

    /// Its name on the wire, as "application/pdf" (RFC 6838).
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
            Self::Bmp => "image/bmp",
            Self::Gif => "image/gif",
            Self::Tiff => "image/tiff",
            Self::Pdf => "application/pdf",
        }
    }

    /// For what the crate `image` decodes.
    pub(super) const fn image_format(self) -> Option<ImageFormat> {
        match self {
            Self::Png => Some(ImageFormat::Png),
            Self::Jpeg => Some(ImageFormat::Jpeg),
            Self::WebP => Some(ImageFormat::WebP),
            Self::Bmp => Some(ImageFormat::Bmp),
            Self::Gif => Some(ImageFormat::Gif),
            Self::Tiff | Self::Pdf => None,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mime())
    }
}

fn has_pdf_header(bytes: &[u8]) -> bool {
    let head = bytes.get(..PDF_HEADER_WITHIN).unwrap_or(bytes);
    head.windows(5).any(|window| window == b"%PDF-")
}

fn looks_like_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..256).unwrap_or(bytes);
    !head.is_empty()
        && head
            .iter()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_decide() {
        let cases: [(&[u8], MediaType); 6] = [
            (b"\x89PNG\r\n\x1A\nrest", MediaType::Png),
            (b"\xFF\xD8\xFF\xE0", MediaType::Jpeg),
            (b"RIFF\0\0\0\0WEBPVP8 ", MediaType::WebP),
            (b"MM\0*\0\0\0\x08", MediaType::Tiff),
            (b"GIF89a", MediaType::Gif),
            (b"junk before\n%PDF-1.4", MediaType::Pdf),
        ];
        for (bytes, expected) in cases {
            assert_eq!(MediaType::of(bytes), Ok(expected));
        }
    }

    #[test]
    fn a_stranger_is_called_by_its_name() {
        for (bytes, name) in [
            (&b"RIFF\0\0\0\0WAVEfmt "[..], "WAV audio"),
            (b"\0\0\0\x18ftypmp42", "an MP4 film or audio"),
            (b"hello", "plain text"),
            (b"\0\x01\x02", ""),
            (b"BM", "plain text"),
        ] {
            assert_eq!(MediaType::of(bytes), Err(Trouble::Unknown(name.to_owned())));
        }
    }
}
