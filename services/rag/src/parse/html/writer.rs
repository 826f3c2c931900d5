//! Text and blocks, as the elements of a page come.

use std::sync::Arc;

use crate::domain::{Block, BlockKind, Parsed};
use crate::parse::outline::{Outline, folded};

/// Elements that begin and end a block.
pub(super) const BLOCKS: [&str; 34] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "html",
    "li",
    "main",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
];
/// Writes text and blocks as elements come.
#[derive(Default)]
pub(in crate::parse) struct Writer {
    title: Option<String>,
    text: String,
    blocks: Vec<Block>,
    outline: Outline,
    /// What is being written, white space folded.
    line: String,
    kind: Option<BlockKind>,
    heading: Option<usize>,
    /// The title that is being read.
    open_title: Option<String>,
    /// Open `pre` elements, in which white space counts.
    pre: usize,
    table: Option<Table>,
}

/// A table being read.
#[derive(Default)]
struct Table {
    columns: Option<Arc<[String]>>,
    cells: Vec<String>,
    /// The cell that is open is a name, or none is open.
    cell: Option<bool>,
    has_names: bool,
    /// Tables that are open in this one.
    nested: usize,
}

// === impl Writer ===

impl Writer {
    pub(super) fn open(&mut self, name: &str) {
        match name {
            "title" => self.open_title = Some(String::new()),
            "br" if self.pre > 0 => self.line.push('\n'),
            "br" => self.line.push(' '),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.end_block();
                self.heading = Some(usize::from(name.as_bytes()[1] - b'0'));
            }
            "pre" => {
                self.end_block();
                self.pre += 1;
                self.kind = Some(BlockKind::Code);
            }
            "li" => {
                self.end_block();
                self.kind = Some(BlockKind::ListItem);
            }
            // Tables in tables are read as text of their cells.
            "table" => match &mut self.table {
                Some(table) => table.nested += 1,
                None => {
                    self.end_block();
                    self.table = Some(Table::default());
                }
            },
            "tr" if self.is_in_table() => self.end_row(),
            "th" | "td" if self.is_in_table() => {
                self.end_cell();
                if let Some(table) = &mut self.table {
                    table.cell = Some(name == "th");
                }
            }
            _ if BLOCKS.contains(&name) => self.end_block(),
            _ => {}
        }
    }

    pub(super) fn close(&mut self, name: &str) {
        match name {
            "title" => self.end_title(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.end_heading(),
            "pre" => {
                self.end_block();
                self.pre = self.pre.saturating_sub(1);
            }
            "th" | "td" if self.is_in_table() => self.end_cell(),
            "tr" if self.is_in_table() => self.end_row(),
            "table" => match &mut self.table {
                Some(table) if table.nested > 0 => table.nested -= 1,
                _ => self.end_table(),
            },
            _ if BLOCKS.contains(&name) => self.end_block(),
            _ => {}
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        if let Some(title) = &mut self.open_title {
            title.push_str(text);
        } else if self.pre > 0 {
            self.line.push_str(text);
        } else {
            for (at, word) in text.split(char::is_whitespace).enumerate() {
                if at > 0 && !self.line.is_empty() && !self.line.ends_with(char::is_whitespace) {
                    self.line.push(' ');
                }
                self.line.push_str(word);
            }
        }
    }

    fn end_block(&mut self) {
        // Cells are joined to a row.
        if self.table.is_some() {
            if !self.line.is_empty() && !self.line.ends_with(' ') {
                self.line.push(' ');
            }
            return;
        }
        if self.heading.is_some() {
            return self.end_heading();
        }
        let kind = self.kind.take().unwrap_or(BlockKind::Paragraph);
        let above = self.outline.above();
        self.write(kind, above);
    }

    /// The first one that says something is the page's.
    fn end_title(&mut self) {
        let Some(title) = self.open_title.take() else {
            return;
        };
        if self.title.is_none() && !title.trim().is_empty() {
            self.title = Some(folded(&title));
        }
    }

    fn end_heading(&mut self) {
        let Some(level) = self.heading.take() else { return };
        if self.line.trim().is_empty() {
            self.line.clear();
            return;
        }
        let above = self.outline.enter(level, self.line.trim());
        self.write(BlockKind::Heading, above);
    }

    fn is_in_table(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.nested == 0)
    }

    fn end_cell(&mut self) {
        let Some(table) = &mut self.table else { return };
        if let Some(is_name) = table.cell.take() {
            table.has_names |= is_name;
            table.cells.push(self.line.trim().to_owned());
        }
        self.line.clear();
    }

    fn end_table(&mut self) {
        self.end_row();
        self.table = None;
    }

    /// Ends all that is open.
    pub(super) fn end_all(&mut self) {
        self.end_table();
        self.end_block();
        self.end_title();
        self.pre = 0;
    }

    fn end_row(&mut self) {
        self.end_cell();
        let Some(table) = &mut self.table else { return };
        let cells = std::mem::take(&mut table.cells);
        let is_names = table.has_names && table.columns.is_none();
        if cells.iter().all(String::is_empty) {
            return;
        }
        let row = cells.join(" | ");
        let above = self.outline.above();
        let headings = table.columns.clone().unwrap_or_else(|| Arc::clone(&above));
        if is_names {
            table.columns = Some(self.outline.above_rows(&cells.join(", ")));
        }
        self.line = row;
        self.write(
            if is_names {
                BlockKind::Heading
            } else {
                BlockKind::TableRow
            },
            headings,
        );
    }

    fn write(&mut self, kind: BlockKind, headings: Arc<[String]>) {
        let line = std::mem::take(&mut self.line);
        let own = if kind == BlockKind::Code {
            line.trim_matches('\n').trim_end()
        } else {
            line.trim()
        };
        if own.is_empty() {
            return;
        }
        let start = self.text.len();
        self.text.push_str(own);
        self.blocks.push(Block {
            kind,
            range: start..self.text.len(),
            headings,
            place: None,
        });
        self.text.push('\n');
    }

    /// How many blocks there are by now.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(in crate::parse) fn finish(self) -> Parsed {
        let first = self.blocks.iter().find(|block| block.kind == BlockKind::Heading);
        let title = self
            .title
            .or_else(|| first.map(|block| self.text[block.range.clone()].to_owned()));
        Parsed {
            title,
            text: self.text,
            blocks: self.blocks,
        }
    }
}
