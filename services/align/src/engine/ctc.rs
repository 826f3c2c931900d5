//! Alignment with a network that hears letters: wav2vec2 and MMS with a CTC head, on ONNX Runtime.
//!
//! In reading order: `settings` reads a model's files, `windows` cuts long audio, `network` runs the graph, `emissions`
//! keeps what it says, `letters` spells words, `matching` brings them together, and [`crate::trellis`] finds the way that says them all: each letter
//! once, a blank between two that are the same, any number of blanks elsewhere. The way is that of
//! `torchaudio.functional.forced_align`; repeated letters are merged; where a model writes spaces they are part of the
//! text, as in whisperX.
//!
//! Figures, symbols and other scripts match any sound, so that they have a time; nothing here spells out numbers.

mod emissions;
mod error;
mod letters;
mod matching;
mod network;
mod settings;
mod windows;

use std::sync::Arc;

use polyphony_inference::{InferenceConfig, Placement, Runtime};
use polyphony_models::Provenance;

use self::error::CtcError;
use self::matching::CtcMatching;
use self::network::Network;
use self::settings::Settings;
use super::{Engine, Matching};
use crate::Error;
use crate::domain::{Cancel, EngineInfo, Options, SAMPLE_RATE};

pub use self::settings::Folder;

/// The engine's name, in the catalogue and in receipts.
pub const NAME: &str = "ctc";

/// A model, loaded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ctc {
    model: Arc<Model>,
    info: EngineInfo,
}

#[derive(Debug)]
struct Model {
    network: Network,
    settings: Settings,
}

/// What can be said of a model before it is loaded. `languages`: those that it was trained on, if that is known.
pub fn info(model: impl Into<String>, digest: impl Into<String>, languages: Vec<String>) -> EngineInfo {
    EngineInfo {
        made: Provenance {
            engine: NAME,
            version: String::new(),
            model: model.into(),
            digest: digest.into(),
            device: String::new(),
            degraded: None,
        },
        languages,
        needs_language: false,
        phones: false,
        spoken_form: false,
    }
}

// === impl Ctc ===

impl Ctc {
    /// Loads the model in `folder`, and runs it once so that the first request is not the slow one. `info` is what
    /// [`info`] gave.
    ///
    /// # Errors
    /// [`Error::Request`] when ONNX Runtime or the device is missing, with the remedy; [`Error::Engine`] when the folder
    /// is not such a model or a file of it is broken.
    pub fn load(
        folder: &Folder,
        mut info: EngineInfo,
        runtime: &Runtime,
        config: &InferenceConfig,
    ) -> Result<Self, Error> {
        let loaded = runtime.get().map_err(CtcError::from)?;
        let placement = config.device.place(loaded).map_err(CtcError::from)?;
        let Placement { device, fallback } = &placement;
        if let Some(reason) = fallback {
            tracing::info!(reason, "running on the processor");
        }
        let settings = Settings::read(folder)?;
        let width = config.width(device.is_gpu());
        let network = Network::open(loaded, &folder.graph(*device)?, *device, width)?;
        let second = vec![0.0; SAMPLE_RATE as usize];
        network.run(&second, &settings, &Cancel::default())?;
        info.made.version = format!("onnxruntime {}", loaded.version());
        info.made.device = device.to_string();
        Ok(Self {
            model: Arc::new(Model { network, settings }),
            info,
        })
    }

    /// The scores of each letter in each frame, as the model gives them, and how many letters there are. All samples are
    /// run at once.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Engine`].
    pub fn logits(&self, samples: &[f32], cancel: &Cancel) -> Result<(Vec<f32>, usize), Error> {
        let Model { network, settings } = &*self.model;
        let logits = network.run(samples, settings, cancel)?;
        Ok((logits.values, logits.columns))
    }
}

impl Engine for Ctc {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn begin(&self, options: &Options, cancel: &Cancel) -> Result<Box<dyn Matching>, Error> {
        Ok(Box::new(CtcMatching::new(&self.model, options, cancel)))
    }
}
