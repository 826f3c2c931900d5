//! ALTO 4 (loc.gov/standards/alto), in pixels.

use std::fmt::{self, Write};

use super::SOFTWARE;
use super::hocr::separated;
use super::xml::{self, Bounds, Escaped};
use crate::domain::{Block, BlockKind, Line, PageReading, Quad};
use crate::reading::Page;

/// A line that is askew by less has no outline of its own besides its box, in degrees.
const STRAIGHT: f32 = 0.3;

pub(super) fn render(pages: &[&Page]) -> String {
    xml::written(|out| write(out, pages))
}

fn write(out: &mut String, pages: &[&Page]) -> fmt::Result {
    out.push_str(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<alto xmlns=\"http://www.loc.gov/standards/alto/ns-v4#\" ",
        "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ",
        "xsi:schemaLocation=\"http://www.loc.gov/standards/alto/ns-v4# ",
        "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd\">\n",
        "<Description>\n<MeasurementUnit>pixel</MeasurementUnit>\n",
    ));
    writeln!(
        out,
        "<Processing ID=\"processing_1\"><processingStepDescription>text recognition</processingStepDescription><processingSoftware><softwareName>{SOFTWARE}</softwareName></processingSoftware></Processing>"
    )?;
    out.push_str("</Description>\n<Layout>\n");
    for page in pages {
        let Page { number, reading, .. } = page;
        let (id, width, height) = (number + 1, reading.width, reading.height);
        writeln!(
            out,
            "<Page ID=\"page_{id}\" PHYSICAL_IMG_NR=\"{id}\" WIDTH=\"{width}\" HEIGHT=\"{height}\">"
        )?;
        writeln!(
            out,
            "<PrintSpace HPOS=\"0\" VPOS=\"0\" WIDTH=\"{width}\" HEIGHT=\"{height}\">"
        )?;
        for (at, block) in reading.blocks.iter().enumerate() {
            composed(out, id, at + 1, block, reading)?;
        }
        out.push_str("</PrintSpace>\n</Page>\n");
    }
    out.push_str("</Layout>\n</alto>\n");
    Ok(())
}

fn composed(out: &mut String, page: u32, at: usize, block: &Block, reading: &PageReading) -> fmt::Result {
    let kind = match block.kind {
        BlockKind::Text => "text",
        BlockKind::Heading(_) => "heading",
        BlockKind::List => "list",
        BlockKind::Table(_) => "table",
        BlockKind::Header => "header",
        BlockKind::Footer => "footer",
    };
    let place = place(&block.outline, reading);
    writeln!(
        out,
        "<ComposedBlock ID=\"block_{page}_{at}\" TYPE=\"{kind}\" {place}>"
    )?;
    for (number, paragraph) in block.paragraphs.iter().enumerate() {
        let place = self::place(&paragraph.outline, reading);
        writeln!(out, "<TextBlock ID=\"par_{page}_{at}_{}\" {place}>", number + 1)?;
        for number in paragraph.lines.clone() {
            if let Some(found) = reading.lines.get(number) {
                line(out, page, number, found, reading)?;
            }
        }
        out.push_str("</TextBlock>\n");
    }
    out.push_str("</ComposedBlock>\n");
    Ok(())
}

fn line(out: &mut String, page: u32, number: usize, line: &Line, reading: &PageReading) -> fmt::Result {
    let id = number + 1;
    let place = place(&line.outline, reading);
    write!(out, "<TextLine ID=\"line_{page}_{id}\" {place}>")?;
    if (line.angle_degrees % 90.0).abs() >= STRAIGHT {
        let points: Vec<String> = line
            .outline
            .0
            .iter()
            .map(|point| format!("{},{}", point.x.max(0.0).round(), point.y.max(0.0).round()))
            .collect();
        write!(out, "<Shape><Polygon POINTS=\"{}\"/></Shape>", points.join(" "))?;
    }
    out.push('\n');
    let mut end: Option<Bounds> = None;
    for (at, word) in line.words.iter().enumerate() {
        let bounds = Bounds::of(&word.outline, reading);
        if let Some(end) = end.filter(|_| separated(line, at)) {
            let width = bounds.left.saturating_sub(end.right);
            writeln!(
                out,
                "<SP HPOS=\"{}\" VPOS=\"{}\" WIDTH=\"{width}\"/>",
                end.right, end.top
            )?;
        }
        end = Some(bounds);
        let place = self::place(&word.outline, reading);
        write!(
            out,
            "<String ID=\"word_{page}_{id}_{}\" {place} WC=\"{:.3}\" CONTENT=\"{}\"",
            at + 1,
            word.confidence.clamp(0.0, 1.0),
            Escaped(&word.text)
        )?;
        if word.symbols.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        out.push_str(">\n");
        for (number, symbol) in word.symbols.iter().enumerate() {
            let place = self::place(&symbol.outline, reading);
            writeln!(
                out,
                "<Glyph ID=\"glyph_{page}_{id}_{}_{}\" {place} GC=\"{:.3}\" CONTENT=\"{}\"/>",
                at + 1,
                number + 1,
                symbol.confidence.clamp(0.0, 1.0),
                Escaped(&symbol.text)
            )?;
        }
        out.push_str("</String>\n");
    }
    out.push_str("</TextLine>\n");
    Ok(())
}

fn place(outline: &Quad, reading: &PageReading) -> String {
    let bounds = Bounds::of(outline, reading);
    format!(
        "HPOS=\"{}\" VPOS=\"{}\" WIDTH=\"{}\" HEIGHT=\"{}\"",
        bounds.left,
        bounds.top,
        bounds.width(),
        bounds.height()
    )
}
