//! How well passages answer a query: both go through the model together, which is slower than comparing vectors and
//! better.

use polyphony_inference::{Cancel, Error as InferenceError, InferenceConfig, Runtime};

use crate::error::{Error, Input};
use crate::folder::Folder;
use crate::network::Said;
use crate::pairs::{PairInfo, Pairs};
use crate::tokenizer::{Tokenizer, Truncation};

/// A loaded cross-encoder with one score, for callers on many threads.
#[derive(Debug)]
pub struct CrossEncoder {
    pairs: Pairs,
}

/// The score of a passage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The model's own number; higher is better.
    pub logit: f32,
    /// Its logistic function, between 0 and 1.
    pub score: f32,
    /// How many tokens the model read, the query among them.
    pub tokens: usize,
    /// The passage, or a query longer than it, was cut.
    pub truncated: bool,
}

// === impl CrossEncoder ===

impl CrossEncoder {
    /// Loads a model and scores one pair, so that what does not fit is found now. `model` and `digest` are told in
    /// receipts.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Inference`].
    pub fn load(
        folder: &Folder,
        model: impl Into<String>,
        digest: impl Into<String>,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let info = PairInfo::foretell(folder, model, digest)?;
        let pairs = Pairs::load(folder, info, runtime, config)?;
        if let Some(labels @ 2..) = pairs.network.width() {
            let problem = format!("it gives {labels} scores for a pair; a reranker gives one");
            return Err(InferenceError::unfit(pairs.network.path(), problem).into());
        }
        let encoder = Self { pairs };
        encoder.score("a", &["b"], Truncation::Right, &Cancel::default())?;
        Ok(encoder)
    }

    /// What is known of it.
    pub const fn info(&self) -> &PairInfo {
        &self.pairs.info
    }

    /// Its tokenizer.
    pub const fn tokenizer(&self) -> &Tokenizer {
        &self.pairs.tokenizer
    }

    /// The scores of passages, in their order. Of a pair that is too long the longer text is cut first, as transformers
    /// does. Runs on this thread and on others; between two batches it looks whether the result is still wanted.
    ///
    /// # Errors
    /// [`Error::Input`] with the text at fault, and [`Error::Inference`], among them a cancel.
    pub fn score(
        &self,
        query: &str,
        passages: &[&str],
        truncation: Truncation,
        cancel: &Cancel,
    ) -> Result<Vec<Scored>, Error> {
        let pair = |place: usize| [(query, Input::Query), (passages[place], Input::Text(place))];
        let encoded = self.pairs.encode(passages.len(), cancel, |place| {
            let most = self.pairs.info.max_tokens;
            self.pairs
                .tokenizer
                .encode_pair(pair(place), most, truncation, false)
        })?;
        self.pairs.network.each(&encoded, cancel, |place, said| {
            let logit = match said {
                Said::Text(numbers) if numbers.len() == 1 => numbers[0],
                _ => {
                    let problem = "it does not give one score for each pair";
                    return Err(InferenceError::unfit(self.pairs.network.path(), problem).into());
                }
            };
            if logit.is_nan() {
                return Err(Error::NotANumber("a score that is not a number"));
            }
            Ok(Scored {
                logit,
                score: logistic(logit),
                tokens: encoded[place].ids.len(),
                truncated: encoded[place].truncated,
            })
        })
    }
}

fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_lie_between_0_and_1_whatever_the_logit() {
        assert_eq!(logistic(0.0), 0.5);
        assert_eq!((logistic(-1e9), logistic(1e9)), (0.0, 1.0));
        assert!((logistic(2.0) - 0.880_797).abs() < 1e-6);
    }
}
