//! Grids from rules and the boxes of words.

use super::*;

/// The tables of a page whose words are its lines.
fn found(rules: &Rules, words: &[Area]) -> Vec<Grid> {
    let text = Text {
        words,
        lines: words,
        height: 12.0,
    };
    grids(rules, &text, |_| Vec::new())
}

fn rule(at: f32, from: f32, to: f32) -> Rule {
    Rule { at, from, to }
}

fn text(column: f32, row: f32) -> Area {
    Area {
        left: column,
        top: row,
        right: column + 60.0,
        bottom: row + 12.0,
    }
}

#[test]
fn a_full_grid_has_its_rows_and_columns_and_joined_cells() {
    let rules = Rules {
        along: [0.0, 20.0, 40.0, 60.0].map(|at| rule(at, 0.0, 300.0)).to_vec(),
        across: vec![
            rule(0.0, 0.0, 60.0),
            rule(100.0, 20.0, 60.0),
            rule(200.0, 0.0, 60.0),
            rule(300.0, 0.0, 60.0),
        ],
    };
    let words: Vec<Area> = [4.0, 24.0, 44.0]
        .iter()
        .flat_map(|&y| [10.0, 110.0, 210.0].map(|x| text(x, y)))
        .collect();
    let grids = found(&rules, &words);
    let [grid] = grids.as_slice() else {
        panic!("one table: {grids:?}");
    };
    assert_eq!((grid.rows.len(), grid.columns.len()), (4, 4), "{grid:?}");
    assert!(
        !grid.parts_columns(0, 0, 12.0),
        "no rule parts the first two cells of the first row"
    );
    assert!(grid.parts_columns(0, 1, 12.0) && grid.parts_columns(1, 0, 12.0));
    assert!(grid.parts_rows(0, 0, 12.0));
}

#[test]
fn rules_along_rows_alone_make_a_table_of_what_stands_in_columns() {
    let rules = Rules {
        along: [0.0, 20.0, 60.0].map(|at| rule(at, 0.0, 300.0)).to_vec(),
        across: Vec::new(),
    };
    let words: Vec<Area> = [4.0, 22.0, 34.0, 46.0]
        .iter()
        .flat_map(|&y| [10.0, 110.0].map(|x| text(x, y)))
        .collect();
    let grids = found(&rules, &words);
    assert_eq!(grids.len(), 1);
    assert_eq!(
        grids[0].rows.len(),
        5,
        "three lines fill both columns below the second rule: {grids:?}"
    );
}

#[test]
fn rules_around_prose_are_no_table() {
    let rules = Rules {
        along: [0.0, 40.0, 80.0].map(|at| rule(at, 0.0, 300.0)).to_vec(),
        across: Vec::new(),
    };
    let lines = [4.0, 18.0, 44.0, 58.0].map(|top| Area {
        left: 5.0,
        top,
        right: 290.0,
        bottom: top + 12.0,
    });
    assert!(found(&rules, &lines).is_empty());
}

#[test]
fn a_row_on_another_ground_is_a_row_of_its_own() {
    let rules = Rules {
        along: [0.0, 40.0, 60.0].map(|at| rule(at, 0.0, 300.0)).to_vec(),
        across: Vec::new(),
    };
    let mut words: Vec<Area> = [4.0, 22.0, 44.0]
        .iter()
        .flat_map(|&y| [10.0, 110.0].map(|x| text(x, y)))
        .collect();
    // A second line in the second column alone: no row by its text.
    words.push(text(110.0, 30.0));
    let page = Text {
        words: &words,
        lines: &words,
        height: 12.0,
    };
    let grids = grids(&rules, &page, |_| vec![20.0]);
    assert_eq!(grids[0].rows, [0.0, 20.0, 40.0, 60.0], "{grids:?}");
}
