//! What is wrong with a document or one of its pages. It crosses from the reader's process to ours.

use polyphony_error::{Fault, Kind};
use serde::{Deserialize, Serialize};

use super::LONGEST_SIDE;

/// What is wrong. The words complete a sentence that begins with the field or the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Trouble {
    /// No format that can be read; what it looks like, if anything.
    #[error("{}", unknown(.0))]
    Unknown(String),
    /// It breaks the rules of its format.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It follows them, but in a way that cannot be read here.
    #[error("cannot be read: {0}")]
    Unsupported(String),
    /// A page that is too large, by what it says itself.
    #[error(
        "has {width} x {height} pixels; at most {most} (ocr.max_pixels), and {LONGEST_SIDE} on a side, are read"
    )]
    TooManyPixels {
        /// Across.
        width: u64,
        /// Down.
        height: u64,
        /// What is accepted.
        most: u64,
    },
    /// A page without pixels of its own would be too large at this resolution.
    #[error(
        "has {width} x {height} pixels at {dpi} dots an inch; at most {most} (ocr.max_pixels) are drawn: lower config.render_dpi"
    )]
    TooLargeToDraw {
        /// Across.
        width: u64,
        /// Down.
        height: u64,
        /// What was asked for.
        dpi: u32,
        /// What is accepted.
        most: u64,
    },
    /// It needs a password.
    #[error("is encrypted, and there is no way to give a password; send it without")]
    Encrypted,
    /// The document has fewer pages.
    #[error("does not exist")]
    NoSuchPage,
    /// It took longer than one page may.
    #[error("took longer than {0} (ocr.page_timeout) to open")]
    TooSlow(String),
    /// It took more memory than one page may, or is nested without end.
    #[error("takes more memory than {0} (ocr.page_memory) to open, or is nested too deeply")]
    TooMuch(String),
    /// Other pages of it used up the patience that one document gets.
    #[error("was not opened: too many pages of this document had to be given up")]
    GivenUp,
    /// The caller went away.
    #[error("was not opened: the caller went away")]
    Cancelled,
    /// The reader itself failed. For the log.
    #[error("could not be read")]
    Reader(String),
}

/// Formats, for who sent something else.
const FORMATS: &str = "PNG, JPEG, WebP, BMP, GIF, TIFF or PDF";

// === impl Trouble ===

impl Trouble {
    /// For the caller, naming the field that brought the document.
    pub fn fault(self, field: &str) -> Fault {
        let text = self.to_string();
        let reason = self.reason();
        match self {
            Self::Unknown(_) | Self::Damaged(_) | Self::Unsupported(_) | Self::NoSuchPage => {
                Fault::invalid(field.to_owned(), text).with_reason(reason)
            }
            Self::TooManyPixels { .. } | Self::TooLargeToDraw { .. } => {
                exhausted(reason, "ocr.max_pixels", field, text)
            }
            Self::TooSlow(_) | Self::GivenUp => exhausted(reason, "ocr.page_timeout", field, text),
            Self::TooMuch(_) => exhausted(reason, "ocr.page_memory", field, text),
            Self::Encrypted => Fault::new(Kind::FailedPrecondition, reason, format!("{field}: {text}"))
                .and_invalid(field.to_owned(), text),
            Self::Cancelled => Fault::new(Kind::Cancelled, reason, "the caller went away"),
            Self::Reader(cause) => Fault::internal(cause),
        }
    }

    /// A stable reason for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "UNKNOWN_FORMAT",
            Self::Damaged(_) => "DAMAGED_MEDIA",
            Self::Unsupported(_) => "UNSUPPORTED_MEDIA",
            Self::TooManyPixels { .. } | Self::TooLargeToDraw { .. } => "TOO_MANY_PIXELS",
            Self::Encrypted => "DOCUMENT_ENCRYPTED",
            Self::NoSuchPage => "NO_SUCH_PAGE",
            Self::TooSlow(_) => "PAGE_TOO_SLOW",
            Self::TooMuch(_) => "PAGE_TOO_LARGE",
            Self::GivenUp => "DOCUMENT_GIVEN_UP",
            Self::Cancelled => "CANCELLED",
            Self::Reader(_) => "INTERNAL",
        }
    }
}

fn exhausted(reason: &'static str, key: &'static str, field: &str, text: String) -> Fault {
    Fault::exhausted(reason, key, format!("{field}: {text}"), None).and_invalid(field.to_owned(), text)
}

fn unknown(looks: &str) -> String {
    if looks.is_empty() {
        format!("is no document that can be read; send {FORMATS}")
    } else {
        format!("is no document that can be read: it looks like {looks}; {FORMATS} can be read")
    }
}
