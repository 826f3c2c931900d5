//! The search against one that tries everything, and its memory against its promise.

use proptest::prelude::*;

use super::*;

/// Costs that are written down.
struct Table {
    states: usize,
    costs: Vec<f32>,
}

impl Costs for Table {
    fn frames(&self) -> usize {
        self.costs.len() / self.states
    }

    fn fill(&self, frame: usize, states: Range<usize>, costs: &mut [f32]) {
        let row = &self.costs[frame * self.states..][..self.states];
        costs.copy_from_slice(&row[states]);
    }
}

/// Costs by formula, of any size.
struct Formula {
    frames: usize,
}

impl Costs for Formula {
    fn frames(&self) -> usize {
        self.frames
    }

    fn fill(&self, frame: usize, states: Range<usize>, costs: &mut [f32]) {
        for (cost, state) in costs.iter_mut().zip(states) {
            *cost = ((frame * 7919 + state * 104_729) % 1009) as f32 / 100.0;
        }
    }
}

fn chain(states: usize) -> Chain {
    let mut chain = Chain::default();
    for state in 0..states {
        chain.push((state % 3) as f32 * 0.1, if state % 2 == 0 { 0.0 } else { 0.7 });
    }
    chain
}

/// The cost of a path, counted anew; infinite if it is none.
fn count(chain: &Chain, costs: &impl Costs, states: &[u32]) -> f64 {
    let passed =
        |from: usize, to: usize| -> f64 { chain.pass[from..to].iter().map(|cost| f64::from(*cost)).sum() };
    let mut cost = [0.0];
    let mut all = 0.0;
    let mut before: Option<usize> = None;
    for (frame, state) in states.iter().map(|state| *state as usize).enumerate() {
        costs.fill(frame, state..state + 1, &mut cost);
        all += f64::from(cost[0]);
        all += match before {
            None if state < REACH => passed(0, state),
            Some(before) if before == state => f64::from(chain.stay[state]),
            Some(before) if before < state && state - before <= REACH => passed(before + 1, state),
            _ => f64::INFINITY,
        };
        before = Some(state);
    }
    let last = before.unwrap_or(0);
    if chain.len() - last > REACH {
        return f64::INFINITY;
    }
    all + passed(last + 1, chain.len())
}

/// The best of all paths, by trying each.
fn try_all(chain: &Chain, costs: &Table, so_far: &mut Vec<u32>) -> f64 {
    if so_far.len() == costs.frames() {
        return count(chain, costs, so_far);
    }
    let from = so_far.last().copied().unwrap_or(0);
    let mut best = f64::INFINITY;
    for state in from..(from + 4).min(chain.len() as u32) {
        so_far.push(state);
        best = best.min(try_all(chain, costs, so_far));
        so_far.pop();
    }
    best
}

proptest! {
    #[test]
    fn no_path_is_cheaper(costs in prop::collection::vec(0.0_f32..4.0, 20..=35)) {
        let states = 5;
        let table = Table { states, costs: costs[..costs.len() / states * states].to_vec() };
        let chain = chain(states);
        let best = try_all(&chain, &table, &mut Vec::new());
        let band = Band::full(table.frames(), states);
        let found = search(&chain, &table, &band, End::Last, &Cancel::default()).expect("a path");
        prop_assert!((found.cost - best).abs() < 1e-4, "{} for {best}", found.cost);
        prop_assert!((count(&chain, &table, &found.states) - best).abs() < 1e-4);
    }
}

#[test]
fn a_search_in_stretches_finds_a_path_as_cheap() {
    // 6,000 × 6,000 cells are more than are kept at once.
    let (frames, states) = (6_000, 6_000);
    let (chain, costs) = (chain(states), Formula { frames });
    let cancel = Cancel::default();
    let long = search(&chain, &costs, &Band::full(frames, states), End::Last, &cancel).expect("a path");
    let counted = count(&chain, &costs, &long.states);
    assert!((counted - long.cost).abs() < 0.1, "{counted} for {}", long.cost);
    // A band around the path holds it, and is searched whole.
    let band = Band::around(&long.states, states, 50);
    assert!(band.cells() < MOST_BACK);
    let short = search(&chain, &costs, &band, End::Last, &cancel).expect("a path");
    // Paths of the same cost may differ.
    assert!(
        (short.cost - long.cost).abs() < 0.1,
        "{} for {}",
        short.cost,
        long.cost
    );
}

#[test]
fn what_cannot_be_reached_is_a_misfit() {
    let chain = chain(40);
    let costs = Formula { frames: 12 };
    let found = search(&chain, &costs, &Band::full(12, 40), End::Last, &Cancel::default());
    assert!(matches!(found, Err(Error::Misfit)), "{found:?}");
    let found = search(&chain, &costs, &Band::full(12, 40), End::Open, &Cancel::default()).expect("a path");
    assert!(found.states.is_sorted());
}

#[test]
fn who_no_longer_waits_is_not_worked_for() {
    let cancel = Cancel::default();
    cancel.cancel();
    let costs = Formula { frames: 2_000 };
    let found = search(
        &chain(2_000),
        &costs,
        &Band::full(2_000, 2_000),
        End::Last,
        &cancel,
    );
    assert!(matches!(found, Err(Error::Cancelled)));
}

#[test]
fn bands_never_go_back() {
    let band = Band::of(vec![0..3, 5..9, 2..4, 6..7], 10);
    let states: Vec<_> = (0..4).map(|frame| band.states(frame)).collect();
    assert_eq!(states, [0..3, 2..9, 2..9, 6..9]);
    let line = Band::along(&[1.0; 10], 100, 5);
    assert_eq!((line.states(0), line.states(9)), (0..6, 85..96));
    let late = Band::along(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0], 100, 5);
    assert_eq!((late.states(4), late.states(5)), (0..6, 45..56));
}
