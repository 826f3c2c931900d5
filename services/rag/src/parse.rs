//! From the bytes of a document to its text and blocks.
//!
//! Parsers are pure: bytes in, [`Parsed`] out, bounded in size and depth, the same for the same bytes. Pages and recordings
//! are not read here but by the services that can; [`Format::reader`] says which.

mod code;
mod decode;
mod docx;
mod epub;
mod format;
mod html;
mod markdown;
mod outline;
mod package;
mod plain;
mod table;

use crate::domain::Parsed;

pub use format::{Format, MEDIA_TYPES, Reader};
pub(crate) use outline::{Outline, folded, is_whole};

/// What a document may become before its parser gives up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of text, and of each part of a package once it is unpacked.
    pub text_bytes: usize,
    /// Blocks.
    pub blocks: usize,
}

/// A document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its media type is not known.
    #[error("the media type \"{media_type}\" is not known here; known are {}", MEDIA_TYPES.join(", "))]
    UnknownType {
        /// What was said, or found.
        media_type: String,
    },
    /// It should be text, and is not.
    #[error("is not text: {reason}")]
    NotText {
        /// Why not.
        reason: String,
    },
    /// It is not what its media type says.
    #[error("is not a readable {format}: {reason}")]
    Broken {
        /// What it should be.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// It is larger than the limits once it is unpacked.
    #[error("is too large: {what}")]
    TooLarge {
        /// What is, and what may be.
        what: String,
    },
    /// There is no text in it.
    #[error("holds no text")]
    Empty,
}

/// Reads a document of a format that is read here ([`Reader::Here`]).
///
/// # Errors
/// When the bytes are not of that format, hold no text, or become larger than the limits.
///
/// # Panics
/// When the format is read by another service.
pub fn parse(format: Format, bytes: &[u8], limits: Limits) -> Result<Parsed, Error> {
    let parsed = match format {
        Format::Plain => plain::parse(decode::text(bytes)?),
        Format::Markdown => markdown::parse(decode::text(bytes)?)?,
        Format::Html => html::parse(&decode::html(bytes)?, limits)?,
        Format::Docx => docx::parse(bytes, limits)?,
        Format::Epub => epub::parse(bytes, limits)?,
        Format::Csv => table::parse(decode::text(bytes)?, b',')?,
        Format::Tsv => table::parse(decode::text(bytes)?, b'\t')?,
        Format::Code => code::parse(decode::text(bytes)?),
        Format::Pdf | Format::Image | Format::Audio => {
            unreachable!("pages and recordings are read by other services")
        }
    };
    if parsed.text.len() > limits.text_bytes {
        let what = format!(
            "its text has {} bytes, of at most {}",
            parsed.text.len(),
            limits.text_bytes
        );
        return Err(Error::TooLarge { what });
    }
    if parsed.blocks.len() > limits.blocks {
        let what = format!(
            "it has {} parts, of at most {}",
            parsed.blocks.len(),
            limits.blocks
        );
        return Err(Error::TooLarge { what });
    }
    if parsed.blocks.is_empty() {
        return Err(Error::Empty);
    }
    Ok(parsed)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            text_bytes: 64 << 20,
            blocks: 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests;
