//! CommonMark with tables and front matter. The text stays as it is written; blocks are ranges of it.

use std::ops::Range;
use std::sync::Arc;

use pulldown_cmark::{Event, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use super::Error;
use super::outline::Outline;
use crate::domain::{Block, BlockKind, Parsed};

/// For each line the parser looks at all items and quotes that are open; more looks than this take too long.
const MOST_LOOKS: usize = 300_000_000;

pub(super) fn parse(text: String) -> Result<Parsed, Error> {
    if looks(&text) > MOST_LOOKS {
        let what = "it has too many lines in items, quotes and notes that are in one another".to_owned();
        return Err(Error::TooLarge { what });
    }
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut reader = Reader::default();
    for (event, range) in Parser::new_ext(&text, options).into_offset_iter() {
        reader.read(&text, event, range);
    }
    let Reader { title, blocks, .. } = reader;
    let first = blocks.iter().find(|block| block.kind == BlockKind::Heading);
    let title = title.or_else(|| first.map(|block| plain(&text[block.range.clone()])));
    Ok(Parsed {
        title: title.filter(|title| !title.is_empty()),
        text,
        blocks,
    })
}

/// How many open items and quotes the parser looks at in all lines, at most: each line is in as many as any line before it
/// has opened.
fn looks(text: &str) -> usize {
    let mut deepest = 0;
    let mut looks = 0_usize;
    for line in text.lines() {
        deepest = deepest.max(depth(line));
        looks = looks.saturating_add(deepest);
    }
    looks
}

/// How many items and quotes are open after the beginning of a line, at most: those that it opens, and those that it is
/// indented for.
fn depth(line: &str) -> usize {
    let bytes = line.as_bytes();
    let (mut at, mut opened, mut blanks) = (0, 0, 0);
    loop {
        match bytes.get(at) {
            // A tab is as wide as four blanks.
            Some(b'\t') => blanks += 4,
            Some(b' ') => blanks += 1,
            Some(b'>') => opened += 1,
            Some(b'-' | b'*' | b'+' | b'.' | b')')
                if bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) =>
            {
                opened += 1;
            }
            Some(b'0'..=b'9') => {}
            // A note is open like an item.
            Some(b'[') if line[at..].starts_with("[^") => match line[at..].find("]:") {
                Some(end) => (at, opened) = (at + end + 1, opened + 1),
                None if opened == 0 => return 0,
                None => return opened + blanks / 2,
            },
            _ if opened == 0 => return 0,
            _ => return opened + blanks / 2,
        }
        at += 1;
    }
}

/// The state of reading.
#[derive(Default)]
struct Reader {
    title: Option<String>,
    outline: Outline,
    blocks: Vec<Block>,
    /// The block that is being read: what is in it belongs to it, whatever it is.
    open: Option<BlockKind>,
    /// What is above the rows of the table that is being read.
    columns: Option<Arc<[String]>>,
    heading: String,
    in_front_matter: bool,
}

// === impl Reader ===

impl Reader {
    fn read(&mut self, text: &str, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::MetadataBlock(
                MetadataBlockKind::YamlStyle | MetadataBlockKind::PlusesStyle,
            )) => {
                self.in_front_matter = true;
            }
            Event::End(TagEnd::MetadataBlock(_)) => self.in_front_matter = false,
            Event::Text(matter) if self.in_front_matter => self.title = front_title(&matter),
            Event::Start(Tag::Heading { .. }) => self.heading.clear(),
            Event::End(TagEnd::Heading(level)) => {
                let above = self.outline.enter(level as usize, &self.heading);
                self.add(text, BlockKind::Heading, range, above);
            }
            Event::Text(words) | Event::Code(words) if self.open.is_none() => self.heading.push_str(&words),
            // An item without paragraphs of its own is one block; with them, each of them is.
            Event::Start(Tag::Paragraph) => self.begin(text, BlockKind::Paragraph, range),
            Event::Start(Tag::CodeBlock(_)) => self.begin(text, BlockKind::Code, range),
            Event::Start(Tag::HtmlBlock) => self.begin(text, BlockKind::Paragraph, range),
            Event::Start(Tag::Item) => self.item(text, range),
            Event::Start(Tag::TableHead) => {
                let above = self.outline.above();
                let names = text[range.clone()].split('|').map(str::trim);
                let row = names
                    .filter(|name| !name.is_empty())
                    .collect::<Vec<_>>()
                    .join(", ");
                self.columns = Some(self.outline.above_rows(&row));
                self.add(text, BlockKind::Heading, range, above);
            }
            Event::Start(Tag::TableRow) => {
                let above = self.columns.clone().unwrap_or_else(|| self.outline.above());
                self.add(text, BlockKind::TableRow, range, above);
            }
            Event::End(TagEnd::Table) => self.columns = None,
            Event::End(TagEnd::Paragraph | TagEnd::CodeBlock | TagEnd::HtmlBlock) => self.open = None,
            _ => {}
        }
    }

    fn begin(&mut self, text: &str, kind: BlockKind, range: Range<usize>) {
        self.open = Some(kind);
        let above = self.outline.above();
        // The paragraph of an item that was begun already.
        if self.blocks.last().is_some_and(|last| last.range.end >= range.end) {
            return;
        }
        self.add(text, kind, range, above);
    }

    /// An item up to what is nested in it.
    fn item(&mut self, text: &str, range: Range<usize>) {
        // From where it is looked at for the first time: items may be nested in one line, each to the end of the same text.
        let start = self.free_from(range.start);
        let Some(own) = text.get(start..range.end) else {
            return;
        };
        let nested = own.match_indices('\n').map(|(at, _)| at).find(|at| {
            let next = own[at + 1..].trim_start();
            let marker = next.trim_start_matches(|character: char| character.is_ascii_digit());
            next.is_empty() || marker.starts_with(['-', '*', '+', '.', ')']) || next.starts_with("```")
        });
        let end = start + nested.unwrap_or(own.len());
        let above = self.outline.above();
        self.add(text, BlockKind::ListItem, start..end, above);
    }

    /// The first place from here on that is in no block.
    fn free_from(&self, start: usize) -> usize {
        self.blocks.last().map_or(start, |last| last.range.end.max(start))
    }

    fn add(&mut self, text: &str, kind: BlockKind, range: Range<usize>, headings: Arc<[String]>) {
        // Blocks do not overlap: what a block holds is not told twice.
        let start = self.free_from(range.start);
        if start >= range.end {
            return;
        }
        let own = &text[start..range.end];
        let start = start + (own.len() - own.trim_start().len());
        let end = start + own.trim().len();
        if start < end {
            self.blocks.push(Block {
                kind,
                range: start..end,
                headings,
                place: None,
            });
        }
    }
}

/// The title in front matter of YAML or TOML, of which nothing else is read.
fn front_title(matter: &str) -> Option<String> {
    let value = matter.lines().find_map(|line| {
        let rest = line.strip_prefix("title")?.trim_start();
        rest.strip_prefix([':', '='])
    })?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// Without the marks of a heading.
fn plain(heading: &str) -> String {
    let words = heading
        .lines()
        .filter(|line| !line.trim().chars().all(|mark| "=-|: ".contains(mark)));
    let joined = words.collect::<Vec<_>>().join(" ");
    joined.trim().trim_matches('#').trim().to_owned()
}
