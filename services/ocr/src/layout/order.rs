//! The order in which the parts of a page are read: columns one after the other, what spans them before and after.
//!
//! The page is cut into slabs wherever a strip across it is empty. Among all runs of slabs the largest is sought that a
//! gap parts into columns ([`columns`](super::columns)); what stands above it, its columns, and what stands below it are
//! then ordered in the same way (recursive XY cuts, Nagy and Seth 1984, with the runs chosen so that neither a heading
//! over columns nor a blank line through both misleads). What has no columns is read row by row.

use super::columns::{are_columns, rows};
use super::frame::Area;

/// Something with a place on the page: a line, or a whole table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Item {
    /// Which, as its owner counts.
    pub(super) id: usize,
    pub(super) area: Area,
    /// It ends like a label: with a colon.
    pub(super) label: bool,
}

/// Slabs that are looked at for columns, at most; it costs their square.
const MOST_SLABS: usize = 200;

/// The items in reading order, in groups: what is in one group is of one column.
pub(super) fn order(items: Vec<Item>, height: f32) -> Vec<Vec<usize>> {
    let mut groups = Vec::new();
    split(items, height, &mut groups);
    groups
}

/// A run of slabs with columns.
struct Run {
    first: usize,
    last: usize,
    /// The middle of the gap.
    at: f32,
    items: usize,
    gap: f32,
}

fn split(items: Vec<Item>, height: f32, groups: &mut Vec<Vec<usize>>) {
    if items.is_empty() {
        return;
    }
    let slabs = slabs(items);
    let Some(run) = widest_run(&slabs, height) else {
        let items: Vec<Item> = slabs.into_iter().flatten().collect();
        groups.push(rows(&items).into_iter().flatten().map(|item| item.id).collect());
        return;
    };
    let (mut above, mut left, mut right, mut below) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, slab) in slabs.into_iter().enumerate() {
        if place < run.first {
            above.extend(slab);
        } else if place > run.last {
            below.extend(slab);
        } else {
            for item in slab {
                (if item.area.middle().x < run.at {
                    &mut left
                } else {
                    &mut right
                })
                .push(item);
            }
        }
    }
    for part in [above, left, right, below] {
        split(part, height, groups);
    }
}

/// Items that no empty strip across the page parts, from the top.
fn slabs(mut items: Vec<Item>) -> Vec<Vec<Item>> {
    // Boxes of neighbouring lines touch: the letters in them do not.
    const MARGIN: f32 = 0.15;
    items.sort_by(|a, b| a.area.top.total_cmp(&b.area.top));
    let mut slabs: Vec<Vec<Item>> = Vec::new();
    let mut bottom = f32::NEG_INFINITY;
    for item in items {
        let margin = MARGIN * item.area.height();
        match slabs.last_mut() {
            Some(slab) if item.area.top + margin < bottom => slab.push(item),
            _ => slabs.push(vec![item]),
        }
        bottom = bottom.max(item.area.bottom - margin);
    }
    slabs
}

/// The run of slabs with columns that holds the most; of those, the one with the widest gap.
fn widest_run(slabs: &[Vec<Item>], height: f32) -> Option<Run> {
    let mut best: Option<Run> = None;
    let slabs = &slabs[..slabs.len().min(MOST_SLABS)];
    for first in 0..slabs.len() {
        let mut items: Vec<Item> = Vec::new();
        for (last, slab) in slabs.iter().enumerate().skip(first) {
            items.extend(slab);
            let gaps = gaps(&items);
            if gaps.is_empty() {
                break;
            }
            for (from, to) in gaps {
                let better = best
                    .as_ref()
                    .is_none_or(|best| (items.len(), to - from) > (best.items, best.gap));
                if !better {
                    continue;
                }
                let at = (from + to) / 2.0;
                let (left, right): (Vec<Item>, Vec<Item>) =
                    items.iter().copied().partition(|item| item.area.middle().x < at);
                if are_columns(&left, &right, to - from, height) {
                    best = Some(Run {
                        first,
                        last,
                        at,
                        items: items.len(),
                        gap: to - from,
                    });
                }
            }
        }
    }
    best
}

/// The empty strips down the page between items.
fn gaps(items: &[Item]) -> Vec<(f32, f32)> {
    let mut sides: Vec<(f32, f32)> = items
        .iter()
        .map(|item| (item.area.left, item.area.right))
        .collect();
    sides.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut gaps = Vec::new();
    let mut end = f32::INFINITY;
    for (left, right) in sides {
        if left > end {
            gaps.push((end, left));
        }
        end = if end.is_finite() { end.max(right) } else { right };
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: usize, left: f32, top: f32, width: f32) -> Item {
        let area = Area {
            left,
            top,
            right: left + width,
            bottom: top + 10.0,
        };
        Item {
            id,
            area,
            label: false,
        }
    }

    fn flat(items: Vec<Item>) -> Vec<usize> {
        order(items, 10.0).into_iter().flatten().collect()
    }

    /// Two columns of prose whose baselines agree, under a heading.
    fn article(lines: usize) -> Vec<Item> {
        let mut items = vec![item(0, 60.0, 0.0, 280.0)];
        for row in 0..lines {
            // A blank line through both columns, wider than the space under the heading.
            let top = 20.0 + row as f32 * 11.0 + if row >= lines / 2 { 25.0 } else { 0.0 };
            items.push(item(1 + row, 0.0, top, 190.0));
            items.push(item(1 + lines + row, 210.0, top, 190.0));
        }
        items
    }

    #[test]
    fn columns_are_read_one_after_the_other_below_their_heading() {
        assert_eq!(flat(article(8)), (0..17).collect::<Vec<_>>());
    }

    #[test]
    fn what_spans_the_columns_again_comes_after_both() {
        let mut items = article(6);
        items.push(item(13, 0.0, 130.0, 400.0));
        assert_eq!(flat(items), (0..14).collect::<Vec<_>>());
    }

    #[test]
    fn a_table_without_rules_is_read_row_by_row() {
        let items = (0..12)
            .map(|i| item(i, (i % 3) as f32 * 150.0, (i / 3) as f32 * 12.0, 50.0))
            .collect();
        assert_eq!(flat(items), (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn addresses_side_by_side_are_read_one_after_the_other() {
        let left = (0..3).map(|i| item(i, 0.0, i as f32 * 11.0, 90.0));
        let right = (0..3).map(|i| item(3 + i, 200.0, 5.0 + i as f32 * 11.0, 90.0));
        let below = [item(6, 0.0, 80.0, 150.0)];
        assert_eq!(
            flat(left.chain(right).chain(below).collect()),
            (0..7).collect::<Vec<_>>()
        );
    }

    #[test]
    fn lists_of_labels_side_by_side_are_two_columns() {
        let mut items = Vec::new();
        for row in 0..3 {
            let top = row as f32 * 12.0;
            for (column, id) in [(0.0, row * 2), (200.0, 6 + row * 2)] {
                items.push(Item {
                    label: true,
                    ..item(id, column, top, 50.0)
                });
                items.push(item(id + 1, column + 60.0, top, 60.0));
            }
        }
        assert_eq!(flat(items), (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn no_items_have_no_order() {
        assert!(order(Vec::new(), 10.0).is_empty());
    }
}
