//! The cheapest way through a chain of states, one state a frame: what both engines search with.
//!
//! A frame stays in the state of the frame before, or moves on by one, two or three; a state that is passed over costs
//! what the chain says (for a blank of CTC nothing, for a letter infinitely much). Every frame has exactly one cost, so
//! ways of all shapes compare (Viterbi 1967; for CTC as `torchaudio.functional.forced_align`).
//!
//! Only the states of a [`Band`] are looked at. Where all back pointers would take more than 32 MiB, only the costs at
//! every few hundredth frame are kept and the stretches between are searched again on the way back (Grice, Hughey and
//! Speck 1997): twice the work, and memory for a stretch at a time. Nothing here knows what a state is.

mod band;
mod lanes;

use std::ops::Range;

pub use band::Band;

use crate::Error;
use crate::domain::Cancel;
use lanes::{Block, LANES, PACKED, Reached, blocks, blocks_mut};

/// States in a row. Costs are 0 or more; infinite ones forbid.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// What it costs to stay in a state for another frame.
    stay: Vec<f32>,
    /// What it costs to pass over a state.
    pass: Vec<f32>,
}

/// What each frame costs in each state.
pub trait Costs {
    /// The number of frames.
    fn frames(&self) -> usize;

    /// Writes the costs of `frame` in `states`; infinite ones forbid.
    fn fill(&self, frame: usize, states: Range<usize>, costs: &mut [f32]);
}

/// Where a way may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In the last state, or so near that the rest may be passed over.
    Last,
    /// Anywhere.
    Open,
}

/// The cheapest way.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The state of each frame, never falling.
    pub states: Vec<u32>,
    /// What it costs.
    pub cost: f64,
}

/// The most states by which a frame moves on.
const REACH: usize = 3;
/// Back pointers that are kept at once, two bits each.
const MOST_BACK: usize = 128 << 20;
/// Cells between two looks at the cancel flag.
const LOOK: usize = 1 << 20;

/// One front of costs that goes through the frames.
struct Sweep<'a, C: ?Sized> {
    chain: &'a Chain,
    costs: &'a C,
    band: &'a Band,
    end: End,
    /// The most states by which a frame of this chain moves on.
    stride: usize,
    /// What staying in each state costs.
    stay: Vec<f32>,
    /// For each state, what passing the one before it costs, and the two before it.
    pass: [Vec<f32>; 2],
    /// The costs of the ways so far, behind [`REACH`] states that cannot be. As all that goes by states, it ends with a
    /// block more than there are, so that blocks need not be cut.
    front: Vec<f32>,
    next: Vec<f32>,
    /// What was written into them.
    written: [Range<usize>; 2],
    /// Taken off the front, which is kept near 0 so that nothing is lost in 32 bits.
    base: f64,
    emission: Vec<f32>,
}

// === impl Chain ===

impl Chain {
    /// Appends a state.
    pub fn push(&mut self, stay: f32, pass: f32) {
        self.stay.push(stay);
        self.pass.push(pass);
    }

    /// Forbids to pass over the last state.
    pub fn insist(&mut self) {
        if let Some(pass) = self.pass.last_mut() {
            *pass = f32::INFINITY;
        }
    }

    /// The number of states.
    pub const fn len(&self) -> usize {
        self.stay.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.stay.is_empty()
    }

    /// The states of a range alone.
    #[must_use]
    pub fn slice(&self, states: Range<usize>) -> Self {
        Self {
            stay: self.stay[states.clone()].to_vec(),
            pass: self.pass[states].to_vec(),
        }
    }
}

/// Finds the cheapest way of all frames through the chain.
///
/// # Errors
/// [`Error::Misfit`] if there is none, [`Error::Cancelled`].
pub fn search(
    chain: &Chain,
    costs: &(impl Costs + ?Sized),
    band: &Band,
    end: End,
    cancel: &Cancel,
) -> Result<Path, Error> {
    let frames = costs.frames();
    if frames == 0 || chain.is_empty() {
        return Err(Error::Misfit);
    }
    debug_assert_eq!(band.frames(), frames, "a band of these frames");
    let widest = (0..frames).map(|frame| band.states(frame).len()).max();
    let widest = widest.unwrap_or(0).max(1);
    let stretch = if widest.saturating_mul(frames) <= MOST_BACK {
        frames
    } else {
        // As many frames between two fronts as fronts, unless even those are too many.
        (frames.isqrt() + 1).min(MOST_BACK / widest).max(1)
    };
    let mut sweep = Sweep::new(chain, costs, band, end);
    let mut back = Back::for_rows(stretch.min(frames), widest);
    // The front before each stretch but the first.
    let mut fronts: Vec<(Range<usize>, Vec<f32>)> = Vec::new();
    let mut work = 0;
    for frame in 0..frames {
        if frame > 0 && frame % stretch == 0 {
            fronts.push(sweep.save());
            back.clear();
        }
        look(&mut work, band.states(frame).len(), cancel)?;
        sweep.step(frame, &mut back)?;
    }
    let (cost, mut state) = sweep.finish()?;
    let mut states = vec![0_u32; frames];
    let mut from = (frames - 1) / stretch * stretch;
    let mut to = frames;
    loop {
        for frame in (from..to).rev() {
            states[frame] = state as u32;
            // Before the first frame there is nothing to go back to.
            state = state.saturating_sub(back.of(frame - from, state));
        }
        if from == 0 {
            break;
        }
        (to, from) = (from, from - stretch);
        back.clear();
        if from == 0 {
            sweep.reset();
        } else {
            // One front for each stretch behind the first.
            let (range, front) = &fronts[from / stretch - 1];
            sweep.restore(range, front);
        }
        for frame in from..to {
            look(&mut work, band.states(frame).len(), cancel)?;
            sweep.step(frame, &mut back)?;
        }
    }
    Ok(Path { states, cost })
}

fn look(work: &mut usize, cells: usize, cancel: &Cancel) -> Result<(), Error> {
    *work += cells;
    if *work >= LOOK {
        *work = 0;
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
    }
    Ok(())
}

/// By how many states each cell of a stretch of frames moved on.
#[derive(Debug)]
struct Back {
    /// Rows of packed blocks.
    moves: Vec<u8>,
    /// The first state of each frame, and where its moves begin.
    rows: Vec<(usize, usize)>,
}

// === impl Back ===

impl Back {
    fn for_rows(rows: usize, widest: usize) -> Self {
        Self {
            moves: Vec::with_capacity(rows * widest.div_ceil(LANES) * PACKED),
            rows: Vec::with_capacity(rows),
        }
    }

    fn clear(&mut self) {
        self.moves.clear();
        self.rows.clear();
    }

    /// Begins a frame whose blocks are pushed next.
    fn begin(&mut self, first: usize) {
        self.rows.push((first, self.moves.len()));
    }

    fn of(&self, row: usize, state: usize) -> usize {
        let (first, begin) = self.rows[row];
        lanes::moved(&self.moves[begin..], state - first)
    }
}

// === impl Sweep ===

impl<'a, C: Costs + ?Sized> Sweep<'a, C> {
    fn new(chain: &'a Chain, costs: &'a C, band: &'a Band, end: End) -> Self {
        let pass_of = |state: usize, back: usize| -> f32 {
            let from = state.saturating_sub(back);
            if state < back {
                return f32::INFINITY;
            }
            chain.pass[from..state].iter().sum()
        };
        let padding = [f32::INFINITY; LANES];
        let padded = |states: &mut dyn Iterator<Item = f32>| states.chain(padding).collect::<Vec<f32>>();
        let pass = [1, 2].map(|back| padded(&mut (0..chain.len()).map(|state| pass_of(state, back))));
        let blank = vec![f32::INFINITY; REACH + chain.len() + LANES];
        let mut sweep = Self {
            chain,
            stay: padded(&mut chain.stay.iter().copied()),
            costs,
            band,
            end,
            stride: if pass[1].iter().all(|cost| cost.is_infinite()) {
                REACH - 1
            } else {
                REACH
            },
            pass,
            next: blank.clone(),
            front: blank,
            written: [0..0, 0..0],
            base: 0.0,
            emission: Vec::new(),
        };
        sweep.reset();
        sweep
    }

    /// Before the first frame: what would move from here reaches the first states.
    fn reset(&mut self) {
        self.front.fill(f32::INFINITY);
        self.next.fill(f32::INFINITY);
        self.front[REACH - 1] = 0.0;
        self.written = [0..0, 0..0];
        self.base = 0.0;
    }

    fn save(&self) -> (Range<usize>, Vec<f32>) {
        let range = self.written[0].clone();
        (
            range.clone(),
            self.front[range.start + REACH..range.end + REACH].to_vec(),
        )
    }

    fn restore(&mut self, range: &Range<usize>, front: &[f32]) {
        self.reset();
        self.front[REACH - 1] = f32::INFINITY;
        self.front[range.start + REACH..range.end + REACH].copy_from_slice(front);
        self.written[0] = range.clone();
    }

    /// The states of a frame that its band allows, that can be reached by then, and from which the end can be.
    fn states(&self, frame: usize) -> Range<usize> {
        let band = self.band.states(frame);
        let reached = self.stride * (frame + 1);
        let left = match self.end {
            End::Last => REACH + self.stride * (self.costs.frames() - 1 - frame),
            End::Open => self.chain.len(),
        };
        band.start.max(self.chain.len().saturating_sub(left))..band.end.min(reached)
    }

    /// Takes the front over a frame.
    fn step(&mut self, frame: usize, back: &mut Back) -> Result<(), Error> {
        let states = self.states(frame);
        if states.is_empty() {
            return Err(Error::Misfit);
        }
        let (begin, count) = (states.start, states.len());
        // Beyond the band every way is infinitely dear.
        self.emission.clear();
        self.emission.resize(count.next_multiple_of(LANES), f32::INFINITY);
        self.costs
            .fill(frame, states.clone(), &mut self.emission[..count]);
        // What an older frame left beyond this band.
        let old = self.written[1].clone();
        self.next[old.start + REACH..old.end + REACH].fill(f32::INFINITY);
        back.begin(begin);
        let from = [REACH, REACH - 1, REACH - 2, 0].map(|at| blocks(&self.front, begin + at, count));
        let stay = blocks(&self.stay, begin, count);
        let [one, two] = [0, 1].map(|at| blocks(&self.pass[at], begin, count));
        let emission = blocks(&self.emission, 0, count);
        let next = blocks_mut(&mut self.next, begin + REACH, count);
        let mut least: Block = [f32::INFINITY; LANES];
        for at in 0..next.len() {
            let reached = Reached {
                from: [&from[0][at], &from[1][at], &from[2][at], &from[3][at]],
                stay: &stay[at],
                pass: [&one[at], &two[at]],
            };
            let (best, moves) = reached.best(&emission[at]);
            for (least, cost) in least.iter_mut().zip(best) {
                *least = if cost < *least { cost } else { *least };
            }
            next[at] = best;
            back.moves.extend_from_slice(&moves);
        }
        let least = least.into_iter().fold(f32::INFINITY, f32::min);
        if least == f32::INFINITY {
            return Err(Error::Misfit);
        }
        if least > 1_000.0 {
            for cost in next.as_flattened_mut() {
                *cost -= least;
            }
            self.base += f64::from(least);
        }
        std::mem::swap(&mut self.front, &mut self.next);
        let [now, before] = &mut self.written;
        std::mem::swap(now, before);
        *now = states;
        // Before the first frame there was a state that is none.
        self.next[REACH - 1] = f32::INFINITY;
        self.front[REACH - 1] = f32::INFINITY;
        Ok(())
    }

    /// The cost of the best way, and its last state.
    fn finish(&self) -> Result<(f64, usize), Error> {
        let last = self.chain.len() - 1;
        let range = self.written[0].clone();
        let cost = |state: usize| {
            if range.contains(&state) {
                self.front[state + REACH]
            } else {
                f32::INFINITY
            }
        };
        let mut best = (f32::INFINITY, last);
        match self.end {
            End::Last => {
                let mut passed = 0.0;
                for state in (0..=last).rev().take(REACH) {
                    let all = cost(state) + passed;
                    if all < best.0 {
                        best = (all, state);
                    }
                    passed += self.chain.pass[state];
                }
            }
            End::Open => {
                for state in range.clone() {
                    if cost(state) < best.0 {
                        best = (cost(state), state);
                    }
                }
            }
        }
        if best.0 == f32::INFINITY {
            return Err(Error::Misfit);
        }
        Ok((f64::from(best.0) + self.base, best.1))
    }
}

#[cfg(test)]
mod tests;
