//! HTML, by its tags alone. The text is extracted: what is not shown is left out, and each block is a line.
//!
//! No tree is built: browsers' rules for one look at all open elements for each that comes, which pages of many open
//! elements make slow on purpose. Tags in order are enough to tell blocks.

use std::cell::RefCell;
use std::sync::Arc;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::outline::Outline;
use super::{Error, Limits};
use crate::domain::{Block, BlockKind, Parsed};

/// Elements whose content is not for readers.
const HIDDEN: [&str; 14] = [
    "script", "style", "template", "noscript", "svg", "math", "nav", "iframe", "object", "select", "button",
    "canvas", "dialog", "datalist",
];
/// Elements that begin and end a block.
const BLOCKS: [&str; 34] = [
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
/// Elements without an end.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
];
/// More attributes than this has no element. The tokenizer compares each with all before it.
const MOST_ATTRIBUTES: usize = 1_000;

pub(super) fn parse(source: &str, limits: Limits) -> Result<Parsed, Error> {
    let mut writer = Writer::default();
    read(source, limits, &mut writer)?;
    Ok(writer.finish())
}

/// Reads a page to the end of what was read before.
pub(super) fn read(source: &str, limits: Limits, writer: &mut Writer) -> Result<(), Error> {
    if has_endless_tag(source) {
        let what = format!("it has an element of more than {MOST_ATTRIBUTES} attributes");
        return Err(Error::TooLarge { what });
    }
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from(source));
    let sink = Sink {
        page: RefCell::new(Page {
            writer: std::mem::take(writer),
            hidden: None,
        }),
    };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    // Scripts end the feeding; nothing waits for them here.
    while !matches!(tokenizer.feed(&queue), html5ever::TokenizerResult::Done) {}
    tokenizer.end();
    *writer = tokenizer.sink.page.into_inner().writer;
    writer.end_all();
    if writer.blocks.len() > limits.blocks {
        let what = format!("it has more than {} parts", limits.blocks);
        return Err(Error::TooLarge { what });
    }
    Ok(())
}

/// Whether some tag has more than [`MOST_ATTRIBUTES`], by the blanks in it that are not quoted.
fn has_endless_tag(source: &str) -> bool {
    let mut blanks = None;
    let mut quote = None;
    let mut before = b' ';
    for (at, byte) in source.bytes().enumerate() {
        match (&mut blanks, quote) {
            (None, _) if byte == b'<' => {
                let next = source.as_bytes().get(at + 1);
                blanks = next.is_some_and(u8::is_ascii_alphabetic).then_some(0);
            }
            (None, _) => {}
            (Some(_), Some(open)) => quote = (byte != open).then_some(open),
            (Some(_), None) if byte == b'>' => blanks = None,
            (Some(_), None) if before == b'=' && (byte == b'"' || byte == b'\'') => quote = Some(byte),
            (Some(count), None)
                if byte.is_ascii_whitespace() || byte == b'/' || byte == b'"' || byte == b'\'' =>
            {
                *count += 1;
                if *count > MOST_ATTRIBUTES {
                    return true;
                }
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    false
}

/// Takes what the tokenizer finds.
struct Sink {
    page: RefCell<Page>,
}

/// A page on its way to the writer.
struct Page {
    writer: Writer,
    /// The element that hides all that comes, and how many of its name are open.
    hidden: Option<(String, usize)>,
}

// === impl Sink ===

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut page = self.page.borrow_mut();
        match token {
            Token::TagToken(tag) => return page.tag(&tag),
            Token::CharacterTokens(text) if page.hidden.is_none() => page.writer.text(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

// === impl Page ===

impl Page {
    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        let is_start = tag.kind == TagKind::StartTag;
        let is_whole = tag.self_closing || VOID.contains(&name);
        if let Some((hidden, open)) = &mut self.hidden {
            if hidden == name && !is_whole {
                *open = if is_start { *open + 1 } else { *open - 1 };
            }
            // A paragraph ends where the next block begins.
            let is_over = *open == 0 || (hidden == "p" && is_start && BLOCKS.contains(&name));
            if is_over {
                self.hidden = None;
            }
            if !is_over || !is_start {
                return raw(tag, is_start && !is_whole);
            }
        }
        if is_start && !is_whole && is_hidden(tag) {
            self.hidden = Some((name.to_owned(), 1));
        } else if is_start {
            self.writer.open(name);
            if is_whole {
                self.writer.close(name);
            }
        } else {
            self.writer.close(name);
        }
        raw(tag, is_start && !is_whole)
    }
}

/// In these elements tags are text.
fn raw(tag: &Tag, begins: bool) -> TokenSinkResult<()> {
    match &*tag.name {
        "script" if begins => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noembed" | "noframes" if begins => TokenSinkResult::RawData(RawKind::Rawtext),
        "title" | "textarea" if begins => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

fn is_hidden(tag: &Tag) -> bool {
    HIDDEN.contains(&&*tag.name)
        || tag.attrs.iter().any(|attribute| {
            &*attribute.name.local == "hidden"
                || (&*attribute.name.local == "aria-hidden" && &*attribute.value == "true")
        })
}

/// Writes text and blocks as elements come.
#[derive(Default)]
pub(super) struct Writer {
    title: Option<String>,
    text: String,
    blocks: Vec<Block>,
    outline: Outline,
    /// What is being written, white space folded.
    line: String,
    kind: Option<BlockKind>,
    heading: Option<usize>,
    in_title: bool,
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
            "title" => self.in_title = true,
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
            "title" => self.in_title = false,
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
        if self.in_title {
            let title: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !title.is_empty() && self.title.is_none() {
                self.title = Some(title);
            }
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

    pub(super) fn end_block(&mut self) {
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
    fn end_all(&mut self) {
        self.end_table();
        self.end_block();
        self.in_title = false;
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
            table.columns = Some(above.iter().cloned().chain([cells.join(", ")]).collect());
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

    pub(super) fn finish(self) -> Parsed {
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
