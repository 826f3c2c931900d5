//! Documents from bytes to pages: what kind of file it is, how many pages it has, and each page as a picture or as the
//! text that the document itself holds.
//!
//! Nothing here trusts a byte: sizes are read and refused before anything is decoded. But decoders of other makes can be
//! led into using more time or memory than a page deserves, and nothing can stop them within a process. So all of this
//! runs in a process of its own, the [`reader`](crate::reader), where the system sees to the limits. Recognition of
//! pictures is the engines', and what is done with the document's own text is [`crate::native`]'s.

mod kind;
mod pdf;
mod picture;
mod resolution;
mod tiff;
mod trouble;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use kind::MediaType;
pub use pdf::native::{Glyph, NativeText, Rect, Run};
pub use trouble::Trouble;

use crate::domain::Picture;

/// The longest side of a page, in pixels. What is drawn is bound to 16 bits, and no scanner is as wide as half of that.
pub const LONGEST_SIDE: u32 = 32_767;

/// What is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most pixels of a page.
    pub max_pixels: u64,
    /// What a decoder may allocate for a page, in bytes. The reader's own limit is above it.
    pub max_memory: u64,
}

/// How a page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Dots an inch of what has no pixels of its own, as a page of PDF.
    pub dpi: u32,
    /// The document's own text, where it has some.
    pub native: bool,
    /// The picture even if there is text.
    pub picture: bool,
}

/// A page as it stands in the document.
#[derive(Clone, PartialEq)]
pub struct Sheet {
    /// Its size and its text.
    pub head: SheetHead,
    /// The picture, of that size, unless the text was found to be enough.
    pub picture: Option<Picture>,
}

/// What is known of a page besides its picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SheetHead {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Dots an inch. 0: not known.
    pub dpi: f32,
    /// The text of the document itself, in pixels of the page. None: there is none that can be used.
    pub native: Option<NativeText>,
}

/// A document that is open.
#[derive(Debug)]
pub struct Document {
    limits: Limits,
    inner: Inner,
    media_type: MediaType,
}

#[derive(Debug)]
enum Inner {
    /// One picture.
    Picture(Vec<u8>),
    Tiff(tiff::Tiff),
    Pdf(Box<pdf::PdfFile>),
}

// === impl Document ===

impl Document {
    /// Opens a document.
    ///
    /// # Errors
    /// What is wrong with it as a whole, pictures that are too large included.
    pub fn open(bytes: Vec<u8>, limits: Limits) -> Result<Self, Trouble> {
        let media_type = MediaType::of(&bytes)?;
        let inner = match media_type {
            MediaType::Tiff => Inner::Tiff(tiff::Tiff::open(bytes)?),
            MediaType::Pdf => Inner::Pdf(Box::new(pdf::PdfFile::open(bytes)?)),
            MediaType::Png | MediaType::Jpeg | MediaType::WebP | MediaType::Bmp | MediaType::Gif => {
                picture::check(&bytes, media_type, &limits)?;
                Inner::Picture(bytes)
            }
        };
        Ok(Self {
            limits,
            inner,
            media_type,
        })
    }

    /// What it is.
    pub const fn media_type(&self) -> MediaType {
        self.media_type
    }

    /// How many pages it has, at least 1.
    pub fn page_count(&self) -> u32 {
        match &self.inner {
            Inner::Picture(_) => 1,
            Inner::Tiff(tiff) => tiff.page_count(),
            Inner::Pdf(pdf) => pdf.page_count(),
        }
    }

    /// A page, counted from 0.
    ///
    /// # Errors
    /// What is wrong with the page. Others may still be good.
    pub fn page(&self, number: u32, ask: &Ask) -> Result<Sheet, Trouble> {
        match &self.inner {
            Inner::Picture(_) if number > 0 => Err(Trouble::NoSuchPage),
            Inner::Picture(bytes) => picture::decode(bytes, self.media_type, &self.limits),
            Inner::Tiff(tiff) => tiff.page(number, &self.limits),
            Inner::Pdf(pdf) => pdf.page(number, ask, &self.limits),
        }
    }
}

// === impl Limits ===

impl Limits {
    /// Whether a page of this size is accepted; asked before a pixel is decoded.
    ///
    /// # Errors
    /// [`Trouble::TooManyPixels`].
    pub fn check(&self, width: u64, height: u64) -> Result<(), Trouble> {
        let side = u64::from(LONGEST_SIDE);
        if width == 0 || height == 0 {
            return Err(Trouble::Damaged("it has no pixels".to_owned()));
        }
        if width > side || height > side || width.saturating_mul(height) > self.max_pixels {
            return Err(Trouble::TooManyPixels {
                width,
                height,
                most: self.max_pixels,
            });
        }
        Ok(())
    }
}

// === impl Sheet ===

impl Sheet {
    /// A page that is nothing but its picture.
    pub(crate) fn of(picture: Picture, dpi: f32) -> Self {
        Self {
            head: SheetHead {
                width: picture.width(),
                height: picture.height(),
                dpi,
                native: None,
            },
            picture: Some(picture),
        }
    }
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not its millions of pixels.
        f.debug_struct("Sheet")
            .field("width", &self.head.width)
            .field("height", &self.head.height)
            .field("native", &self.head.native.is_some())
            .field("picture", &self.picture.is_some())
            .finish_non_exhaustive()
    }
}
