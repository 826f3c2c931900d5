//! Puts the lines of a page into reading order, and finds its columns, paragraphs, tables and fields.
//!
//! It takes lines from wherever they come, read from a picture or told by the document itself, and knows no model. What
//! has to be seen, the rules of tables and boxes to tick, it looks for in the picture, if there is one.

mod blocks;
mod columns;
mod fills;
mod forms;
mod frame;
mod grid;
mod languages;
mod marks;
mod order;
mod quality;
mod rules;
mod tables;

use crate::domain::{Block, BlockKind, Line, Options, PageReading, Paragraph, Picture};
use frame::{Area, Frame};
use order::Item;
use rules::{Ground, Rules};
use tables::Filled;

/// Arranges the lines of a page, which may be in any order; their places are those of the page as it is read. `picture`:
/// the page as it is read.
pub fn arrange(mut reading: PageReading, picture: Option<&Picture>, options: &Options) -> PageReading {
    let frame = Frame::of(&reading.lines, (reading.width, reading.height), options.deskew);
    reading.skew_degrees = -frame.degrees;
    let areas: Vec<Area> = reading
        .lines
        .iter()
        .map(|line| frame.area(&line.outline))
        .collect();
    let height = usual_height(&areas);
    let ground = picture.map(|picture| Ground::of(picture, &frame));
    let tables = ground
        .as_ref()
        .map(|ground| tables(&reading.lines, &areas, &frame, height, ground))
        .unwrap_or_default();

    let groups = order::order(items(&reading.lines, &areas, &tables), height);
    let mut lines = Vec::with_capacity(reading.lines.len());
    let mut parts: Vec<(Option<usize>, std::ops::Range<usize>)> = Vec::new();
    for group in groups {
        for id in group {
            let start = lines.len();
            match id.checked_sub(reading.lines.len()) {
                Some(table) => {
                    lines.extend(&tables[table].lines);
                    parts.push((Some(table), start..lines.len()));
                }
                None => {
                    lines.push(id);
                    match parts.last_mut() {
                        Some((None, part)) if part.end == start && start > 0 => part.end += 1,
                        _ => parts.push((None, start..start + 1)),
                    }
                }
            }
        }
        // What follows is of another column.
        let end = lines.len();
        parts.push((None, end..end));
    }
    parts.retain(|(_, part)| !part.is_empty());
    let ordered: Vec<Area> = lines.iter().map(|&line| areas[line]).collect();
    let mut places = vec![0; lines.len()];
    for (place, &line) in lines.iter().enumerate() {
        places[line] = place;
    }
    let mut old: Vec<Option<Line>> = reading.lines.into_iter().map(Some).collect();
    reading.lines = lines.iter().filter_map(|&line| old[line].take()).collect();
    reading.blocks = Vec::new();
    for (table, part) in parts {
        let lines = &reading.lines[part.clone()];
        match table {
            Some(table) => {
                let kind = if options.tables {
                    BlockKind::Table(table)
                } else {
                    BlockKind::Text
                };
                reading
                    .blocks
                    .push(whole(lines, &ordered[part.clone()], part, &frame, kind));
            }
            None => reading.blocks.extend(blocks::blocks(
                lines,
                &ordered[part.clone()],
                part.start,
                &frame,
                height,
            )),
        }
    }
    if options.tables {
        reading.tables = tables.into_iter().map(|filled| filled.table).collect();
        for span in reading
            .tables
            .iter_mut()
            .flat_map(|table| table.rows.iter_mut().flatten())
            .flat_map(|cell| &mut cell.spans)
        {
            span.line = places[span.line];
        }
    }
    if options.form_fields {
        reading.form_fields = forms::fields(&reading.lines, &ordered, &frame);
        if let Some(ground) = &ground {
            reading
                .form_fields
                .extend(marks::marks(ground, &reading.lines, &ordered, &frame, height));
        }
    }
    if options.quality {
        let line_height = if ordered.is_empty() { 0.0 } else { height };
        reading.quality = ground.map(|ground| quality::quality(&ground.grey, line_height));
    }
    reading.languages = languages::languages(&reading.lines);
    reading
}

/// The height that half of the lines exceed.
fn usual_height(areas: &[Area]) -> f32 {
    let mut heights: Vec<f32> = areas.iter().map(|area| area.height().min(area.width())).collect();
    heights.sort_by(f32::total_cmp);
    heights.get(heights.len() / 2).copied().unwrap_or(20.0).max(1.0)
}

fn tables(lines: &[Line], areas: &[Area], frame: &Frame, height: f32, ground: &Ground) -> Vec<Filled> {
    if lines.is_empty() {
        return Vec::new();
    }
    let rules = Rules::on(ground, height);
    let words: Vec<Area> = lines
        .iter()
        .zip(areas)
        .flat_map(|(line, area)| {
            let words: Vec<Area> = line.words.iter().map(|word| frame.area(&word.outline)).collect();
            if words.is_empty() { vec![*area] } else { words }
        })
        .collect();
    let text = grid::Text {
        words: &words,
        lines: areas,
        height,
    };
    grid::grids(&rules, &text, |area| fills::edges(ground, area))
        .iter()
        .map(|grid| tables::fill(grid, lines, areas, frame, height, |area| ground.level(area)))
        .filter(|filled| !filled.lines.is_empty())
        .collect()
}

/// What is to be ordered: lines, and tables in place of theirs.
fn items(lines: &[Line], areas: &[Area], tables: &[Filled]) -> Vec<Item> {
    let mut in_table = vec![false; lines.len()];
    for line in tables.iter().flat_map(|table| &table.lines) {
        in_table[*line] = true;
    }
    let free = (0..lines.len()).filter(|&line| !in_table[line]).map(|id| Item {
        id,
        area: areas[id],
        label: forms::is_label(&lines[id].text),
    });
    let whole = tables.iter().enumerate().map(|(table, filled)| Item {
        id: lines.len() + table,
        area: filled.area,
        label: false,
    });
    free.chain(whole).collect()
}

/// Lines as a block of one paragraph.
fn whole(
    lines: &[Line],
    areas: &[Area],
    part: std::ops::Range<usize>,
    frame: &Frame,
    kind: BlockKind,
) -> Block {
    let outline = frame.outline(&Area::around(areas));
    let confidence = lines.iter().map(|line| line.confidence).sum::<f32>() / lines.len().max(1) as f32;
    Block {
        outline,
        kind,
        confidence,
        paragraphs: vec![Paragraph {
            outline,
            confidence,
            lines: part,
        }],
    }
}
