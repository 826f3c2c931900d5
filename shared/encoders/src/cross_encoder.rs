//! How well passages answer a query: both go through the model together, which is slower than comparing vectors and
//! better.

use polyphony_inference::{Cancel, Error as InferenceError, InferenceConfig, Runtime, crew};
use polyphony_models::Provenance;

use crate::error::{Error, Input};
use crate::folder::Folder;
use crate::network::{Network, Said, Wanted};
use crate::settings::ModelConfig;
use crate::tokenizer::{Encoded, Tokenizer, Truncation};

/// A loaded cross-encoder with one score, for callers on many threads.
#[derive(Debug)]
pub struct CrossEncoder {
    pub(crate) pairs: Pairs,
    info: RerankerInfo,
}

/// What is known of a cross-encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankerInfo {
    /// With what scores are made.
    pub made: Provenance,
    /// The most tokens of query and passage together, with those that the model adds.
    pub max_tokens: usize,
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

/// A model that reads two texts at once.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) network: Network,
    pub(crate) max_tokens: usize,
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
        let mut info = Self::foretell(folder, model, digest)?;
        let pairs = Pairs::load(folder, runtime, config, &mut info.made)?;
        if let Some(labels @ 2..) = pairs.network.width() {
            let problem = format!("it gives {labels} scores for a pair; a reranker gives one");
            return Err(InferenceError::unfit(pairs.network.path(), problem).into());
        }
        let encoder = Self { pairs, info };
        encoder.score("a", &["b"], Truncation::Right, &Cancel::default())?;
        Ok(encoder)
    }

    /// What can be said of a model before it is loaded: all but version and device.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn foretell(
        folder: &Folder,
        model: impl Into<String>,
        digest: impl Into<String>,
    ) -> Result<RerankerInfo, Error> {
        Ok(RerankerInfo {
            made: provenance(model.into(), digest.into()),
            max_tokens: ModelConfig::read(folder)?.max_tokens(folder)?,
        })
    }

    /// What is known of it.
    pub const fn info(&self) -> &RerankerInfo {
        &self.info
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
            let most = self.pairs.max_tokens;
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

// === impl Pairs ===

impl Pairs {
    pub(crate) fn load(
        folder: &Folder,
        runtime: &Runtime,
        config: &InferenceConfig,
        made: &mut Provenance,
    ) -> Result<Self, Error> {
        let tokenizer = Tokenizer::read(folder)?;
        let max_tokens = ModelConfig::read(folder)?.max_tokens(folder)?;
        let network = Network::open(folder, Wanted::Scores, runtime, config)?;
        made.version.clone_from(&network.version);
        made.device.clone_from(&network.device);
        Ok(Self {
            tokenizer,
            network,
            max_tokens,
        })
    }

    pub(crate) fn encode(
        &self,
        count: usize,
        cancel: &Cancel,
        one: impl Fn(usize) -> Result<Encoded, Error> + Sync,
    ) -> Result<Vec<Encoded>, Error> {
        crew::each(count, self.network.sessions(), |place| {
            if cancel.is_cancelled() {
                return Err(InferenceError::Cancelled.into());
            }
            one(place)
        })
    }
}

pub(crate) fn provenance(model: String, digest: String) -> Provenance {
    Provenance {
        engine: crate::ENGINE,
        version: String::new(),
        model,
        digest,
        device: String::new(),
        degraded: None,
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
