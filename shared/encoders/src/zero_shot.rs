//! Which labels fit a text, without training: a model for inference between sentences is asked whether the text entails a
//! sentence about each label (Yin et al. 2019).

use polyphony_inference::{Cancel, Error as InferenceError, InferenceConfig, Runtime};

use crate::error::{Error, Input};
use crate::folder::Folder;
use crate::network::Said;
use crate::pairs::{PairInfo, Pairs};
use crate::settings::ModelConfig;
use crate::tokenizer::Truncation;

/// A loaded model for inference between sentences, for callers on many threads.
#[derive(Debug)]
pub struct ZeroShot {
    pairs: Pairs,
    entailment: usize,
    contradiction: usize,
}

/// How a label fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// How likely it is the one label that fits, all labels together 1.
    pub share: f32,
    /// How likely it fits whatever the others do: entailment against contradiction.
    pub alone: f32,
}

// === impl ZeroShot ===

impl ZeroShot {
    /// Loads a model and asks it once, so that what does not fit is found now. `model` and `digest` are told in receipts.
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
        let labels = ModelConfig::read(folder)?.id2label.unwrap_or_default();
        let output = |name: &str| -> Result<usize, Error> {
            let found = labels.iter().find(|(_, label)| label.to_lowercase() == name);
            found.and_then(|(id, _)| id.parse().ok()).ok_or_else(|| {
                let problem = format!("id2label in its config.json has no \"{name}\"");
                InferenceError::unfit(folder.graph(), problem).into()
            })
        };
        let (entailment, contradiction) = (output("entailment")?, output("contradiction")?);
        let pairs = Pairs::load(folder, info, runtime, config)?;
        let model = Self {
            pairs,
            entailment,
            contradiction,
        };
        model.classify("a", &["b"], "{}", &Cancel::default())?;
        Ok(model)
    }

    /// What is known of it.
    pub const fn info(&self) -> &PairInfo {
        &self.pairs.info
    }

    /// How each label fits, in their order. `sentence` says something about a label, which stands in the place of `{}`, as
    /// "This is a {}.". Of a text that is too long the end is left out.
    ///
    /// # Errors
    /// [`Error::Input`] with the text or label at fault, and [`Error::Inference`], among them a cancel.
    pub fn classify(
        &self,
        text: &str,
        labels: &[&str],
        sentence: &str,
        cancel: &Cancel,
    ) -> Result<Vec<Fit>, Error> {
        let encoded = self.pairs.encode(labels.len(), cancel, |place| {
            let about = sentence.replace("{}", labels[place]);
            let pair = [(text, Input::Text(0)), (about.as_str(), Input::Label(place))];
            let most = self.pairs.info.max_tokens;
            self.pairs
                .tokenizer
                .encode_pair(pair, most, Truncation::Right, true)
        })?;
        let logits = self.pairs.network.each(&encoded, cancel, |_, said| {
            let found = match &said {
                Said::Text(numbers) => numbers.get(self.entailment).zip(numbers.get(self.contradiction)),
                Said::Tokens { .. } => None,
            };
            let (entailed, contradicted) = found.map(|(a, b)| (*a, *b)).ok_or_else(|| {
                let problem = "it gives fewer scores than its config.json has labels";
                InferenceError::unfit(self.pairs.network.path(), problem)
            })?;
            // Two that are infinite have no difference.
            if !entailed.is_finite() || !contradicted.is_finite() {
                return Err(Error::NotANumber("a score that is not finite"));
            }
            Ok((entailed, contradicted))
        })?;
        Ok(fits(&logits))
    }
}

/// From the logits of entailment and contradiction.
fn fits(logits: &[(f32, f32)]) -> Vec<Fit> {
    let most = logits
        .iter()
        .map(|(entailed, _)| *entailed)
        .fold(f32::MIN, f32::max);
    let all: f32 = logits.iter().map(|(entailed, _)| (entailed - most).exp()).sum();
    logits
        .iter()
        .map(|(entailed, contradicted)| Fit {
            share: (entailed - most).exp() / all,
            alone: 1.0 / (1.0 + (contradicted - entailed).exp()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one() {
        let fits = fits(&[(2.0, -1.0), (0.0, 0.0), (-3.0, 4.0)]);
        let sum: f32 = fits.iter().map(|fit| fit.share).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!((fits[0].share - 0.875_8).abs() < 1e-3);
        assert!((fits[0].alone - 0.952_6).abs() < 1e-3);
        assert_eq!(fits[1].alone, 0.5);
    }
}
