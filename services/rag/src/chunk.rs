//! Cuts documents into passages along their structure, by tokens.
//!
//! The smallest unit is a sentence of running text, an item, a row, or a part of code. Passages take units up to the target
//! and never beyond the most; they end where another heading begins once they are long enough, and always where a page
//! does, so that a place is on one page. Neighbours below the same heading share their last units.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::domain::{Block, BlockKind, Parsed, Passage, Place};
use crate::parse::is_whole;

/// How long passages are, in tokens of the embedding model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRules {
    /// About so many.
    pub target: usize,
    /// At most so many.
    pub most: usize,
    /// Neighbours share up to so many.
    pub overlap: usize,
}

/// A passage that has this share of the target may end at a heading.
const ENOUGH: usize = 3;
/// Without a blank in it, text is cut into pieces of this many bytes before it is looked at closer.
const RUN: usize = 256;

/// What passages are put together from.
#[derive(Debug, Clone)]
struct Unit<'a> {
    range: Range<usize>,
    tokens: usize,
    block: &'a Block,
}

/// Cuts a document. `count` tells how many tokens of the embedding model a text has, special tokens not counted.
///
/// # Panics
/// When a block is not a range of the document's text.
pub fn passages(parsed: &Parsed, rules: ChunkRules, count: impl Fn(&str) -> usize) -> Vec<Passage> {
    let mut passages = Vec::new();
    let mut open: Vec<Unit<'_>> = Vec::new();
    let mut tokens = 0;
    for unit in units(parsed, rules, &count) {
        if let Some(last) = open.last() {
            let is_full = tokens + unit.tokens > rules.most || tokens >= rules.target;
            let is_other_page = page(last.block) != page(unit.block);
            let is_other_part = last.block.headings != unit.block.headings;
            if is_full || is_other_page || (is_other_part && tokens * ENOUGH >= rules.target) {
                passages.push(passage(parsed, &open, tokens, passages.len()));
                let shared = if is_other_page || is_other_part {
                    0
                } else {
                    shared(&open, rules.overlap.min(rules.most.saturating_sub(unit.tokens)))
                };
                open.drain(..open.len() - shared);
                tokens = open.iter().map(|unit| unit.tokens).sum();
            }
        }
        tokens += unit.tokens;
        open.push(unit);
    }
    if !open.is_empty() {
        passages.push(passage(parsed, &open, tokens, passages.len()));
    }
    passages
}

/// How many of the last units go into the next passage too: never all, or it would not get on.
fn shared(open: &[Unit<'_>], overlap: usize) -> usize {
    let mut left = overlap;
    let fitting = open.iter().skip(1).rev().take_while(|unit| {
        let fits = unit.tokens <= left;
        left = left.saturating_sub(unit.tokens);
        fits
    });
    fitting.count()
}

fn passage(parsed: &Parsed, units: &[Unit<'_>], tokens: usize, ordinal: usize) -> Passage {
    let range = units[0].range.start..units[units.len() - 1].range.end;
    Passage {
        ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
        text: parsed.text[range.clone()].to_owned(),
        range,
        headings: units[0].block.headings.clone(),
        place: place(units),
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
    }
}

fn page(block: &Block) -> Option<u32> {
    match block.place {
        Some(Place::Page { page, .. }) => Some(page),
        _ => None,
    }
}

/// Where units stand that are on one page: the box around them; or from when to when.
fn place(units: &[Unit<'_>]) -> Option<Place> {
    let places = units.iter().filter_map(|unit| unit.block.place.as_ref());
    places.cloned().reduce(|a, b| match (a, b) {
        (Place::Time { start, end }, Place::Time { start: from, end: to }) => Place::Time {
            start: start.min(from),
            end: end.max(to),
        },
        (Place::Page { page, outline: a }, Place::Page { outline: b, .. }) if a != b => {
            let [mut left, mut top, mut right, mut bottom] = [1.0_f32, 1.0, 0.0, 0.0];
            for [x, y] in a.into_iter().chain(b) {
                (left, top) = (left.min(x), top.min(y));
                (right, bottom) = (right.max(x), bottom.max(y));
            }
            Place::Page {
                page,
                outline: vec![[left, top], [right, top], [right, bottom], [left, bottom]],
            }
        }
        (a, _) => a,
    })
}

/// The units of a document, in order. A heading is told by what stands below it, and is a unit only where nothing does or
/// where it is too long for that.
fn units<'a>(parsed: &'a Parsed, rules: ChunkRules, count: &impl Fn(&str) -> usize) -> Vec<Unit<'a>> {
    let mut units = Vec::new();
    let blocks = &parsed.blocks;
    for (at, block) in blocks.iter().enumerate() {
        if block.kind == BlockKind::Heading {
            let depth = block.headings.len();
            let next = blocks.get(at + 1);
            if next.is_some_and(|next| next.headings.get(depth).is_some_and(|told| is_whole(told))) {
                continue;
            }
        }
        let text = &parsed.text[block.range.clone()];
        let offset = block.range.start;
        match block.kind {
            BlockKind::Paragraph | BlockKind::Speech => {
                for (start, sentence) in text.split_sentence_bound_indices() {
                    cut(
                        &parsed.text,
                        offset + start,
                        sentence.trim_end(),
                        block,
                        rules,
                        count,
                        &mut units,
                    );
                }
            }
            BlockKind::Code => {
                let mut start = offset;
                for line in text.split_inclusive('\n') {
                    cut(
                        &parsed.text,
                        start,
                        line.trim_end(),
                        block,
                        rules,
                        count,
                        &mut units,
                    );
                    start += line.len();
                }
            }
            BlockKind::Heading | BlockKind::ListItem | BlockKind::TableRow => {
                cut(&parsed.text, offset, text, block, rules, count, &mut units);
            }
        }
    }
    units
}

/// Adds a piece as one unit, or as several where it is too long for a passage.
fn cut<'a>(
    whole: &str,
    start: usize,
    piece: &str,
    block: &'a Block,
    rules: ChunkRules,
    count: &impl Fn(&str) -> usize,
    units: &mut Vec<Unit<'a>>,
) {
    if piece.is_empty() {
        return;
    }
    let tokens = count(piece);
    if tokens <= rules.most || piece.chars().nth(1).is_none() {
        let range = start..start + piece.len();
        return units.push(Unit { range, tokens, block });
    }
    // Words are counted in runs, so that a long piece is not counted again for each of its words.
    let mut from = 0;
    let mut room = rules.target.min(rules.most);
    let mut taken = 0;
    for (at, run) in runs(piece) {
        let tokens = count(run);
        if tokens > rules.most {
            if taken > 0 {
                units.push(unit(whole, start + from..start + at, taken, block));
            }
            let middle = floor(run, run.len() / 2);
            for (at, half) in [(at, &run[..middle]), (at + middle, &run[middle..])] {
                cut(whole, start + at, half, block, rules, count, units);
            }
            (from, taken) = (at + run.len(), 0);
            continue;
        }
        if taken + tokens > room && taken > 0 {
            units.push(unit(whole, start + from..start + at, taken, block));
            (from, taken) = (at, 0);
            room = rules.target.min(rules.most);
        }
        taken += tokens;
    }
    if taken > 0 {
        units.push(unit(whole, start + from..start + piece.len(), taken, block));
    }
}

fn unit<'a>(whole: &str, range: Range<usize>, tokens: usize, block: &'a Block) -> Unit<'a> {
    let text = &whole[range.clone()];
    let range = range.start..range.start + text.trim_end().len();
    Unit { range, tokens, block }
}

/// Words with the space behind them, joined to about [`RUN`] bytes; longer words are cut.
fn runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        if rest.is_empty() {
            return None;
        }
        let most = floor(rest, RUN.min(rest.len()));
        let end = if most == rest.len() {
            most
        } else {
            let blank = rest[..most].rfind(char::is_whitespace);
            blank.map_or(most, |blank| {
                blank + rest[blank..].chars().next().map_or(1, char::len_utf8)
            })
        };
        let run = (at, &rest[..end]);
        at += end;
        Some(run)
    })
}

/// The last boundary of characters at or before `at`, but not 0.
fn floor(text: &str, at: usize) -> usize {
    let floor = text.floor_char_boundary(at);
    if floor > 0 {
        floor
    } else {
        text.ceil_char_boundary(1)
    }
}

#[cfg(test)]
mod tests;
