//! What was read, on the wire. Never fails.

mod text;

use std::ops::Range;

use polyphony_proto::ocr::v1 as pb;
use polyphony_proto::types::v1 as types;

use self::text::Places;
use crate::domain::{
    Block, BlockKind, Cell, FormField, Line, PageReading, Paragraph, Part, Quad, Quality, Span, Table, Word,
};
use crate::reading::{Page, Source};
use crate::render::{self, Format};

/// What stands between the pages of a document.
pub(crate) const PAGE_BREAK: char = '\u{C}';

/// A page. `offset` is where its text begins in the text that ranges count in.
pub(crate) fn page(page: &Page, offset: usize) -> pb::Page {
    let Page {
        number,
        dpi,
        source,
        reading,
    } = page;
    let PageReading {
        width,
        height,
        rotation,
        skew_degrees,
        lines,
        blocks,
        tables,
        form_fields,
        languages,
        quality,
    } = reading;
    let on = On {
        page: *number,
        size: (*width as f32, *height as f32),
        places: Places::of(reading, offset),
    };
    pb::Page {
        page_number: *number,
        size: Some(pb::PageSize {
            width_pixels: *width,
            height_pixels: *height,
            dpi: *dpi,
        }),
        rotation_degrees: rotation.degrees(),
        skew_degrees: *skew_degrees,
        text_source: match source {
            Source::Picture => pb::TextSource::Ocr,
            Source::Native => pb::TextSource::Native,
            Source::Mixed => pb::TextSource::Mixed,
        }
        .into(),
        detected_languages: languages
            .iter()
            .map(|language| pb::DetectedLanguage {
                language_code: language.code.clone(),
                confidence: language.confidence,
            })
            .collect(),
        blocks: blocks.iter().map(|block| on.block(block)).collect(),
        lines: lines
            .iter()
            .enumerate()
            .map(|(at, line)| on.line(at, line))
            .collect(),
        tables: tables.iter().map(|table| on.table(table)).collect(),
        form_fields: form_fields.iter().map(|field| on.form_field(field)).collect(),
        barcodes: Vec::new(),
        image_quality: quality.as_ref().map(image_quality),
    }
}

/// The formats that were asked for.
pub(crate) fn rendered(formats: &[Format], pages: &[&Page]) -> Vec<pb::RenderedDocument> {
    let render = |format: &Format| pb::RenderedDocument {
        format: match format {
            Format::Text => pb::OutputFormat::Text,
            Format::Markdown => pb::OutputFormat::Markdown,
            Format::Html => pb::OutputFormat::Html,
            Format::Hocr => pb::OutputFormat::Hocr,
            Format::Alto => pb::OutputFormat::Alto,
        }
        .into(),
        content: render::render(*format, pages),
    };
    formats.iter().map(render).collect()
}

/// A whole document.
pub(crate) fn document(
    media_type: &str,
    pages: &[Page],
    page_errors: Vec<pb::PageError>,
    formats: &[Format],
) -> pb::Document {
    let mut text = String::new();
    let mut wire = Vec::with_capacity(pages.len());
    for page in pages {
        if !wire.is_empty() {
            text.push(PAGE_BREAK);
        }
        wire.push(self::page(page, text.len()));
        text.push_str(&page.reading.text());
    }
    pb::Document {
        media_type: media_type.to_owned(),
        text,
        pages: wire,
        page_errors,
        rendered: rendered(formats, &pages.iter().collect::<Vec<_>>()),
    }
}

fn image_quality(quality: &Quality) -> pb::ImageQuality {
    pb::ImageQuality {
        score: quality.score,
        defects: quality
            .defects
            .iter()
            .map(|defect| pb::ImageDefect {
                r#type: defect.kind.to_owned(),
                confidence: defect.confidence,
            })
            .collect(),
    }
}

/// The page that things stand on.
struct On {
    page: u32,
    size: (f32, f32),
    places: Places,
}

// === impl On ===

impl On {
    fn layout(
        &self,
        outline: &Quad,
        range: Option<Range<usize>>,
        confidence: f32,
        angle_degrees: f32,
    ) -> pb::Layout {
        let (width, height) = (self.size.0.max(1.0), self.size.1.max(1.0));
        let share = |value: f32, of: f32| {
            let share = value / of;
            if share.is_nan() {
                0.0
            } else {
                share.clamp(0.0, 1.0)
            }
        };
        let polygon = outline.0.iter().map(|point| types::Point {
            x: share(point.x, width),
            y: share(point.y, height),
        });
        pb::Layout {
            region: Some(types::PageRegion {
                page: self.page,
                polygon: polygon.collect(),
            }),
            text_range: range.map(|range| types::TextRange {
                start_byte: range.start as u64,
                end_byte: range.end as u64,
            }),
            confidence,
            angle_degrees,
        }
    }

    fn block(&self, block: &Block) -> pb::Block {
        let Block {
            outline,
            kind,
            confidence,
            paragraphs,
        } = block;
        let first = paragraphs.first().map(|paragraph| paragraph.lines.start);
        let last = paragraphs.last().map(|paragraph| paragraph.lines.end);
        let range = first
            .zip(last)
            .and_then(|(first, last)| self.places.lines(first..last));
        let mut heading_level = 0;
        let kind = match kind {
            BlockKind::Text => pb::BlockType::Text,
            BlockKind::Heading(level) => {
                heading_level = u32::from(*level);
                pb::BlockType::Heading
            }
            BlockKind::List => pb::BlockType::List,
            BlockKind::Table(_) => pb::BlockType::Table,
            BlockKind::Header => pb::BlockType::Header,
            BlockKind::Footer => pb::BlockType::Footer,
        };
        pb::Block {
            layout: Some(self.layout(outline, range, *confidence, 0.0)),
            r#type: kind.into(),
            paragraphs: paragraphs
                .iter()
                .map(|paragraph| self.paragraph(paragraph))
                .collect(),
            heading_level,
        }
    }

    fn paragraph(&self, paragraph: &Paragraph) -> pb::Paragraph {
        let Paragraph {
            outline,
            confidence,
            lines,
        } = paragraph;
        let indexes = lines.clone().filter_map(|line| u32::try_from(line).ok());
        pb::Paragraph {
            layout: Some(self.layout(outline, self.places.lines(lines.clone()), *confidence, 0.0)),
            line_indexes: indexes.collect(),
        }
    }

    fn line(&self, at: usize, line: &Line) -> pb::Line {
        let Line {
            outline,
            text,
            confidence,
            angle_degrees,
            words,
        } = line;
        let range = self.places.lines(at..at + 1);
        let start = range.as_ref().map_or(0, |range| range.start);
        pb::Line {
            layout: Some(self.layout(outline, range, *confidence, *angle_degrees)),
            text: text.clone(),
            tokens: words
                .iter()
                .map(|word| self.token(word, start, *angle_degrees))
                .collect(),
            handwritten: None,
        }
    }

    fn token(&self, word: &Word, start: usize, angle: f32) -> pb::Token {
        let within = |range: &Range<usize>| Some(start + range.start..start + range.end);
        let symbols = word.symbols.iter().map(|symbol| pb::Symbol {
            layout: Some(self.layout(&symbol.outline, within(&symbol.range), symbol.confidence, angle)),
            text: symbol.text.clone(),
        });
        pb::Token {
            layout: Some(self.layout(&word.outline, within(&word.range), word.confidence, angle)),
            text: word.text.clone(),
            symbols: symbols.collect(),
        }
    }

    fn table(&self, table: &Table) -> pb::Table {
        let Table {
            outline,
            confidence,
            columns: _,
            header_rows,
            rows,
        } = table;
        let (head, body) = rows.split_at((*header_rows).min(rows.len()));
        let wire = |rows: &[Vec<Cell>]| {
            rows.iter()
                .map(|row| pb::TableRow {
                    cells: row.iter().map(|cell| self.cell(cell)).collect(),
                })
                .collect()
        };
        let spans: Vec<Span> = rows
            .iter()
            .flatten()
            .flat_map(|cell| cell.spans.clone())
            .collect();
        pb::Table {
            layout: Some(self.layout(outline, self.places.spans(&spans), *confidence, 0.0)),
            header_rows: wire(head),
            body_rows: wire(body),
        }
    }

    fn cell(&self, cell: &Cell) -> pb::TableCell {
        let Cell {
            outline,
            column: _,
            row_span,
            column_span,
            text,
            confidence,
            spans,
        } = cell;
        pb::TableCell {
            layout: Some(self.layout(outline, self.places.spans(spans), *confidence, 0.0)),
            text: text.clone(),
            row_span: u32::try_from(*row_span).unwrap_or(u32::MAX),
            col_span: u32::try_from(*column_span).unwrap_or(u32::MAX),
        }
    }

    fn form_field(&self, field: &FormField) -> pb::FormField {
        let FormField { name, value, ticked } = field;
        let layout = |part: &Part| {
            self.layout(
                &part.outline,
                self.places.spans(&part.spans),
                part.confidence,
                0.0,
            )
        };
        let selection_mark = match ticked {
            None => pb::SelectionMark::Unspecified,
            Some(true) => pb::SelectionMark::Filled,
            Some(false) => pb::SelectionMark::Unfilled,
        };
        pb::FormField {
            name_layout: Some(layout(name)),
            name: name.text.clone(),
            value_layout: Some(layout(value)),
            value: value.text.clone(),
            selection_mark: selection_mark.into(),
        }
    }
}
