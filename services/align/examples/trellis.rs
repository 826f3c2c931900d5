//! Finds the way of given letters through given emissions, as the engine ctc does, for `tests/bench/align.py`. No network
//! is run and no audio is read.
//!
//! Usage: `trellis`, with a line of JSON on standard input: `emissions`, a file of log-probabilities (32-bit little-endian
//! floats, a row of `columns` a frame, the blank's first); `letters`, the columns to go through; `rounds`. It prints
//! `path`, the column of each frame, and of a search the median `wall_seconds` and the mean `cpu_seconds`.

use std::error::Error;
use std::io::{self, Write as _};
use std::ops::Range;
use std::time::{Duration, Instant};

use polyphony_align::domain::Cancel;
use polyphony_align::trellis::{Band, Chain, Costs, End, search};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Request {
    emissions: String,
    columns: usize,
    letters: Vec<u32>,
    rounds: usize,
}

/// What each state costs in each frame.
struct Emissions {
    rows: Vec<f32>,
    columns: usize,
    /// The column of each state.
    states: Vec<u32>,
}

const BLANK: u32 = 0;

impl Costs for Emissions {
    fn frames(&self) -> usize {
        self.rows.len() / self.columns
    }

    fn fill(&self, frame: usize, states: Range<usize>, costs: &mut [f32]) {
        let row = &self.rows[frame * self.columns..][..self.columns];
        for (cost, column) in costs.iter_mut().zip(&self.states[states]) {
            *cost = -row[*column as usize];
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let request: Request = serde_json::from_reader(io::stdin().lock())?;
    let bytes = std::fs::read(&request.emissions)?;
    let (floats, _) = bytes.as_chunks::<4>();
    let rows = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let (mut walls, mut path) = (Vec::new(), Vec::new());
    let mut emissions = Emissions {
        rows,
        columns: request.columns,
        states: Vec::new(),
    };
    let rounds = request.rounds.max(1);
    let cpu = cpu_seconds()?;
    for _ in 0..rounds {
        let began = Instant::now();
        let (chain, states) = spell(&request.letters);
        emissions.states = states;
        let band = Band::full(emissions.frames(), chain.len());
        let found = search(&chain, &emissions, &band, End::Last, &Cancel::default())?;
        path = found.states;
        walls.push(began.elapsed().as_secs_f64());
    }
    let cpu = (cpu_seconds()? - cpu) / rounds as f64;
    walls.sort_by(f64::total_cmp);
    let path: Vec<u32> = path
        .iter()
        .map(|state| emissions.states[*state as usize])
        .collect();
    let told = json!({ "path": path, "wall_seconds": walls[rounds / 2], "cpu_seconds": cpu });
    Ok(writeln!(io::stdout(), "{told}")?)
}

/// Each letter once, a blank between two that are the same, any number of blanks elsewhere.
fn spell(letters: &[u32]) -> (Chain, Vec<u32>) {
    let (mut chain, mut states, mut last) = (Chain::default(), vec![BLANK], BLANK);
    chain.push(0.0, 0.0);
    for letter in letters {
        if *letter == last {
            chain.insist();
        }
        last = *letter;
        chain.push(0.0, f32::INFINITY);
        chain.push(0.0, 0.0);
        states.extend([last, BLANK]);
    }
    (chain, states)
}

/// Time of this thread so far, as the scheduler counts it: a tick late at most.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ran = told.split(' ').next().ok_or("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(ran.parse()?).as_secs_f64())
}
