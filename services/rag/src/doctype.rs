//! What kind of document it is: by what the client says, then by rules, then by a trained classifier, then by a zero-shot
//! model; the answer says which decided and how sure it was.

mod classifier;

use std::fmt;

use crate::domain::{DocType, DocTypeSource};

pub use classifier::{Classifier, TrainError};

/// What a document is, where nothing fits.
pub const UNKNOWN: &str = "unknown";
/// Rules decide from here on, 0 to 1.
const SURE_RULE: f32 = 0.6;
/// The classifier decides from here on.
const SURE_CLASSIFIER: f32 = 0.5;
/// A zero-shot model decides from here on.
const SURE_ZERO_SHOT: f32 = 0.5;
/// A document shows at its beginning what it is: in so many lines, of so many bytes together.
const LOOKED_AT: usize = 400;
const BYTES: usize = 64 << 10;

/// A model that weighs labels it was not trained for. Gives the likelihood of each, 0 to 1.
pub trait ZeroShot: fmt::Debug + Send + Sync {
    /// The labels' likelihoods for this text, in their order.
    ///
    /// # Errors
    /// When the model cannot run.
    fn weigh(&self, text: &str, labels: &[String]) -> Result<Vec<f32>, String>;
}

/// Who may decide besides the client and the rules.
#[derive(Debug, Default)]
pub struct Deciders<'a> {
    /// The classifier, and the vector of the document's beginning in the space that it was trained in.
    pub classifier: Option<(&'a Classifier, &'a [f32])>,
    /// The zero-shot model and the labels that it chooses from.
    pub zero_shot: Option<(&'a dyn ZeroShot, &'a [String])>,
}

/// The kind of a document with this text. `given` is what the client says; empty: nothing. [`UNKNOWN`] is told by the last
/// who was asked.
///
/// # Errors
/// When the zero-shot model cannot run.
pub fn decide(given: &str, text: &str, deciders: &Deciders<'_>) -> Result<DocType, String> {
    let decided = |name: &str, confidence: f32, source| DocType {
        name: name.to_owned(),
        confidence,
        source,
    };
    if !given.is_empty() {
        return Ok(decided(given, 1.0, DocTypeSource::Given));
    }
    let rule = polyphony_doctype::scores(upto(text, BYTES).lines().take(LOOKED_AT), None);
    let (name, score) = rule[0];
    if score >= SURE_RULE {
        return Ok(decided(name, score, DocTypeSource::Rule));
    }
    let mut unsure = decided(UNKNOWN, 1.0 - score, DocTypeSource::Rule);
    if let Some((classifier, vector)) = deciders.classifier
        && let Some((name, score)) = classifier.classify(vector)
    {
        if score >= SURE_CLASSIFIER {
            return Ok(decided(name, score, DocTypeSource::Classifier));
        }
        unsure = decided(UNKNOWN, 1.0 - score, DocTypeSource::Classifier);
    }
    if let Some((model, labels)) = deciders.zero_shot {
        let weights = model.weigh(text, labels)?;
        let best = labels.iter().zip(weights).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((name, score)) = best {
            if score >= SURE_ZERO_SHOT {
                return Ok(decided(name, score, DocTypeSource::ZeroShot));
            }
            unsure = decided(UNKNOWN, 1.0 - score, DocTypeSource::ZeroShot);
        }
    }
    Ok(unsure)
}

/// At most so many bytes of the beginning of a text, up to a character.
pub(crate) fn upto(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
