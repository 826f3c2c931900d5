//! When each token was said: dynamic time warping over the cross-attentions of heads that follow the speech.
//!
//! The same as openai-whisper's `find_alignment` (whisper/timing.py): the finished text is put through the decoder
//! once more; each head's attention is normalised over the tokens, smoothed by a median of 7 positions, and averaged;
//! the cheapest monotonic path through it gives each token its first position. The graph gives probabilities where
//! openai-whisper has scores; normalising them over the window's own positions makes them equal.

use super::error::WhisperError;
use super::network::{Encoded, Network};
use super::rules::log_sum_exp;
use super::scores::Attention;
use super::vocabulary::Vocabulary;
use super::words::{TimedWord, divide};
use crate::domain::Cancel;

/// Heads that follow the speech, of the layers that have any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heads {
    layers: Vec<usize>,
    /// Index into `layers`, and the head.
    heads: Vec<(usize, usize)>,
}

/// A matrix, row-major.
#[derive(Debug, Clone, PartialEq)]
struct Matrix {
    values: Vec<f64>,
    rows: usize,
    columns: usize,
}

const MEDIAN: usize = 7;

// === impl Heads ===

impl Heads {
    /// Those that the model's files name, or all of the later half of the layers.
    pub(super) fn new(named: Option<&[(usize, usize)]>, layers: usize, heads: usize) -> Self {
        let all = || {
            (layers / 2..layers)
                .flat_map(|layer| (0..heads).map(move |head| (layer, head)))
                .collect()
        };
        let pairs = named.map_or_else(all, |named| {
            named
                .iter()
                .copied()
                .filter(|&(layer, head)| layer < layers && head < heads)
                .collect::<Vec<_>>()
        });
        let mut layers: Vec<usize> = pairs.iter().map(|(layer, _)| *layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let index = |layer| layers.binary_search(&layer).ok();
        let heads = pairs
            .iter()
            .filter_map(|&(layer, head)| Some((index(layer)?, head)))
            .collect();
        Self { layers, heads }
    }
}

/// Words of `text` with times from the start of the window, in seconds.
///
/// `sequence` is the start token, language and task; `positions` of the encoder's output are of the recording, each
/// `tick` long.
#[expect(
    clippy::too_many_arguments,
    reason = "what the reference's find_alignment takes"
)]
pub(super) fn align(
    network: &Network,
    heads: &Heads,
    vocabulary: &Vocabulary,
    sequence: &[u32],
    text: &[u32],
    audio: &Encoded,
    (positions, tick): (usize, f64),
    language: Option<&str>,
    cancel: &Cancel,
) -> Result<Vec<TimedWord>, WhisperError> {
    let words = divide(vocabulary, text, language)?;
    if words.is_empty() || positions == 0 {
        return Ok(Vec::new());
    }
    let tokens = [sequence, &[vocabulary.no_timestamps], text, &[vocabulary.end]].concat();
    let (scores, attentions) = network.decode(audio, cancel)?.attend(&tokens, &heads.layers)?;
    let probability = |index: usize| {
        let scores = scores.at(sequence.len() + index)?;
        // Among words alone: timestamps do not compete here.
        let words = scores.get(..vocabulary.end as usize).unwrap_or(&scores);
        let score = words
            .get(text[index] as usize)
            .copied()
            .unwrap_or(f32::NEG_INFINITY);
        Ok((f64::from(score) - log_sum_exp(words)).exp())
    };
    let probabilities = (0..text.len())
        .map(probability)
        .collect::<Result<Vec<f64>, WhisperError>>()?;

    let focus = focus(heads, &attentions, tokens.len(), positions)?;
    // From <|notimestamps|>, whose row leads to the first word, to the last word; without the end.
    let rows = sequence.len()..tokens.len() - 1;
    let begins = first_columns(&focus, rows);
    let at = |token: usize| begins.get(token).map_or(0.0, |&column| column as f64 * tick);
    let mut first = 0;
    let timed = words.into_iter().map(|(text, tokens)| {
        let until = first + tokens;
        let of_word = probabilities.get(first..until).unwrap_or_default();
        let word = TimedWord {
            text,
            tokens,
            start: at(first),
            end: at(until),
            probability: of_word.iter().sum::<f64>() / of_word.len().max(1) as f64,
        };
        first = until;
        word
    });
    Ok(timed.collect())
}

/// Where each token looks, averaged over the heads: `[tokens][positions]`.
fn focus(
    heads: &Heads,
    layers: &[Attention],
    tokens: usize,
    positions: usize,
) -> Result<Matrix, WhisperError> {
    let mut mean = Matrix::zeros(tokens, positions);
    for &(layer, head) in &heads.heads {
        let mut weights = Matrix::zeros(tokens, positions);
        for token in 0..tokens {
            let row = layers[layer].row(head, token)?;
            let row = row.get(..positions).ok_or_else(|| {
                WhisperError::Output(format!(
                    "attention to {} positions, {positions} expected",
                    row.len()
                ))
            })?;
            let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
            for (slot, &weight) in weights.row_mut(token).iter_mut().zip(row) {
                *slot = f64::from(weight) / sum;
            }
        }
        weights.standardise_columns();
        let mut window = Vec::with_capacity(MEDIAN);
        for token in 0..tokens {
            let row = weights.row(token);
            for position in 0..positions {
                let value = median(row, position, &mut window);
                mean.values[token * positions + position] += value / heads.heads.len() as f64;
            }
        }
    }
    Ok(mean)
}

/// The median of the 7 values around one, mirrored at the edges; the value itself where there are too few to mirror.
fn median(row: &[f64], at: usize, window: &mut Vec<f64>) -> f64 {
    let half = MEDIAN / 2;
    if row.len() <= half {
        return row[at];
    }
    let last = row.len() - 1;
    window.clear();
    window.extend((0..MEDIAN).map(|offset| {
        let index = (at + offset).abs_diff(half);
        row[if index > last { 2 * last - index } else { index }]
    }));
    window.sort_unstable_by(f64::total_cmp);
    window[half]
}

/// The column at which the cheapest path first reaches each of `rows` (openai-whisper's `dtw` on the negative matrix).
fn first_columns(focus: &Matrix, rows: std::ops::Range<usize>) -> Vec<usize> {
    #[derive(Clone, Copy)]
    enum From {
        Diagonal,
        Above,
        Left,
    }
    let (count, columns) = (rows.len(), focus.columns);
    let mut came = vec![From::Left; (count + 1) * (columns + 1)];
    let mut before = vec![f32::INFINITY; columns + 1];
    before[0] = 0.0;
    for (index, row) in rows.enumerate() {
        let mut costs = vec![f32::INFINITY; columns + 1];
        for column in 1..=columns {
            let (diagonal, above, left) = (before[column - 1], before[column], costs[column - 1]);
            // Ties go left, as in the reference.
            let (least, from) = if diagonal < above && diagonal < left {
                (diagonal, From::Diagonal)
            } else if above < diagonal && above < left {
                (above, From::Above)
            } else {
                (left, From::Left)
            };
            costs[column] = (f64::from(least) - focus.row(row)[column - 1]) as f32;
            came[(index + 1) * (columns + 1) + column] = from;
        }
        before = costs;
    }
    let mut first = vec![0; count];
    let (mut row, mut column) = (count, columns);
    while row > 0 || column > 0 {
        if row > 0 {
            first[row - 1] = column.saturating_sub(1);
        }
        let from = match (row, column) {
            (0, _) => From::Left,
            (_, 0) => From::Above,
            _ => came[row * (columns + 1) + column],
        };
        match from {
            From::Diagonal => (row, column) = (row - 1, column - 1),
            From::Above => row -= 1,
            From::Left => column -= 1,
        }
    }
    first
}

// === impl Matrix ===

impl Matrix {
    fn zeros(rows: usize, columns: usize) -> Self {
        Self {
            values: vec![0.0; rows * columns],
            rows,
            columns,
        }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.columns..][..self.columns]
    }

    /// Brings each column to mean 0 and standard deviation 1; a column of equal values to 0.
    fn standardise_columns(&mut self) {
        let rows = self.rows as f64;
        for column in 0..self.columns {
            let cells = || (0..self.rows).map(|row| self.values[row * self.columns + column]);
            let mean = cells().sum::<f64>() / rows;
            let deviation = (cells().map(|value| (value - mean).powi(2)).sum::<f64>() / rows).sqrt();
            for row in 0..self.rows {
                let value = &mut self.values[row * self.columns + column];
                *value = if deviation > 0.0 {
                    (*value - mean) / deviation
                } else {
                    0.0
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_attention() {
        let (rows, columns) = (3, 9);
        let mut focus = Matrix::zeros(rows, columns);
        for row in 0..rows {
            focus.row_mut(row).fill(-1.0);
            focus.row_mut(row)[row * 3..row * 3 + 3].fill(1.0);
        }
        assert_eq!(first_columns(&focus, 0..3), [0, 3, 6]);
        assert_eq!(first_columns(&focus, 1..3), [0, 6]);

        // Where staying and going on cost the same, the reference goes on early.
        focus.values.iter_mut().for_each(|value| *value = value.max(0.0));
        assert_eq!(first_columns(&focus, 0..3), [0, 2, 5]);
    }

    #[test]
    fn the_median_mirrors_at_the_edges() {
        let row: Vec<f64> = (0..10).map(f64::from).collect();
        let mut window = Vec::new();
        // 3 2 1 0 1 2 3
        assert!((median(&row, 0, &mut window) - 2.0).abs() < 1e-9);
        assert!((median(&row, 5, &mut window) - 5.0).abs() < 1e-9);
        // 6 7 8 9 8 7 6
        assert!((median(&row, 9, &mut window) - 7.0).abs() < 1e-9);
        assert!((median(&row[..3], 1, &mut window) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn heads_that_the_model_lacks_are_left_out() {
        let heads = Heads::new(Some(&[(1, 0), (3, 1), (3, 9), (9, 0)]), 4, 2);
        assert_eq!(
            heads,
            Heads {
                layers: vec![1, 3],
                heads: vec![(0, 0), (1, 1)]
            }
        );
        assert_eq!(Heads::new(None, 4, 2).layers, [2, 3]);
    }
}
