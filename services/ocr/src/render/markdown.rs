//! Markdown: CommonMark, and the tables of GitHub where no cell spans others. Pages are parted by a thematic break.

use super::html::bulletless;
use super::joined;
use crate::domain::{Block, BlockKind, PageReading, Table};
use crate::reading::Page;

pub(super) fn render(pages: &[&Page]) -> String {
    let pages: Vec<String> = pages.iter().map(|page| self::page(&page.reading)).collect();
    pages.join("\n---\n\n")
}

fn page(reading: &PageReading) -> String {
    let mut out = String::new();
    for part in &reading.blocks {
        if !out.is_empty() {
            out.push('\n');
        }
        block(&mut out, part, reading);
    }
    out
}

fn block(out: &mut String, block: &Block, reading: &PageReading) {
    let mut paragraphs = block.paragraphs.iter().map(|paragraph| {
        let lines = reading.lines.get(paragraph.lines.clone()).unwrap_or_default();
        joined(lines.iter().map(|line| line.text.as_str()))
    });
    match block.kind {
        BlockKind::Heading(level) => {
            let text = joined(paragraphs.collect::<Vec<_>>().iter().map(String::as_str));
            out.push_str(&"#".repeat(level.clamp(1, 6).into()));
            out.push(' ');
            escape(out, &text);
            out.push('\n');
        }
        BlockKind::List => {
            for item in paragraphs {
                match number(&item) {
                    // Markdown numbers items itself, but from the first one's number on.
                    Some((number, rest)) => {
                        out.push_str(number);
                        out.push_str(". ");
                        line(out, rest);
                    }
                    None => {
                        out.push_str("- ");
                        line(out, bulletless(&item));
                    }
                }
                out.push('\n');
            }
        }
        BlockKind::Table(at) if reading.tables.get(at).is_some_and(is_plain) => {
            table(out, &reading.tables[at]);
        }
        BlockKind::Text | BlockKind::Table(_) | BlockKind::Header | BlockKind::Footer => {
            if let Some(text) = paragraphs.next() {
                line(out, &text);
                out.push('\n');
            }
            for text in paragraphs {
                out.push('\n');
                line(out, &text);
                out.push('\n');
            }
        }
    }
}

/// Whether each of its cells takes one place: Markdown has no other tables.
fn is_plain(table: &Table) -> bool {
    let plain = |row: &Vec<crate::domain::Cell>| {
        row.len() == table.columns && row.iter().all(|cell| cell.row_span <= 1 && cell.column_span <= 1)
    };
    table.columns > 0 && !table.rows.is_empty() && table.rows.iter().all(plain)
}

fn table(out: &mut String, table: &Table) {
    let mut row = |cells: &mut dyn Iterator<Item = &str>| {
        for cell in cells {
            out.push_str("| ");
            escape(out, cell);
            out.push(' ');
        }
        out.push_str("|\n");
    };
    let mut rows = table.rows.iter();
    // A table has a head in Markdown; one that has none on paper gets an empty one.
    if table.header_rows > 0 {
        let head = rows.next().into_iter().flatten();
        row(&mut head.map(|cell| cell.text.as_str()));
    } else {
        row(&mut std::iter::repeat_n("", table.columns));
    }
    out.push_str(&"| --- ".repeat(table.columns));
    out.push_str("|\n");
    let mut row = |cells: &[crate::domain::Cell]| {
        for cell in cells {
            out.push_str("| ");
            escape(out, &cell.text);
            out.push(' ');
        }
        out.push_str("|\n");
    };
    for cells in rows {
        row(cells);
    }
}

/// Text that begins a line, where more characters mean something.
fn line(out: &mut String, text: &str) {
    if text.starts_with(['#', '+', '-', '=', '>', '~', ':']) {
        out.push('\\');
    }
    match number(text) {
        Some((number, rest)) => {
            out.push_str(number);
            out.push('\\');
            out.push_str(&text[number.len()..=number.len()]);
            out.push(' ');
            escape(out, rest);
        }
        None => escape(out, text),
    }
}

/// The number that a line begins with, as "12. " or "12) ", and what follows.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let rest = rest.strip_prefix(['.', ')'])?.strip_prefix(' ')?;
    ((1..=9).contains(&digits)).then_some((number, rest.trim_start()))
}

/// Whatever means something anywhere means itself.
fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(character);
            }
            // Only as the beginning of an entity.
            '&' => out.push_str("&amp;"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
}
