//! The grid of a table, from its rules: where its rows and columns are, and which of them a cell takes.
//!
//! A table is three rules or more of the same length below one another, or a frame with rules in it. Columns are parted
//! by rules, or, where there are none, by gaps that go through all rows. Rows are parted by rules; between two rules that
//! stand far apart, by lines of text that fill the columns.

use super::frame::Area;
use super::rules::{Rule, Rules};

/// The rows and columns of a table, in a page's frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grid {
    pub(super) area: Area,
    /// The limits of the rows, one more than there are.
    pub(super) rows: Vec<f32>,
    /// The limits of the columns, one more than there are.
    pub(super) columns: Vec<f32>,
    /// The rules on which rows begin and end; of rows parted by text alone there are none.
    along: Vec<Rule>,
    /// The rules between columns; none if gaps part them.
    across: Vec<Rule>,
}

/// Rules that are this share of a line's height apart are at one place.
const SAME: f32 = 0.35;
/// A gap between columns without rules, at least, in heights of a line.
const GAP: f32 = 0.35;
/// Between two rules without text and without a frame a table ends, if they stand further apart, in heights of a line.
const EMPTY: f32 = 1.2;
/// A rule begins a row if it runs along this share of the table.
const SHORTEST_ROW: f32 = 0.15;
/// A rule parts two cells if it runs along this share of them.
const COVERED: f32 = 0.5;

/// Where text stands on a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) words: &'a [Area],
    pub(super) lines: &'a [Area],
    /// The height of a usual line.
    pub(super) height: f32,
}

/// The tables on a page. `edges` tells where the ground of an area changes.
pub(super) fn grids(rules: &Rules, text: &Text<'_>, edges: impl Fn(&Area) -> Vec<f32>) -> Vec<Grid> {
    let height = text.height;
    let bars = bars(&rules.along, height);
    let mut used = vec![false; bars.len()];
    let mut grids = Vec::new();
    for first in 0..bars.len() {
        if used[first] {
            continue;
        }
        let alike = |bar: &Rule| {
            let tolerance = height.max((bar.to - bar.from) * 0.015);
            (bar.from - bars[first].from).abs() <= tolerance && (bar.to - bars[first].to).abs() <= tolerance
        };
        let chain: Vec<usize> = (first..bars.len())
            .filter(|&i| !used[i] && alike(&bars[i]))
            .collect();
        for i in &chain {
            used[*i] = true;
        }
        let chain: Vec<Rule> = chain.into_iter().map(|i| bars[i]).collect();
        for run in tables_of(&chain, rules, text.lines, height) {
            grids.extend(Grid::within(run, rules, text, &edges));
        }
    }
    // A frame around a table is found with the table in it.
    let inner = grids.clone();
    grids.retain(|grid| {
        let within = |other: &Grid| other.area != grid.area && grid.area.holds(other.area.middle());
        !inner
            .iter()
            .any(|other| within(other) && other.area.height() < grid.area.height())
    });
    grids
}

/// Rules at one height joined to one.
fn bars(rules: &[Rule], height: f32) -> Vec<Rule> {
    let mut sorted = rules.to_vec();
    sorted.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut bars: Vec<Rule> = Vec::new();
    for rule in sorted {
        let joins = |bar: &&mut Rule| {
            let apart = rule.from.max(bar.from) - rule.to.min(bar.to);
            (rule.at - bar.at).abs() <= SAME * height && apart <= 1.5 * height
        };
        match bars.iter_mut().rev().find(joins) {
            Some(bar) => {
                bar.from = bar.from.min(rule.from);
                bar.to = bar.to.max(rule.to);
            }
            None => bars.push(rule),
        }
    }
    bars
}

/// Parts of a chain of equal rules that are tables, each with whether it has a frame.
fn tables_of<'a>(chain: &'a [Rule], rules: &Rules, lines: &[Area], height: f32) -> Vec<(&'a [Rule], bool)> {
    let framed: Vec<bool> = chain
        .windows(2)
        .map(|pair| {
            let side = |x: f32| covered(&rules.across, x, height, pair[0].at, pair[1].at) >= 0.7;
            side(pair[0].from) && side(pair[0].to)
        })
        .collect();
    let ends = |band: usize| {
        let (above, below) = (chain[band], chain[band + 1]);
        let empty = !lines.iter().any(|line| {
            let middle = line.middle();
            (above.at..below.at).contains(&middle.y) && (above.from..above.to).contains(&middle.x)
        });
        !framed[band] && empty && below.at - above.at > EMPTY * height
    };
    let mut parts = Vec::new();
    let mut first = 0;
    for band in 0..framed.len() {
        if ends(band) {
            parts.push((first, band));
            first = band + 1;
        } else if band > first && framed[band] != framed[band - 1] {
            parts.push((first, band));
            first = band;
        }
    }
    parts.push((first, chain.len().saturating_sub(1)));
    parts
        .into_iter()
        .filter(|&(first, last)| last > first)
        .map(|(first, last)| (&chain[first..=last], framed[first]))
        .filter(|(run, framed)| *framed || run.len() > 2)
        .collect()
}

/// Which share of a stretch the rules at a place run along.
fn covered(rules: &[Rule], at: f32, height: f32, from: f32, to: f32) -> f32 {
    let near = rules.iter().filter(|rule| (rule.at - at).abs() <= SAME * height);
    let length: f32 = near
        .map(|rule| (rule.to.min(to) - rule.from.max(from)).max(0.0))
        .sum();
    length / (to - from).max(1.0)
}

/// Places, those close together as one: their mean.
fn clustered(mut places: Vec<f32>, apart: f32) -> Vec<f32> {
    places.sort_by(f32::total_cmp);
    let mut clusters: Vec<Vec<f32>> = Vec::new();
    for place in places {
        match clusters.last_mut() {
            Some(cluster) if place - cluster[0] <= apart => cluster.push(place),
            _ => clusters.push(vec![place]),
        }
    }
    clusters
        .into_iter()
        .map(|cluster| cluster.iter().sum::<f32>() / cluster.len() as f32)
        .collect()
}

// === impl Grid ===

impl Grid {
    fn within(
        (run, framed): (&[Rule], bool),
        rules: &Rules,
        text: &Text<'_>,
        edges: impl Fn(&Area) -> Vec<f32>,
    ) -> Option<Self> {
        let height = text.height;
        let (top, bottom) = (run.first()?.at, run.last()?.at);
        let (left, right) = (run[0].from, run[0].to);
        let area = Area {
            left,
            top,
            right,
            bottom,
        };
        let inside = |area_of: &&Area| area.holds(area_of.middle());
        let words: Vec<Area> = text.words.iter().filter(inside).copied().collect();
        let lines: Vec<Area> = text.lines.iter().filter(inside).copied().collect();
        let part_of = |rule: &&Rule, from: f32, to: f32, low: f32, high: f32| {
            let shared = rule.to.min(to) - rule.from.max(from);
            rule.at > low - SAME * height
                && rule.at < high + SAME * height
                && shared >= 0.6 * (rule.to - rule.from)
        };
        let mut along: Vec<Rule> = rules
            .along
            .iter()
            .filter(|rule| {
                rule.to - rule.from > SHORTEST_ROW * area.width() && part_of(rule, left, right, top, bottom)
            })
            .copied()
            .collect();
        let ruled = |y: f32| along.iter().any(|rule| (rule.at - y).abs() <= SAME * height);
        let filled: Vec<Rule> = edges(&area)
            .into_iter()
            .filter(|&y| !ruled(y))
            .map(|at| Rule {
                at,
                from: left,
                to: right,
            })
            .collect();
        along.extend(filled);
        let across: Vec<Rule> = rules
            .across
            .iter()
            .filter(|rule| part_of(rule, top, bottom, left, right))
            .copied()
            .collect();
        let rows = clustered(along.iter().map(|rule| rule.at).collect(), SAME * height);
        let between: Vec<f32> = across.iter().map(|rule| rule.at).collect();
        let between: Vec<f32> = clustered(between, SAME * height)
            .into_iter()
            .filter(|&x| x > left + height && x < right - height)
            .collect();
        let by_gaps = between.is_empty();
        let between = if by_gaps {
            gaps(&words, &area, height)
        } else {
            between
        };
        let columns: Vec<f32> = [left].into_iter().chain(between).chain([right]).collect();
        let mut grid = Self {
            area,
            rows,
            columns,
            along,
            across: if by_gaps { Vec::new() } else { across },
        };
        grid.part_rows(&lines);
        let filled = grid.filled(&lines);
        let wide = filled.iter().filter(|columns| **columns > 1).count();
        let cells: usize = filled.iter().sum();
        let is_table = filled.len() > 1 && grid.columns.len() > 2 && cells > 2;
        (is_table && (framed || wide * 2 >= filled.len())).then_some(grid)
    }

    /// Parts what lies between two rules into rows of text, if each of them fills the first column and another.
    fn part_rows(&mut self, lines: &[Area]) {
        let mut rows = Vec::new();
        for (&top, &bottom) in self.rows.iter().zip(&self.rows[1..]) {
            rows.push(top);
            let mut within: Vec<Area> = lines
                .iter()
                .filter(|line| (top..bottom).contains(&line.middle().y))
                .copied()
                .collect();
            within.sort_by(|a, b| a.middle().y.total_cmp(&b.middle().y));
            let mut texts: Vec<Vec<Area>> = Vec::new();
            for line in within {
                match texts.last_mut() {
                    Some(row) if row.iter().all(|other| other.beside(&line)) => row.push(line),
                    _ => texts.push(vec![line]),
                }
            }
            let full = |row: &Vec<Area>| {
                let first = row
                    .iter()
                    .any(|line| self.column(line.left.max(self.area.left)) == 0);
                first && row.iter().any(|line| self.column(line.middle().x) > 0)
            };
            if texts.len() > 1 && texts.iter().all(full) {
                let limits = texts.windows(2).map(|pair| {
                    let (above, below) = (Area::around(&pair[0]), Area::around(&pair[1]));
                    (above.bottom + below.top) / 2.0
                });
                rows.extend(limits);
            }
        }
        rows.extend(self.rows.last());
        self.rows = rows;
    }

    /// For each row, how many columns hold text.
    fn filled(&self, lines: &[Area]) -> Vec<usize> {
        (1..self.rows.len())
            .map(|row| {
                let within = lines.iter().filter(|line| self.row(line.middle().y) == row - 1);
                let mut columns: Vec<usize> = within.map(|line| self.column(line.middle().x)).collect();
                columns.sort_unstable();
                columns.dedup();
                columns.len()
            })
            .collect()
    }

    /// The row at a height.
    pub(super) fn row(&self, y: f32) -> usize {
        place(&self.rows, y)
    }

    /// The column at a place.
    pub(super) fn column(&self, x: f32) -> usize {
        place(&self.columns, x)
    }

    /// Whether a rule, or a gap where columns have no rules, parts a cell from the one to its right.
    pub(super) fn parts_columns(&self, row: usize, column: usize, height: f32) -> bool {
        let (top, bottom) = (self.rows[row], self.rows[row + 1]);
        self.across.is_empty()
            || covered(&self.across, self.columns[column + 1], height, top, bottom) >= COVERED
    }

    /// Whether a rule, or a line of text, parts a cell from the one below.
    pub(super) fn parts_rows(&self, row: usize, column: usize, height: f32) -> bool {
        let limit = self.rows[row + 1];
        let ruled = self
            .along
            .iter()
            .any(|rule| (rule.at - limit).abs() <= SAME * height);
        let (left, right) = (self.columns[column], self.columns[column + 1]);
        !ruled || covered(&self.along, limit, height, left, right) >= COVERED
    }

    pub(super) fn cell(&self, rows: (usize, usize), columns: (usize, usize)) -> Area {
        Area {
            left: self.columns[columns.0],
            top: self.rows[rows.0],
            right: self.columns[columns.1],
            bottom: self.rows[rows.1],
        }
    }
}

/// Between which of the limits a value lies; the first or the last beyond them.
fn place(limits: &[f32], value: f32) -> usize {
    let inner = limits.get(1..limits.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().filter(|&&limit| value >= limit).count()
}

/// The middles of the gaps that go through all words of a table but those of its widest lines.
fn gaps(words: &[Area], area: &Area, height: f32) -> Vec<f32> {
    let mut sides: Vec<(f32, f32)> = words
        .iter()
        .filter(|word| word.width() < 0.6 * area.width())
        .map(|word| (word.left, word.right))
        .collect();
    sides.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut gaps = Vec::new();
    let mut end = f32::INFINITY;
    for (left, right) in sides {
        if left - end >= GAP * height {
            gaps.push((end + left) / 2.0);
        }
        end = if end.is_finite() { end.max(right) } else { right };
    }
    gaps
}

#[cfg(test)]
mod tests;
