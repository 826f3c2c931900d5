//! HTML: headings, paragraphs, lists and tables, without places.

use std::fmt::{self, Write};

use super::joined;
use super::xml::{self, Escaped};
use crate::domain::{Block, BlockKind, Cell, PageReading, Table};
use crate::reading::Page;

pub(super) fn render(pages: &[&Page]) -> String {
    xml::written(|out| write(out, pages))
}

fn write(out: &mut String, pages: &[&Page]) -> fmt::Result {
    out.push_str("<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"/><title></title></head>\n<body>\n");
    for page in pages {
        writeln!(out, "<section id=\"page-{}\">", page.number + 1)?;
        for part in &page.reading.blocks {
            block(out, part, &page.reading)?;
        }
        out.push_str("</section>\n");
    }
    out.push_str("</body>\n</html>\n");
    Ok(())
}

fn block(out: &mut String, block: &Block, reading: &PageReading) -> fmt::Result {
    let paragraphs = || {
        block.paragraphs.iter().map(|paragraph| {
            let lines = reading.lines.get(paragraph.lines.clone()).unwrap_or_default();
            joined(lines.iter().map(|line| line.text.as_str()))
        })
    };
    match block.kind {
        BlockKind::Heading(level) => {
            let level = level.clamp(1, 6);
            let text = joined(paragraphs().collect::<Vec<_>>().iter().map(String::as_str));
            writeln!(out, "<h{level}>{}</h{level}>", Escaped(&text))
        }
        BlockKind::List => {
            out.push_str("<ul>\n");
            for item in paragraphs() {
                writeln!(out, "<li>{}</li>", Escaped(bulletless(&item)))?;
            }
            out.push_str("</ul>\n");
            Ok(())
        }
        BlockKind::Table(at) if at < reading.tables.len() => table(out, &reading.tables[at]),
        BlockKind::Header | BlockKind::Footer => {
            let tag = if block.kind == BlockKind::Header {
                "header"
            } else {
                "footer"
            };
            writeln!(out, "<{tag}>")?;
            for text in paragraphs() {
                writeln!(out, "<p>{}</p>", Escaped(&text))?;
            }
            writeln!(out, "</{tag}>")
        }
        BlockKind::Text | BlockKind::Table(_) => {
            for text in paragraphs() {
                writeln!(out, "<p>{}</p>", Escaped(&text))?;
            }
            Ok(())
        }
    }
}

fn table(out: &mut String, table: &Table) -> fmt::Result {
    out.push_str("<table>\n");
    let head = table.header_rows.min(table.rows.len());
    let (head, body) = table.rows.split_at(head);
    for (section, tag, rows) in [("thead", "th", head), ("tbody", "td", body)] {
        if rows.is_empty() {
            continue;
        }
        writeln!(out, "<{section}>")?;
        for row in rows {
            out.push_str("<tr>");
            for Cell {
                row_span,
                column_span,
                text,
                ..
            } in row
            {
                write!(out, "<{tag}")?;
                for (name, span) in [("rowspan", row_span), ("colspan", column_span)] {
                    if *span > 1 {
                        write!(out, " {name}=\"{span}\"")?;
                    }
                }
                write!(out, ">{}</{tag}>", Escaped(text))?;
            }
            out.push_str("</tr>\n");
        }
        writeln!(out, "</{section}>")?;
    }
    out.push_str("</table>\n");
    Ok(())
}

/// What marks the items of a list.
const BULLETS: [char; 10] = ['•', '◦', '▪', '■', '●', '○', '‣', '·', '-', '–'];

/// An item without its mark.
pub(super) fn bulletless(item: &str) -> &str {
    item.strip_prefix(BULLETS)
        .filter(|rest| rest.starts_with(' '))
        .map_or(item, str::trim_start)
}
