//! What stands in the cells of a table.

use super::columns::rows;
use super::frame::{Area, Frame};
use super::grid::Grid;
use super::order::Item;
use crate::domain::{Cell, Line, Span, Table};

/// A table and its lines, in the order in which they are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Filled {
    pub(super) table: Table,
    pub(super) area: Area,
    /// As places in the lines that were given.
    pub(super) lines: Vec<usize>,
}

/// A stretch of words of one line in one cell.
struct Piece {
    span: Span,
    area: Area,
}

/// Fills the cells of a grid with the lines that stand in it. `areas` are the boxes of the lines; `ground` tells the grey
/// level behind a row.
pub(super) fn fill(
    grid: &Grid,
    lines: &[Line],
    areas: &[Area],
    frame: &Frame,
    height: f32,
    ground: impl Fn(&Area) -> Option<u8>,
) -> Filled {
    let (row_count, column_count) = (grid.rows.len() - 1, grid.columns.len() - 1);
    let mut pieces: Vec<Vec<Vec<Piece>>> = (0..row_count)
        .map(|_| (0..column_count).map(|_| Vec::new()).collect())
        .collect();
    for (place, (line, area)) in lines.iter().zip(areas).enumerate() {
        if grid.area.holds(area.middle()) {
            for (column, piece) in parted(grid, place, line, area, frame) {
                pieces[grid.row(area.middle().y)][column].push(piece);
            }
        }
    }
    let mut taken = vec![vec![false; column_count]; row_count];
    let mut table = Table {
        outline: frame.outline(&grid.area),
        columns: column_count,
        ..Table::default()
    };
    for row in 0..row_count {
        let mut cells = Vec::new();
        for column in 0..column_count {
            if taken[row][column] {
                continue;
            }
            let (rows, columns) = reach(grid, row, column, height);
            let mut held = Vec::new();
            for row in row..rows {
                for column in column..columns {
                    taken[row][column] = true;
                    held.append(&mut pieces[row][column]);
                }
            }
            let mut cell = cell(held, lines);
            cell.outline = frame.outline(&grid.cell((row, rows), (column, columns)));
            (cell.column, cell.row_span, cell.column_span) = (column, rows - row, columns - column);
            cells.push(cell);
        }
        table.rows.push(cells);
    }
    let spans = table.rows.iter().flatten().flat_map(|cell| &cell.spans);
    let mut order: Vec<usize> = Vec::new();
    for span in spans {
        if !order.contains(&span.line) {
            order.push(span.line);
        }
    }
    let sum: f32 = order.iter().map(|&line| lines[line].confidence).sum();
    table.confidence = sum / order.len().max(1) as f32;
    table.header_rows = usize::from(has_head(&table, grid, ground));
    Filled {
        table,
        area: grid.area,
        lines: order,
    }
}

/// The stretches of a line in the columns of a grid.
fn parted(grid: &Grid, place: usize, line: &Line, area: &Area, frame: &Frame) -> Vec<(usize, Piece)> {
    let mut parts: Vec<(usize, Piece)> = Vec::new();
    for (word, area) in line
        .words
        .iter()
        .map(|word| frame.area(&word.outline))
        .enumerate()
    {
        let column = grid.column(area.middle().x);
        match parts.last_mut() {
            Some((last, piece)) if *last == column => {
                piece.span.words.end = word + 1;
                piece.area = Area::around([&piece.area, &area]);
            }
            _ => {
                let span = Span {
                    line: place,
                    words: word..word + 1,
                };
                parts.push((column, Piece { span, area }));
            }
        }
    }
    if parts.is_empty() {
        let span = Span {
            line: place,
            words: 0..0,
        };
        parts.push((grid.column(area.middle().x), Piece { span, area: *area }));
    }
    parts
}

/// One past the last row and column of the cell that begins here.
fn reach(grid: &Grid, row: usize, column: usize, height: f32) -> (usize, usize) {
    let (mut rows, mut columns) = (row + 1, column + 1);
    while columns < grid.columns.len() - 1 && !grid.parts_columns(row, columns - 1, height) {
        columns += 1;
    }
    while rows < grid.rows.len() - 1 && !grid.parts_rows(rows - 1, column, height) {
        rows += 1;
    }
    (rows, columns)
}

fn cell(pieces: Vec<Piece>, lines: &[Line]) -> Cell {
    let items: Vec<Item> = pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| Item {
            id,
            area: piece.area,
            label: false,
        })
        .collect();
    let order: Vec<usize> = rows(&items).into_iter().flatten().map(|item| item.id).collect();
    let spans: Vec<Span> = order.into_iter().map(|id| pieces[id].span.clone()).collect();
    let texts: Vec<&str> = spans
        .iter()
        .map(|span| text_of(&lines[span.line], span))
        .collect();
    let sum: f32 = spans.iter().map(|span| lines[span.line].confidence).sum();
    Cell {
        text: texts.join(" "),
        confidence: sum / spans.len().max(1) as f32,
        spans,
        ..Cell::default()
    }
}

/// The text of words of a line.
pub(super) fn text_of<'a>(line: &'a Line, span: &Span) -> &'a str {
    match line.words.get(span.words.clone()).unwrap_or_default() {
        [] => &line.text,
        words => {
            let (first, last) = (&words[0], &words[words.len() - 1]);
            line.text
                .get(first.range.start..last.range.end)
                .unwrap_or(&line.text)
        }
    }
}

/// Whether the first row is a head: on another ground than the second, or words above numbers.
fn has_head(table: &Table, grid: &Grid, ground: impl Fn(&Area) -> Option<u8>) -> bool {
    let [first, rest @ ..] = table.rows.as_slice() else {
        return false;
    };
    if rest.is_empty() || first.iter().all(|cell| cell.text.is_empty()) {
        return false;
    }
    let behind = |row: usize| ground(&grid.cell((row, row + 1), (0, grid.columns.len() - 1)));
    if let (Some(head), Some(body)) = (behind(0), behind(1))
        && head.abs_diff(body) > 12
    {
        return true;
    }
    let numbers = |cell: &Cell| cell.text.chars().any(|c| c.is_ascii_digit());
    !first.iter().any(numbers) && rest.iter().flatten().any(numbers)
}
