//! The arguments of what reads pages and takes music apart.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use super::{Raw, seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Ocr {
    /// An image (PNG, JPEG, WebP, BMP, GIF, TIFF) or a PDF, or `-` for standard input.
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: OcrFormat,
    /// The pages to read, counted from 1, as `1-3,7`. Default: all.
    #[arg(long, value_name = "RANGES", value_parser = pages)]
    pub(crate) pages: Option<Pages>,
    /// Languages to expect, separated by commas, as `en,zh`. Default: the model's own.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) languages: Vec<String>,
    /// Read a PDF's pages from their picture, even where they have a text of their own.
    #[arg(long)]
    pub(crate) force_ocr: bool,
    /// Find tables.
    #[arg(long)]
    pub(crate) tables: bool,
    /// Find labels and their values.
    #[arg(long)]
    pub(crate) forms: bool,
    /// The model. Default: the best on disk.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OcrFormat {
    /// The text in reading order.
    #[default]
    Text,
    /// Lines with boxes and confidences, as JSON, a page a line.
    Json,
    /// hOCR 1.2.
    Hocr,
    /// ALTO 4.
    Alto,
    /// Markdown.
    Markdown,
    /// HTML.
    Html,
}

/// Half-open ranges of pages, counted from 0.
pub(crate) type Pages = std::sync::Arc<[std::ops::Range<u32>]>;

#[derive(Debug, clap::Args)]
pub(crate) struct Pitch {
    /// A recording of one voice or instrument (WAV, FLAC, MP3, Ogg, M4A, WebM), or `-` for standard input.
    #[arg(value_name = "AUDIO|-")]
    pub(crate) audio: PathBuf,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: PitchFormat,
    /// From one frame to the next, 1 to 100 ms. Default: 10.
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) hop: Option<u32>,
    /// The lowest pitch, in hertz.
    #[arg(long, value_name = "HERTZ")]
    pub(crate) min: Option<f32>,
    /// The highest pitch, in hertz.
    #[arg(long, value_name = "HERTZ")]
    pub(crate) max: Option<f32>,
    /// Frames less periodic than this are unvoiced, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    pub(crate) voicing: Option<f32>,
    /// The model, as `crepe-full`. Default: the best on disk.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) raw: Raw,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

/// How a pitch track is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PitchFormat {
    /// `time,frequency,periodicity`, a frame a line; frequency 0 is unvoiced.
    #[default]
    Csv,
    /// A frame a line, as JSON.
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Stems {
    /// A mix (WAV, FLAC, MP3, Ogg, M4A, WebM), or `-` for standard input.
    #[arg(value_name = "AUDIO|-")]
    pub(crate) audio: PathBuf,
    /// The folder that the stems are written to, as FLAC; it is made if it is not there.
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// The stems to take out, separated by commas, as `vocals`. Default: all of the model's.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) stems: Vec<String>,
    /// With one stem: all the rest as well, as `no_vocals`.
    #[arg(long, requires = "stems")]
    pub(crate) rest: bool,
    /// Average over so many shifts, 0 to 10: better, and so many times slower.
    #[arg(long, value_name = "N")]
    pub(crate) shifts: Option<u32>,
    /// How much segments overlap, 0 to 0.9.
    #[arg(long, value_name = "SHARE")]
    pub(crate) overlap: Option<f32>,
    /// The model, as `htdemucs`. Default: the best on disk.
    #[arg(long, value_name = "ID")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) raw: Raw,
    /// Give up after this long.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
}

fn pages(text: &str) -> Result<Pages, String> {
    let range = |part: &str| -> Option<std::ops::Range<u32>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (1 <= first && first <= last).then(|| first - 1..last)
    };
    let parts: Option<Vec<_>> = text.split(',').map(range).collect();
    parts
        .map(Into::into)
        .ok_or_else(|| "give pages counted from 1, as 3 or 1-3,7".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_count_pages_from_one() {
        assert_eq!(&*pages("1-3, 7").expect("pages"), &[0..3, 6..7]);
        for text in ["", "0", "3-1", "a", "1-", "1,,2"] {
            pages(text).expect_err(text);
        }
    }
}
