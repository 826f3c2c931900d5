//! Text without structure: paragraphs are parted by blank lines.

use std::ops::Range;
use std::sync::Arc;

use crate::domain::{Block, BlockKind, Parsed};

pub(super) fn parse(text: String) -> Parsed {
    let none: Arc<[String]> = Arc::from([]);
    let blocks = paragraphs(&text, 0..text.len())
        .map(|range| Block {
            kind: BlockKind::Paragraph,
            range,
            headings: Arc::clone(&none),
            place: None,
        })
        .collect();
    Parsed {
        title: None,
        text,
        blocks,
    }
}

/// The paragraphs in a part of a text, without the white space around them.
pub(super) fn paragraphs(text: &str, within: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut paragraphs: Vec<Range<usize>> = Vec::new();
    let mut is_open = false;
    let mut at = within.start;
    for line in text[within].split_inclusive('\n') {
        let content = line.trim();
        if content.is_empty() {
            is_open = false;
        } else {
            let start = at + (line.len() - line.trim_start().len());
            let end = start + content.len();
            match paragraphs.last_mut().filter(|_| is_open) {
                Some(paragraph) => paragraph.end = end,
                None => paragraphs.push(start..end),
            }
            is_open = true;
        }
        at += line.len();
    }
    paragraphs.into_iter()
}
