//! Multinomial logistic regression over embeddings: small, quick to train, and its probabilities mean what they say.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The weight of the penalty on squared weights, as a share of a document's loss. Embeddings have length 1, so it is small.
const PENALTY: f64 = 1e-3;
/// Steps of training at most.
const STEPS: usize = 2_000;
/// Training ends where no slope is steeper.
const FLAT: f64 = 1e-5;
/// A kind needs so many documents.
const FEWEST: usize = 2;

/// A trained classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// The embedding model whose vectors it knows.
    pub model: String,
    /// The kinds, in order.
    labels: Vec<String>,
    /// For each kind its weights, one for each dimension, and last its bias.
    weights: Vec<Vec<f32>>,
}

/// A classifier cannot be trained.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrainError {
    /// One kind is no choice.
    #[error("there is only one kind of document; give at least two folders")]
    OneKind,
    /// A kind has too few documents.
    #[error("\"{label}\" has {count} documents; give at least {FEWEST}")]
    TooFew {
        /// The kind.
        label: String,
        /// How many it has.
        count: usize,
    },
    /// Vectors are not all of one length.
    #[error("the vectors are not all of one length")]
    Dimensions,
}

// === impl Classifier ===

impl Classifier {
    /// Trains on labelled vectors of an embedding model, by gradient descent with Nesterov's momentum; the same examples
    /// give the same classifier.
    ///
    /// # Errors
    /// When there are fewer than two kinds, or a kind has too few examples.
    pub fn train(model: &str, examples: &[(String, Vec<f32>)]) -> Result<Self, TrainError> {
        let labels: Vec<String> = examples
            .iter()
            .map(|(label, _)| label.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if labels.len() < 2 {
            return Err(TrainError::OneKind);
        }
        for label in &labels {
            let count = examples.iter().filter(|(own, _)| own == label).count();
            if count < FEWEST {
                let label = label.clone();
                return Err(TrainError::TooFew { label, count });
            }
        }
        let dimensions = examples[0].1.len();
        if examples.iter().any(|(_, vector)| vector.len() != dimensions) {
            return Err(TrainError::Dimensions);
        }
        let columns = dimensions + 1;
        let mut weights = vec![0.0_f64; labels.len() * columns];
        let mut before = weights.clone();
        // The loss curves at most half as much as the longest example is long, and the penalty adds its own.
        let longest = examples
            .iter()
            .map(|(_, vector)| 1.0 + dot(vector, vector))
            .fold(1.0, f64::max);
        let step = 1.0 / (0.5 * longest + PENALTY);
        for at in 0..STEPS {
            let momentum = at as f64 / (at as f64 + 3.0);
            let ahead: Vec<f64> = weights
                .iter()
                .zip(&before)
                .map(|(now, before)| now + momentum * (now - before))
                .collect();
            let slope = slope(&ahead, columns, &labels, examples);
            before = weights;
            weights = ahead
                .iter()
                .zip(&slope)
                .map(|(weight, slope)| weight - step * slope)
                .collect();
            if slope.iter().all(|slope| slope.abs() < FLAT) {
                break;
            }
        }
        let weights = weights
            .chunks_exact(columns)
            .map(|row| row.iter().map(|weight| *weight as f32).collect())
            .collect();
        Ok(Self {
            model: model.to_owned(),
            labels,
            weights,
        })
    }

    /// The kinds that it knows.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The likeliest kind and its probability. None: the vector is not of its length.
    pub fn classify(&self, vector: &[f32]) -> Option<(&str, f32)> {
        let fits = self.weights.iter().all(|row| row.len() == vector.len() + 1);
        if !fits {
            return None;
        }
        let logits: Vec<f64> = self
            .weights
            .iter()
            .map(|row| dot(&row[..vector.len()], vector) + f64::from(row[vector.len()]))
            .collect();
        let probabilities = softmax(&logits);
        let best = self
            .labels
            .iter()
            .zip(probabilities)
            .max_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(label, probability)| (label.as_str(), probability as f32))
    }

    /// Reads one that was written as JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let length = read.weights.first().map_or(0, Vec::len);
        let is_whole = read.labels.len() >= 2
            && read.labels.len() == read.weights.len()
            && length > 1
            && read
                .weights
                .iter()
                .all(|row| row.len() == length && row.iter().all(|weight| weight.is_finite()));
        is_whole
            .then_some(read)
            .ok_or_else(|| "its weights do not fit its labels".to_owned())
    }
}

/// The slope of the mean loss with its penalty. Kinds weigh alike, however many documents they have.
fn slope(weights: &[f64], columns: usize, labels: &[String], examples: &[(String, Vec<f32>)]) -> Vec<f64> {
    let mut slope: Vec<f64> = weights.iter().map(|weight| PENALTY * weight).collect();
    // Biases are free.
    for bias in slope.chunks_exact_mut(columns) {
        bias[columns - 1] = 0.0;
    }
    for (kind, label) in labels.iter().enumerate() {
        let own = examples.iter().filter(|(own, _)| own == label);
        let share = 1.0 / (labels.len() * own.clone().count()) as f64;
        for (_, vector) in own {
            let logits: Vec<f64> = weights
                .chunks_exact(columns)
                .map(|row| {
                    let products = row
                        .iter()
                        .zip(vector)
                        .map(|(weight, value)| weight * f64::from(*value));
                    products.sum::<f64>() + row[columns - 1]
                })
                .collect();
            for (at, (probability, row)) in softmax(&logits)
                .into_iter()
                .zip(slope.chunks_exact_mut(columns))
                .enumerate()
            {
                let error = share * (probability - f64::from(u8::from(at == kind)));
                for (slope, value) in row.iter_mut().zip(vector) {
                    *slope += error * f64::from(*value);
                }
                row[columns - 1] += error;
            }
        }
    }
    slope
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
