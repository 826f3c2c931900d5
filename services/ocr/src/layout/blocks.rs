//! Lines in reading order to paragraphs and blocks: what stands close together and is of a size belongs together.

use super::frame::{Area, Frame};
use crate::domain::{Block, BlockKind, Line, Paragraph};

/// A gap that parts blocks, in heights of a line.
const BLOCK_GAP: f32 = 1.1;
/// A gap that parts paragraphs, in heights of a line.
const PARAGRAPH_GAP: f32 = 0.6;
/// An indent that begins a paragraph, in heights of a line.
const INDENT: f32 = 0.9;
/// Lines whose heights differ by this factor are not of one block.
const OTHER_SIZE: f32 = 1.3;
/// Headings are higher than usual lines by this factor: of the first, second and third level.
const HEADINGS: [(f32, u8); 3] = [(1.8, 1), (1.5, 2), (1.25, 3)];
/// A heading has no more lines.
const HEADING_LINES: usize = 3;

/// The blocks of one group of lines in reading order: the lines `first` and following, whose boxes are given. `height`
/// is that of a usual line.
pub(super) fn blocks(lines: &[Line], areas: &[Area], first: usize, frame: &Frame, height: f32) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut start = 0;
    for i in 1..=areas.len() {
        if i == areas.len() || parts_blocks(&areas[start..i], &areas[i]) {
            blocks.push(block(
                &lines[start..i],
                &areas[start..i],
                first + start,
                frame,
                height,
            ));
            start = i;
        }
    }
    blocks
}

fn parts_blocks(block: &[Area], next: &Area) -> bool {
    let (whole, last) = (Area::around(block), block[block.len() - 1]);
    if last.beside(next) {
        return false;
    }
    let usual = last.height().min(next.height());
    let (larger, smaller) = (last.height().max(next.height()), usual.max(1.0));
    next.top - whole.bottom > BLOCK_GAP * usual
        || next.bottom < last.top
        || larger / smaller > OTHER_SIZE
        || next.left > whole.right
        || next.right < whole.left
}

fn block(lines: &[Line], areas: &[Area], first: usize, frame: &Frame, height: f32) -> Block {
    let mut paragraphs = Vec::new();
    let whole = Area::around(areas);
    let mut start = 0;
    for i in 1..=areas.len() {
        if i == areas.len() || parts_paragraphs(&areas[..i], &areas[i], &whole, &lines[i].text) {
            paragraphs.push(Paragraph {
                outline: frame.outline(&Area::around(&areas[start..i])),
                confidence: mean(&lines[start..i]),
                lines: first + start..first + i,
            });
            start = i;
        }
    }
    let bullets = lines.iter().filter(|line| is_bullet(&line.text)).count();
    let usual = areas.iter().map(Area::height).sum::<f32>() / areas.len().max(1) as f32;
    let level = HEADINGS.iter().find(|(factor, _)| usual >= factor * height);
    let kind = match level {
        Some(&(_, level))
            if lines.len() <= HEADING_LINES && lines.iter().any(|line| has_word(&line.text)) =>
        {
            BlockKind::Heading(level)
        }
        _ if bullets > 1 && bullets * 2 >= paragraphs.len() => BlockKind::List,
        _ => BlockKind::Text,
    };
    Block {
        outline: frame.outline(&whole),
        kind,
        confidence: mean(lines),
        paragraphs,
    }
}

fn parts_paragraphs(before: &[Area], next: &Area, block: &Area, text: &str) -> bool {
    let last = before[before.len() - 1];
    if last.beside(next) {
        return false;
    }
    let usual = last.height().min(next.height());
    let indented = next.left - last.left > INDENT * usual && next.left - block.left > INDENT * usual;
    // What is centred is indented on both sides.
    let right = block.right - next.right;
    let centred = right > INDENT * usual && (next.left - block.left - right).abs() < INDENT * usual;
    next.top - last.bottom > PARAGRAPH_GAP * usual || (indented && !centred) || is_bullet(text)
}

/// Whether a line begins as an item of a list does.
fn is_bullet(text: &str) -> bool {
    let text = text.trim_start();
    if text.starts_with(['•', '◦', '▪', '●', '○', '·', '*', '–']) || text.starts_with("- ") {
        return true;
    }
    let number = text
        .trim_start_matches('(')
        .chars()
        .take_while(char::is_ascii_digit)
        .count();
    let rest: String = text
        .trim_start_matches('(')
        .chars()
        .skip(number)
        .take(2)
        .collect();
    (1..=2).contains(&number) && (rest.starts_with(") ") || rest == ". ")
}

fn has_word(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).count() > 1
}

fn mean(lines: &[Line]) -> f32 {
    lines.iter().map(|line| line.confidence).sum::<f32>() / lines.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(f32, f32, f32, &str)]) -> Vec<Block> {
        let lines: Vec<Line> = rows
            .iter()
            .map(|row| Line {
                text: row.3.to_owned(),
                confidence: 0.9,
                ..Line::default()
            })
            .collect();
        let areas: Vec<Area> = rows
            .iter()
            .map(|&(left, top, height, text)| Area {
                left,
                top,
                right: left + text.len() as f32 * height / 2.0,
                bottom: top + height,
            })
            .collect();
        let frame = Frame::of(&lines, (500, 500), false);
        blocks(&lines, &areas, 10, &frame, 10.0)
    }

    #[test]
    fn size_and_space_part_headings_blocks_and_paragraphs() {
        let found = of(&[
            (0.0, 0.0, 20.0, "A heading"),
            (0.0, 24.0, 10.0, "the first paragraph of the text"),
            (0.0, 36.0, 10.0, "goes on in its second line"),
            (15.0, 48.0, 10.0, "the second is indented here"),
            (0.0, 80.0, 10.0, "far below another block begins"),
        ]);
        let kinds: Vec<BlockKind> = found.iter().map(|block| block.kind).collect();
        assert_eq!(kinds, [BlockKind::Heading(1), BlockKind::Text, BlockKind::Text]);
        let ranges: Vec<_> = found[1]
            .paragraphs
            .iter()
            .map(|paragraph| paragraph.lines.clone())
            .collect();
        assert_eq!(ranges, [11..13, 13..14]);
    }

    #[test]
    fn items_of_a_list_are_paragraphs_of_a_list() {
        let found = of(&[
            (0.0, 0.0, 10.0, "1. first"),
            (0.0, 12.0, 10.0, "2. second"),
            (0.0, 24.0, 10.0, "3. third"),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].paragraphs.len()), (BlockKind::List, 3));
        for no_bullet in ["12.5% of it", "2018", "1.2 Results", ""] {
            assert!(!is_bullet(no_bullet), "{no_bullet}");
        }
    }
}
