//! What the model said of each frame: the logarithm of the probability of each letter.
//!
//! Only the columns that a text needs are kept, where the text is known before; the best of all letters is kept for
//! wildcards (as whisperX has it).

use std::ops::Range;

use super::settings::Settings;
use crate::trellis::Costs;

/// Frames of a recording.
#[derive(Debug, Clone)]
pub(super) struct Emissions {
    /// The model's columns that are kept, in order. None: all.
    kept: Option<Vec<u32>>,
    width: usize,
    /// `width` values a frame, then the best letter's.
    rows: Vec<f32>,
    blank: usize,
    star: Option<usize>,
}

/// What a state matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// This column of the model.
    Token(u32),
    /// Any letter.
    Star,
    /// Any letter or none, for a little.
    Rest,
}

/// Emissions and the columns of states.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    pub(super) emissions: &'a Emissions,
    pub(super) columns: &'a [Column],
}

// === impl Emissions ===

impl Emissions {
    /// None yet. `kept`: the columns that a known text needs.
    pub(super) fn new(settings: &Settings, kept: Option<Vec<u32>>) -> Self {
        let kept = kept.map(|mut kept| {
            kept.push(settings.blank);
            kept.sort_unstable();
            kept.dedup();
            kept
        });
        Self {
            width: kept.as_ref().map_or(settings.columns, Vec::len),
            kept,
            rows: Vec::new(),
            blank: settings.blank as usize,
            star: settings.star.map(|star| star as usize),
        }
    }

    /// The number of frames.
    pub(super) const fn len(&self) -> usize {
        self.rows.len() / (self.width + 1)
    }

    /// Takes the scores of a frame as the model gives them.
    pub(super) fn push(&mut self, logits: &[f32]) {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let all = largest + sum.ln();
        let log_prob = |column: usize| (logits[column] - all).max(LEAST);
        match &self.kept {
            Some(kept) => self
                .rows
                .extend(kept.iter().map(|column| log_prob(*column as usize))),
            None => self.rows.extend((0..logits.len()).map(log_prob)),
        }
        let best = match self.star {
            Some(star) => log_prob(star),
            None => (0..logits.len())
                .filter(|column| *column != self.blank)
                .map(log_prob)
                .fold(LEAST, f32::max),
        };
        self.rows.push(best);
    }

    /// Forgets the first frames.
    pub(super) fn forget(&mut self, frames: usize) {
        self.rows.drain(..frames.min(self.len()) * (self.width + 1));
    }

    fn row(&self, frame: usize) -> &[f32] {
        &self.rows[frame * (self.width + 1)..][..self.width + 1]
    }

    fn place(&self, column: Column) -> usize {
        match (column, &self.kept) {
            (Column::Star | Column::Rest, _) => self.width,
            (Column::Token(token), None) => token as usize,
            (Column::Token(token), Some(kept)) => kept.binary_search(&token).unwrap_or(self.width),
        }
    }

    /// The log-probability of a column in a frame.
    pub(super) fn log_prob(&self, frame: usize, column: Column) -> f32 {
        self.row(frame)[self.place(column)]
    }
}

/// The logarithm of the least probability that is told apart from none: a letter is never impossible.
const LEAST: f32 = -100.0;

// === impl Matched ===

impl<'a> Matched<'a> {
    pub(super) fn costs(&self) -> impl Costs + 'a {
        let places = self
            .columns
            .iter()
            .map(|column| self.emissions.place(*column) as u32);
        Placed {
            emissions: self.emissions,
            places: places.collect(),
            blank: self.emissions.place(Column::Token(self.emissions.blank as u32)),
            rest: (self.columns.last() == Some(&Column::Rest)).then(|| self.columns.len() - 1),
        }
    }
}

struct Placed<'a> {
    emissions: &'a Emissions,
    places: Vec<u32>,
    blank: usize,
    /// The last state, if it takes any letter or none.
    rest: Option<usize>,
}

/// What a frame costs that is of no word, so that words are not hurried.
const REST: f32 = 0.3;

impl Costs for Placed<'_> {
    fn frames(&self) -> usize {
        self.emissions.len()
    }

    fn fill(&self, frame: usize, states: Range<usize>, costs: &mut [f32]) {
        let row = self.emissions.row(frame);
        for (cost, place) in costs.iter_mut().zip(&self.places[states.clone()]) {
            *cost = -row[*place as usize];
        }
        if let Some(rest) = self.rest.filter(|rest| states.contains(rest)) {
            costs[rest - states.start] = REST - row[self.blank].max(row[self.emissions.width]);
        }
    }
}
