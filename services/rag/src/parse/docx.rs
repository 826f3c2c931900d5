//! Office Open XML text (ECMA-376, part 1): paragraphs, headings by their styles, lists, tables and notes.

use std::collections::HashMap;
use std::sync::Arc;

use roxmltree::Node;

use super::outline::Outline;
use super::package::{Package, xml};
use super::{Error, Limits};
use crate::domain::{Block, BlockKind, Parsed};

const FORMAT: &str = "DOCX";
/// WordprocessingML, transitional and strict.
const WORD: [&str; 2] = [
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
];
/// Where text stands besides the body.
const NOTES: [&str; 2] = ["word/footnotes.xml", "word/endnotes.xml"];
/// How many styles may be based on one another.
const DEEPEST_STYLE: usize = 16;

pub(super) fn parse(bytes: &[u8], limits: Limits) -> Result<Parsed, Error> {
    let mut package = Package::open(FORMAT, bytes, limits)?;
    let mut reader = Reader {
        levels: levels(&mut package, limits)?,
        ..Reader::default()
    };
    let body = package.required("word/document.xml")?;
    reader.read(xml(FORMAT, "word/document.xml", &body, limits)?.root());
    for name in NOTES {
        if let Some(bytes) = package.member(name)? {
            let notes = super::decode::text(&bytes)?;
            reader.read(xml(FORMAT, name, &notes, limits)?.root());
        }
    }
    let title = title(&mut package, limits)?;
    let first = reader
        .blocks
        .iter()
        .find(|block| block.kind == BlockKind::Heading);
    let title = title.or_else(|| first.map(|block| reader.text[block.range.clone()].to_owned()));
    Ok(Parsed {
        title,
        text: reader.text,
        blocks: reader.blocks,
    })
}

/// The state of reading.
#[derive(Default)]
struct Reader {
    /// Levels of headings by the ids of their styles, from 1.
    levels: HashMap<String, usize>,
    outline: Outline,
    text: String,
    blocks: Vec<Block>,
}

// === impl Reader ===

impl Reader {
    fn read(&mut self, root: Node<'_, '_>) {
        // Tables are read where they begin, with all that is in them; a fallback says what was said before it.
        let mut end_of_whole = None;
        for node in root.descendants() {
            if end_of_whole.is_some_and(|end| node.range().start < end) {
                continue;
            }
            if is_fallback(node) {
                end_of_whole = Some(node.range().end);
            } else if is(node, "tbl") {
                end_of_whole = Some(node.range().end);
                self.table(node);
            } else if is(node, "p") {
                self.paragraph(node);
            }
        }
    }

    fn paragraph(&mut self, node: Node<'_, '_>) {
        let text = text_of(node);
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        let properties = child(node, "pPr");
        let style = properties
            .and_then(|properties| child(properties, "pStyle"))
            .and_then(value);
        let own = properties
            .and_then(|properties| child(properties, "outlineLvl"))
            .and_then(level);
        let level = own.or_else(|| style.and_then(|style| self.levels.get(style).copied()));
        if let Some(level) = level {
            let above = self.outline.enter(level, text);
            return self.write(text, BlockKind::Heading, above);
        }
        let is_item = properties.is_some_and(|properties| child(properties, "numPr").is_some());
        let above = self.outline.above();
        self.write(
            text,
            if is_item {
                BlockKind::ListItem
            } else {
                BlockKind::Paragraph
            },
            above,
        );
    }

    fn table(&mut self, table: Node<'_, '_>) {
        let above = self.outline.above();
        let mut columns: Option<Arc<[String]>> = None;
        // Rows, and cells, may be in elements that say more of them, as controls of forms do.
        for row in parts(table, "tr") {
            let cells = parts(row, "tc").into_iter().map(cell).collect::<Vec<_>>();
            if cells.iter().all(String::is_empty) {
                continue;
            }
            let properties = child(row, "trPr");
            let is_head = properties.is_some_and(|properties| child(properties, "tblHeader").is_some());
            if is_head && columns.is_none() {
                columns = Some(self.outline.above_rows(&cells.join(", ")));
                self.write(&cells.join(" | "), BlockKind::Heading, Arc::clone(&above));
            } else {
                let headings = columns.clone().unwrap_or_else(|| Arc::clone(&above));
                self.write(&cells.join(" | "), BlockKind::TableRow, headings);
            }
        }
    }

    fn write(&mut self, text: &str, kind: BlockKind, headings: Arc<[String]>) {
        let start = self.text.len();
        self.text.push_str(text);
        self.blocks.push(Block {
            kind,
            range: start..self.text.len(),
            headings,
            place: None,
        });
        self.text.push('\n');
    }
}

/// Goes through what is below a node, in order and without recursion. `visit` says whether to go on below what it is given.
fn walk<'a, 'i>(top: Node<'a, 'i>, mut visit: impl FnMut(Node<'a, 'i>) -> bool) {
    let mut next = top.first_child();
    while let Some(node) = next {
        let below = if visit(node) { node.first_child() } else { None };
        next = below.or_else(|| {
            let up = node.ancestors().take_while(|above| above.id() != top.id());
            up.filter_map(|above| above.next_sibling()).next()
        });
    }
}

/// The nearest elements of a name below a node, of no table in it, and without what is only said to old readers.
fn parts<'a, 'i>(top: Node<'a, 'i>, name: &str) -> Vec<Node<'a, 'i>> {
    let mut found = Vec::new();
    walk(top, |node| {
        let is_one = is(node, name);
        if is_one {
            found.push(node);
        }
        !is_one && !is(node, "tbl") && !is_fallback(node)
    });
    found
}

/// The text of a cell, with that of the tables and text boxes in it.
fn cell(cell: Node<'_, '_>) -> String {
    let mut paragraphs = Vec::new();
    walk(cell, |node| {
        if is(node, "p") {
            paragraphs.push(text_of(node));
        }
        !is_fallback(node)
    });
    paragraphs.join(" ").trim().to_owned()
}

/// The text of a paragraph, without what was deleted or moved away and without the paragraphs of text boxes in it.
fn text_of(paragraph: Node<'_, '_>) -> String {
    let mut text = String::new();
    walk(paragraph, |node| {
        if is(node, "t") {
            text.push_str(node.text().unwrap_or_default());
        } else if is(node, "tab") || is(node, "br") || is(node, "cr") {
            text.push(' ');
        } else if is(node, "noBreakHyphen") {
            text.push('-');
        }
        !is(node, "p") && !is(node, "moveFrom") && !is_fallback(node)
    });
    text
}

/// The level of each style that is a heading: by its own outline level, or by that of a style it is based on.
fn levels(package: &mut Package<'_>, limits: Limits) -> Result<HashMap<String, usize>, Error> {
    let name = "word/styles.xml";
    let Some(bytes) = package.member(name)? else {
        return Ok(HashMap::new());
    };
    let source = super::decode::text(&bytes)?;
    let styles = xml(FORMAT, name, &source, limits)?;
    let mut own = HashMap::new();
    let mut based = HashMap::new();
    for style in styles.descendants().filter(|node| is(*node, "style")) {
        let Some(id) = attribute(style, "styleId") else {
            continue;
        };
        let name = child(style, "name")
            .and_then(value)
            .unwrap_or_default()
            .to_lowercase();
        let named = name.strip_prefix("heading ").and_then(|level| level.parse().ok());
        let properties = child(style, "pPr");
        let said = properties
            .and_then(|properties| child(properties, "outlineLvl"))
            .and_then(level);
        let is_title = (name == "title").then_some(1);
        if let Some(level) = said.or(named).or(is_title) {
            own.insert(id.to_owned(), level);
        }
        if let Some(base) = child(style, "basedOn").and_then(value) {
            based.insert(id.to_owned(), base.to_owned());
        }
    }
    let mut levels = own.clone();
    for id in based.keys() {
        let chain = std::iter::successors(Some(id), |id| based.get(*id)).take(DEEPEST_STYLE);
        if let Some(level) = chain.filter_map(|id| own.get(id)).next() {
            levels.insert(id.clone(), *level);
        }
    }
    Ok(levels)
}

fn title(package: &mut Package<'_>, limits: Limits) -> Result<Option<String>, Error> {
    let name = "docProps/core.xml";
    let Some(bytes) = package.member(name)? else {
        return Ok(None);
    };
    let source = super::decode::text(&bytes)?;
    let core = xml(FORMAT, name, &source, limits)?;
    let mut titles = core
        .descendants()
        .filter(|node| node.tag_name().name() == "title");
    let title = titles.find_map(|node| node.text().map(|text| text.trim().to_owned()));
    Ok(title.filter(|title| !title.is_empty()))
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    let tag = node.tag_name();
    tag.name() == name && tag.namespace().is_some_and(|namespace| WORD.contains(&namespace))
}

/// What is said once more, to readers that do not know what was said before it.
fn is_fallback(node: Node<'_, '_>) -> bool {
    node.tag_name().name() == "Fallback"
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| is(*child, name))
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    WORD.iter()
        .find_map(|namespace| node.attribute((*namespace, name)))
}

fn value<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    attribute(node, "val")
}

/// Outline levels count from 0; 9 is body text.
fn level(node: Node<'_, '_>) -> Option<usize> {
    let level: usize = value(node)?.parse().ok()?;
    (level < 9).then_some(level + 1)
}
