//! CommonMark with tables and front matter. The text stays as it is written; blocks are ranges of it.

use std::ops::Range;
use std::sync::Arc;

use pulldown_cmark::{Event, MetadataBlockKind, Options, Parser, Tag, TagEnd};

use super::outline::Outline;
use crate::domain::{Block, BlockKind, Parsed};

pub(super) fn parse(text: String) -> Parsed {
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
    Parsed {
        title: title.filter(|title| !title.is_empty()),
        text,
        blocks,
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
        let own = &text[range.clone()];
        let nested = own.match_indices('\n').map(|(at, _)| at).find(|at| {
            let next = own[at + 1..].trim_start();
            let marker = next.trim_start_matches(|character: char| character.is_ascii_digit());
            next.is_empty() || marker.starts_with(['-', '*', '+', '.', ')']) || next.starts_with("```")
        });
        let end = range.start + nested.unwrap_or(own.len());
        let above = self.outline.above();
        self.add(text, BlockKind::ListItem, range.start..end, above);
    }

    fn add(&mut self, text: &str, kind: BlockKind, range: Range<usize>, headings: Arc<[String]>) {
        // Blocks do not overlap: what a block holds is not told twice.
        let start = range
            .start
            .max(self.blocks.last().map_or(0, |last| last.range.end));
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
