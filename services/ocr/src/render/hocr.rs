//! hOCR 1.2 (kba.github.io/hocr-spec/1.2): an XHTML page whose elements say in `class` what they are and in `title` where.

use std::fmt::{self, Write};

use super::SOFTWARE;
use super::xml::{self, Bounds, Escaped};
use crate::domain::{Block, BlockKind, Line, PageReading};
use crate::reading::Page;

const CAPABILITIES: &str =
    "ocr_page ocr_carea ocr_table ocr_header ocr_footer ocr_par ocr_line ocrx_word ocrx_cinfo";

pub(super) fn render(pages: &[&Page]) -> String {
    xml::written(|out| write(out, pages))
}

fn write(out: &mut String, pages: &[&Page]) -> fmt::Result {
    out.push_str(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" ",
        "\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n",
        "<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<title></title>\n",
        "<meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\" />\n",
    ));
    writeln!(out, "<meta name=\"ocr-system\" content=\"{SOFTWARE}\" />")?;
    writeln!(
        out,
        "<meta name=\"ocr-capabilities\" content=\"{CAPABILITIES}\" />"
    )?;
    writeln!(
        out,
        "<meta name=\"ocr-number-of-pages\" content=\"{}\" />",
        pages.len()
    )?;
    out.push_str("</head>\n<body>\n");
    for page in pages {
        let Page {
            number, dpi, reading, ..
        } = page;
        let id = number + 1;
        let (width, height) = (reading.width, reading.height);
        write!(
            out,
            "<div class=\"ocr_page\" id=\"page_{id}\" title=\"bbox 0 0 {width} {height}; ppageno {number}"
        )?;
        if *dpi > 0.0 {
            write!(out, "; scan_res {0} {0}", dpi.round())?;
        }
        out.push_str("\">\n");
        for (at, block) in reading.blocks.iter().enumerate() {
            area(out, id, at, block, reading)?;
        }
        out.push_str("</div>\n");
    }
    out.push_str("</body>\n</html>\n");
    Ok(())
}

fn area(out: &mut String, page: u32, at: usize, block: &Block, reading: &PageReading) -> fmt::Result {
    let class = match block.kind {
        BlockKind::Table(_) => "ocr_table",
        BlockKind::Header => "ocr_header",
        BlockKind::Footer => "ocr_footer",
        BlockKind::Text | BlockKind::Heading(_) | BlockKind::List => "ocr_carea",
    };
    let bounds = Bounds::of(&block.outline, reading);
    writeln!(
        out,
        "<div class=\"{class}\" id=\"block_{page}_{}\" title=\"{bounds}\">",
        at + 1
    )?;
    for (number, paragraph) in block.paragraphs.iter().enumerate() {
        let bounds = Bounds::of(&paragraph.outline, reading);
        writeln!(
            out,
            "<p class=\"ocr_par\" id=\"par_{page}_{}_{}\" title=\"{bounds}\">",
            at + 1,
            number + 1
        )?;
        for number in paragraph.lines.clone() {
            if let Some(found) = reading.lines.get(number) {
                line(out, page, number, found, reading)?;
            }
        }
        out.push_str("</p>\n");
    }
    out.push_str("</div>\n");
    Ok(())
}

fn line(out: &mut String, page: u32, number: usize, line: &Line, reading: &PageReading) -> fmt::Result {
    let bounds = Bounds::of(&line.outline, reading);
    write!(
        out,
        "<span class=\"ocr_line\" id=\"line_{page}_{}\" title=\"{bounds}",
        number + 1
    )?;
    let angle = line.angle_degrees;
    if angle.abs() >= 45.0 {
        // Counter-clockwise, and then a baseline has no slope of its own.
        write!(out, "; textangle {}", (-angle).round())?;
    } else {
        // From the lower left corner of the box, upwards negative.
        let [_, _, _, corner] = line.outline.0;
        let slope = angle.to_radians().tan();
        let offset = slope.mul_add(bounds.left as f32 - corner.x, corner.y) - bounds.bottom as f32;
        write!(out, "; baseline {slope:.3} {}", offset.round().clamp(-9e6, 0.0))?;
    }
    out.push_str("\">");
    for (at, word) in line.words.iter().enumerate() {
        if at > 0 && separated(line, at) {
            out.push(' ');
        }
        let bounds = Bounds::of(&word.outline, reading);
        write!(
            out,
            "<span class=\"ocrx_word\" id=\"word_{page}_{}_{}\" title=\"{bounds}; x_wconf {}\">",
            number + 1,
            at + 1,
            percent(word.confidence)
        )?;
        if word.symbols.is_empty() {
            write!(out, "{}", Escaped(&word.text))?;
        }
        for symbol in &word.symbols {
            let bounds = Bounds::of(&symbol.outline, reading);
            write!(
                out,
                "<span class=\"ocrx_cinfo\" title=\"x_bboxes {} {} {} {}; x_conf {}\">{}</span>",
                bounds.left,
                bounds.top,
                bounds.right,
                bounds.bottom,
                percent(symbol.confidence),
                Escaped(&symbol.text)
            )?;
        }
        out.push_str("</span>");
    }
    out.push_str("</span>\n");
    Ok(())
}

/// Whether there is a space before the word.
pub(super) fn separated(line: &Line, at: usize) -> bool {
    let (before, after) = (line.words.get(at.wrapping_sub(1)), line.words.get(at));
    match (before, after) {
        (Some(before), Some(after)) => before.range.end < after.range.start,
        _ => false,
    }
}

fn percent(confidence: f32) -> u32 {
    (confidence * 100.0).round().clamp(0.0, 100.0) as u32
}
