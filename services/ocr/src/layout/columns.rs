//! Whether a gap between boxes parts columns that are read one after the other, or cells of rows that are read across.
//!
//! Two columns of prose, two groups that do not share their rows, or two lists of labels with values: columns. Short
//! pieces that stand in rows: a table without rules, read row by row.

use super::frame::Area;
use super::order::Item;

/// Baselines that differ by less than this share of a line's height are on one row.
const SAME_ROW: f32 = 0.2;
/// A gutter between prose, at least, in heights of a line.
const NARROWEST: f32 = 0.8;
/// A gutter between anything else.
const WIDE: f32 = 1.5;
/// A gutter between two lists of labels.
const WIDER: f32 = 3.0;
/// Prose is at least so wide, in heights of a line: about twenty letters.
const PROSE: f32 = 10.0;
/// Space above what belongs to a column though nothing stands beside it, at most, in heights of a line.
const LOOSE: f32 = 1.5;

/// Whether what is left and right of a gap are columns. `gap` is its width, `height` that of a usual line.
pub(super) fn are_columns(left: &[Item], right: &[Item], gap: f32, height: f32) -> bool {
    if gap < NARROWEST * height
        || !(hangs_together(left, right, height) && hangs_together(right, left, height))
    {
        return false;
    }
    let (left, right) = (rows(left), rows(right));
    let (fewer, more) = if left.len() <= right.len() {
        (&left, &right)
    } else {
        (&right, &left)
    };
    if more.len() < 3 && fewer.len() < 2 {
        return false;
    }
    let inner: [Vec<Area>; 2] = [
        left.iter()
            .filter_map(|row| row.last())
            .map(|item| item.area)
            .collect(),
        right
            .iter()
            .filter_map(|row| row.first())
            .map(|item| item.area)
            .collect(),
    ];
    if inner.iter().all(|side| is_prose(side, height)) {
        return true;
    }
    if gap < WIDE * height {
        return false;
    }
    let shared = fewer
        .iter()
        .filter(|row| {
            more.iter()
                .any(|other| (middle(row) - middle(other)).abs() < SAME_ROW * height)
        })
        .count();
    if shared * 2 < fewer.len() {
        return true;
    }
    let labels = |rows: &[Vec<&Item>]| {
        rows.iter()
            .filter(|row| row.first().is_some_and(|item| item.label))
            .count()
    };
    gap >= WIDER * height && labels(&left) * 2 >= left.len() && labels(&right) * 2 >= right.len()
}

/// Whether one side keeps close where nothing of the other stands beside it: what is far above or below is another part
/// of the page.
fn hangs_together(side: &[Item], other: &[Item], height: f32) -> bool {
    let beside = Area::around(other.iter().map(|item| &item.area));
    let mut areas: Vec<Area> = side.iter().map(|item| item.area).collect();
    areas.sort_by(|a, b| a.top.total_cmp(&b.top));
    let mut bottom = match areas.first() {
        Some(first) if first.top <= beside.bottom => first.bottom,
        _ => return false,
    };
    for area in &areas[1..] {
        let outside = bottom < beside.top || area.top > beside.bottom;
        if outside && area.top - bottom > LOOSE * height {
            return false;
        }
        bottom = bottom.max(area.bottom);
    }
    bottom >= beside.top
}

/// Boxes that stand beside one another, from the top, each row from the left.
pub(super) fn rows(items: &[Item]) -> Vec<Vec<&Item>> {
    let mut sorted: Vec<&Item> = items.iter().collect();
    sorted.sort_by(|a, b| a.area.middle().y.total_cmp(&b.area.middle().y));
    let mut rows: Vec<Vec<&Item>> = Vec::new();
    for item in sorted {
        match rows.last_mut() {
            Some(row) if row.iter().all(|other| other.area.beside(&item.area)) => row.push(item),
            _ => rows.push(vec![item]),
        }
    }
    for row in &mut rows {
        row.sort_by(|a, b| a.area.left.total_cmp(&b.area.left));
    }
    rows
}

fn middle(row: &[&Item]) -> f32 {
    row.iter().map(|item| item.area.middle().y).sum::<f32>() / row.len() as f32
}

/// Whether lines are those of a paragraph: three or more, wide, and most of them full.
fn is_prose(lines: &[Area], height: f32) -> bool {
    let width = Area::around(lines).width();
    let full = lines.iter().filter(|line| line.width() >= 0.7 * width).count();
    lines.len() >= 3 && width >= PROSE * height && full * 10 >= lines.len() * 6
}
