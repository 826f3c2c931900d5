//! Pages in the formats that other programs read: text, Markdown, HTML, hOCR, ALTO. Pure functions; whatever stands on a
//! page, the result is well formed.

mod alto;
mod hocr;
mod html;
mod markdown;
mod xml;

use crate::reading::Page;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text in reading order; pages are parted by a form feed.
    Text,
    /// Markdown (CommonMark, and the tables of GitHub).
    Markdown,
    /// HTML.
    Html,
    /// hOCR 1.2.
    Hocr,
    /// ALTO 4.
    Alto,
}

/// What wrote it, in formats that say so.
const SOFTWARE: &str = concat!("polyphony-ocr ", env!("CARGO_PKG_VERSION"));

/// The pages in a format.
pub fn render(format: Format, pages: &[&Page]) -> String {
    match format {
        Format::Text => text(pages),
        Format::Markdown => markdown::render(pages),
        Format::Html => html::render(pages),
        Format::Hocr => hocr::render(pages),
        Format::Alto => alto::render(pages),
    }
}

fn text(pages: &[&Page]) -> String {
    let pages: Vec<String> = pages.iter().map(|page| page.reading.text()).collect();
    pages.join("\u{C}")
}

/// The lines of a paragraph as running text.
fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines {
        // Whether a hyphen at the end of a line belongs to the word nobody can tell; none is lost.
        if !text.is_empty() && !text.ends_with('-') {
            text.push(' ');
        }
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests;
