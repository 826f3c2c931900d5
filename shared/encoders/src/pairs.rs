//! Models that read two texts at once, whatever their numbers mean.

use polyphony_inference::{Cancel, Error as InferenceError, InferenceConfig, Runtime, crew};
use polyphony_models::Provenance;

use crate::folder::Folder;
use crate::network::{Network, Wanted};
use crate::settings::ModelConfig;
use crate::tokenizer::{Encoded, Tokenizer};
use crate::{ENGINE, Error};

/// What is known of a model that reads two texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairInfo {
    /// With what its results are made.
    pub made: Provenance,
    /// The most tokens of both texts together, with those that the model adds.
    pub max_tokens: usize,
}

/// A loaded one.
#[derive(Debug)]
pub(crate) struct Pairs {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) network: Network,
    pub(crate) info: PairInfo,
}

// === impl PairInfo ===

impl PairInfo {
    /// What can be said of a model before it is loaded: all but version and device. `model` and `digest` are told in
    /// receipts.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn foretell(
        folder: &Folder,
        model: impl Into<String>,
        digest: impl Into<String>,
    ) -> Result<Self, Error> {
        Ok(Self {
            made: provenance(model.into(), digest.into()),
            max_tokens: ModelConfig::read(folder)?.max_tokens(folder)?,
        })
    }
}

// === impl Pairs ===

impl Pairs {
    pub(crate) fn load(
        folder: &Folder,
        mut info: PairInfo,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let tokenizer = Tokenizer::read(folder)?;
        let network = Network::open(folder, Wanted::Scores, runtime, config)?;
        info.made.version.clone_from(&network.version);
        info.made.device.clone_from(&network.device);
        Ok(Self {
            tokenizer,
            network,
            info,
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

/// With what is known before a model is loaded.
pub(crate) fn provenance(model: String, digest: String) -> Provenance {
    Provenance {
        engine: ENGINE,
        version: String::new(),
        model,
        digest,
        device: String::new(),
        degraded: None,
    }
}
