//! Program text, of whatever language: parts that begin at the left margin after a blank line stay together.

use std::sync::Arc;

use super::plain;
use crate::domain::{Block, BlockKind, Parsed};

/// Paragraphs are joined into one block until it has so many bytes, or the next begins at the margin.
const JOINED: usize = 1024;

pub(super) fn parse(text: String) -> Parsed {
    let none: Arc<[String]> = Arc::from([]);
    let mut blocks: Vec<Block> = Vec::new();
    for range in plain::paragraphs(&text, 0..text.len()) {
        // Indentation belongs to code.
        let margin = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let goes_on = margin < range.start;
        match blocks.last_mut() {
            Some(block) if goes_on && range.end - block.range.start <= JOINED => block.range.end = range.end,
            _ => blocks.push(Block {
                kind: BlockKind::Code,
                range: margin..range.end,
                headings: Arc::clone(&none),
                place: None,
            }),
        }
    }
    Parsed {
        title: None,
        text,
        blocks,
    }
}
