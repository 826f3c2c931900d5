//! Which format a document has: as its sender says, else as its name ends, else as its bytes begin.

use super::Error;

/// A format that can be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text without structure but blank lines.
    Plain,
    /// CommonMark with tables and front matter.
    Markdown,
    /// HTML and XHTML.
    Html,
    /// Office Open XML text (ECMA-376).
    Docx,
    /// EPUB 2 and 3.
    Epub,
    /// Comma-separated values (RFC 4180), with names in the first row.
    Csv,
    /// Tab-separated values, with names in the first row.
    Tsv,
    /// Program text, and data that is written like it.
    Code,
    /// PDF.
    Pdf,
    /// A picture, or several in one file.
    Image,
    /// A recording.
    Audio,
}

/// Who reads a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// This service.
    Here,
    /// The ocr service.
    Ocr,
    /// The asr service.
    Asr,
}

/// The media types that are known, those of one format side by side.
pub const MEDIA_TYPES: [&str; 29] = [
    "text/plain",
    "text/markdown",
    "text/html",
    "application/xhtml+xml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/epub+zip",
    "text/csv",
    "text/tab-separated-values",
    "text/x-source",
    "application/json",
    "application/jsonl",
    "application/xml",
    "text/xml",
    "application/yaml",
    "application/toml",
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/tiff",
    "image/bmp",
    "image/gif",
    "audio/wav",
    "audio/flac",
    "audio/mpeg",
    "audio/ogg",
    "audio/webm",
    "audio/mp4",
    "audio/aac",
];

/// Endings of names, in lower case, and what they say.
const ENDINGS: &[(&str, &[&str])] = &[
    ("text/plain", &["txt", "text", "log", "srt", "vtt"]),
    ("text/markdown", &["md", "markdown", "mdown", "mkd"]),
    ("text/html", &["html", "htm"]),
    ("application/xhtml+xml", &["xhtml"]),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        &["docx"],
    ),
    ("application/epub+zip", &["epub"]),
    ("text/csv", &["csv"]),
    ("text/tab-separated-values", &["tsv", "tab"]),
    (
        "text/x-source",
        &[
            "rs",
            "py",
            "js",
            "mjs",
            "ts",
            "tsx",
            "jsx",
            "go",
            "java",
            "kt",
            "scala",
            "c",
            "h",
            "cc",
            "cpp",
            "hpp",
            "cs",
            "rb",
            "php",
            "swift",
            "m",
            "lua",
            "pl",
            "r",
            "jl",
            "sh",
            "bash",
            "zsh",
            "fish",
            "ps1",
            "sql",
            "proto",
            "css",
            "scss",
            "ini",
            "cfg",
            "conf",
            "tf",
            "el",
            "ex",
            "exs",
            "hs",
            "ml",
            "clj",
            "dart",
            "zig",
            "nix",
            "cmake",
            "mk",
            "dockerfile",
            "makefile",
        ],
    ),
    ("application/json", &["json"]),
    ("application/jsonl", &["jsonl", "ndjson"]),
    ("application/xml", &["xml"]),
    ("application/yaml", &["yaml", "yml"]),
    ("application/toml", &["toml"]),
    ("application/pdf", &["pdf"]),
    ("image/png", &["png"]),
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/webp", &["webp"]),
    ("image/tiff", &["tif", "tiff"]),
    ("image/bmp", &["bmp"]),
    ("image/gif", &["gif"]),
    ("audio/wav", &["wav", "wave"]),
    ("audio/flac", &["flac"]),
    ("audio/mpeg", &["mp3"]),
    ("audio/ogg", &["ogg", "oga", "opus"]),
    ("audio/webm", &["webm"]),
    ("audio/mp4", &["m4a", "mp4"]),
    ("audio/aac", &["aac"]),
];

/// First bytes, and what they say.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"GIF8", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "audio/webm"),
    (b"<!DOCTYPE html", "text/html"),
    (b"<!doctype html", "text/html"),
    (b"<html", "text/html"),
];

// === impl Format ===

impl Format {
    /// The media type and format of a document. `declared` may be empty, and may have parameters, as "; charset=utf-8";
    /// `name` is a path or an address, or empty; `beginning` is the document or its first bytes.
    ///
    /// # Errors
    /// When it is none that is known.
    pub fn find(declared: &str, name: &str, beginning: &[u8]) -> Result<(&'static str, Self), Error> {
        let declared = declared
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        // What browsers and mail programs say when they do not know.
        if !declared.is_empty() && declared != "application/octet-stream" {
            let known = Self::of_media_type(&declared);
            return known.ok_or(Error::UnknownType { media_type: declared });
        }
        let found = Self::of_name(name).or_else(|| Self::of_bytes(beginning));
        found
            .and_then(Self::of_media_type)
            .ok_or_else(|| Error::UnknownType {
                media_type: "application/octet-stream".to_owned(),
            })
    }

    /// Who reads it.
    pub fn reader(self) -> Reader {
        match self {
            Self::Pdf | Self::Image => Reader::Ocr,
            Self::Audio => Reader::Asr,
            _ => Reader::Here,
        }
    }

    fn of_media_type(media_type: &str) -> Option<(&'static str, Self)> {
        // Other names of the same.
        let media_type = match media_type {
            "text/x-markdown" => "text/markdown",
            "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "audio/wav",
            "audio/mp3" => "audio/mpeg",
            "audio/x-flac" => "audio/flac",
            "audio/opus" => "audio/ogg",
            "audio/x-m4a" | "video/mp4" => "audio/mp4",
            "application/x-yaml" | "text/yaml" => "application/yaml",
            "application/x-ndjson" => "application/jsonl",
            "image/jpg" => "image/jpeg",
            other if other.starts_with("text/x-") => "text/x-source",
            "text/javascript" | "application/javascript" | "text/css" => "text/x-source",
            other => other,
        };
        let known = MEDIA_TYPES.iter().find(|known| **known == media_type)?;
        let format = match *known {
            "text/plain" => Self::Plain,
            "text/markdown" => Self::Markdown,
            "text/html" | "application/xhtml+xml" => Self::Html,
            "application/epub+zip" => Self::Epub,
            "text/csv" => Self::Csv,
            "text/tab-separated-values" => Self::Tsv,
            "application/pdf" => Self::Pdf,
            image if image.starts_with("image/") => Self::Image,
            audio if audio.starts_with("audio/") => Self::Audio,
            word if word.starts_with("application/vnd.") => Self::Docx,
            _ => Self::Code,
        };
        Some((known, format))
    }

    fn of_name(name: &str) -> Option<&'static str> {
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
        // An address may have a query behind its path.
        let file = file.split(['?', '#']).next().unwrap_or(file);
        let ending = file.rsplit('.').next().unwrap_or(file).to_ascii_lowercase();
        let known = ENDINGS
            .iter()
            .find(|(_, endings)| endings.contains(&ending.as_str()));
        known.map(|(media_type, _)| *media_type)
    }

    fn of_bytes(beginning: &[u8]) -> Option<&'static str> {
        let trimmed = beginning.trim_ascii_start();
        let known = BEGINNINGS.iter().find(|(bytes, _)| trimmed.starts_with(bytes));
        if let Some((_, media_type)) = known {
            return Some(media_type);
        }
        match (beginning.get(..4), beginning.get(8..12)) {
            (Some(b"RIFF"), Some(b"WAVE")) => return Some("audio/wav"),
            (Some(b"RIFF"), Some(b"WEBP")) => return Some("image/webp"),
            (Some(b"PK\x03\x04"), _) => {
                let says = |name: &[u8]| {
                    beginning
                        .windows(name.len())
                        .take(4096)
                        .any(|bytes| bytes == name)
                };
                if says(b"application/epub+zip") {
                    return Some("application/epub+zip");
                }
                let word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
                return (says(b"word/") || says(b"[Content_Types].xml")).then_some(word);
            }
            _ => {}
        }
        let head = &beginning[..beginning.len().min(4096)];
        let is_text =
            !head.is_empty() && !head.contains(&0) && super::decode::text(head_of_text(head)).is_ok();
        is_text.then_some("text/plain")
    }
}

/// The bytes without a character at the end that was cut in two.
fn head_of_text(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}
