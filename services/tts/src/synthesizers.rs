//! Which engine serves a request: the roster of synthesisers, and the names of their voices.
//!
//! A voice of a model is called "voices/" and its id. Where two models have voices of one id, the better model's is called
//! so and the other's "voices/", its model and the id; that longer name always works.

mod builtin;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use polyphony_error::Fault;
use polyphony_models::{Chosen, Loaded, ModelRef, Residents, Roster, RosterBuilder, Spec};

use crate::domain::{EngineInfo, Voice};
use crate::engine::Engine;

pub use polyphony_models::BoxError;

/// The models that can be asked for. Cheap to clone.
#[derive(Clone)]
pub struct Synthesizers {
    roster: Roster<Arc<dyn Engine>, EngineInfo>,
}

/// A model in use.
#[derive(Clone)]
pub struct Synthesizer {
    /// The engine with the model in it.
    pub engine: Arc<dyn Engine>,
    /// How long loading took, if this request caused it.
    pub load: Option<Duration>,
    _lease: Chosen<Arc<dyn Engine>>,
}

/// A voice of a model on disk.
#[derive(Debug, Clone)]
pub struct ModelVoice {
    /// What it is called, with "voices/".
    pub name: String,
    /// The voice.
    pub voice: Voice,
    /// The model that has it.
    pub model: ModelRef,
    /// Samples a second.
    pub sample_rate: u32,
}

/// A model on disk, and what it is.
pub type Present = polyphony_models::Present<EngineInfo>;

/// Puts synthesisers together.
pub struct Builder {
    roster: RosterBuilder<Arc<dyn Engine>, EngineInfo>,
}

const NOTHING: &str = "no model for speech synthesis is on this machine; `make setup` installs espeak-ng, \
                       `polyphony models list --task tts` shows what can be pulled";
/// What all names of voices begin with.
pub const PREFIX: &str = "voices/";

// === impl Builder ===

impl Builder {
    /// Nothing yet.
    pub fn new(residents: Residents) -> Self {
        Self {
            roster: Roster::builder(
                residents,
                |engine: &Arc<dyn Engine>| engine.info().clone(),
                NOTHING,
            ),
        }
    }

    /// Adds a model, better than all that are added later. `known` is asked what can be said of it while it is not in
    /// memory.
    ///
    /// # Errors
    /// A model that was added before.
    pub fn add(
        mut self,
        spec: Spec,
        known: impl Fn() -> Option<EngineInfo> + Send + Sync + 'static,
        on_disk: impl Fn() -> bool + Send + Sync + 'static,
        load: impl Fn() -> Result<Arc<dyn Engine>, BoxError> + Send + Sync + 'static,
    ) -> Result<Self, polyphony_models::Error> {
        self.roster = self
            .roster
            .add(spec, known, on_disk, move || load().map(loaded))?;
        Ok(self)
    }

    /// Done.
    pub fn build(self) -> Synthesizers {
        Synthesizers {
            roster: self.roster.build(),
        }
    }
}

fn loaded(engine: Arc<dyn Engine>) -> Loaded<Arc<dyn Engine>> {
    Loaded::on(engine.info().made.device.clone(), engine)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

// === impl Synthesizers ===

impl Synthesizers {
    /// The models on disk, the default first.
    ///
    /// # Errors
    /// INTERNAL when looking panics.
    pub async fn present(&self) -> Result<Vec<Present>, Fault> {
        self.roster.present().await
    }

    /// The voices of the models on disk, the default model's first.
    ///
    /// # Errors
    /// As [`present`](Self::present).
    pub async fn voices(&self) -> Result<Vec<ModelVoice>, Fault> {
        Ok(named(self.present().await?))
    }

    /// Why a voice that is on disk cannot be spoken with, if a name means one.
    ///
    /// # Errors
    /// As [`present`](Self::present).
    pub async fn refusal(&self, name: &str) -> Result<Option<String>, Fault> {
        let id = name.rsplit('/').next().unwrap_or_default();
        let known = self
            .present()
            .await?
            .into_iter()
            .filter_map(|present| present.known);
        let mut unspoken = known.flat_map(|info| info.unspoken);
        Ok(unspoken.find(|(own, _)| own == id).map(|(_, why)| why))
    }

    /// Whether a request that names no model could be served, and with `load` whether its model is in memory, which loads
    /// it; if not, what to do.
    ///
    /// # Errors
    /// The remedy.
    pub fn ready(&self, load: bool) -> impl Future<Output = Result<(), String>> + Send + use<> {
        self.roster.ready(load)
    }

    /// The model that `name` means, loaded. Empty: the default, which `fits` if any on disk does.
    ///
    /// # Errors
    /// NOT_FOUND for a name that is not known, FAILED_PRECONDITION for a model that is not on disk, UNAVAILABLE when it
    /// cannot be loaded.
    pub async fn acquire(
        &self,
        name: &str,
        fits: impl Fn(&EngineInfo) -> bool + Send + 'static,
    ) -> Result<Synthesizer, Fault> {
        let chosen = self.roster.acquire_for(name, fits).await?;
        Ok(Synthesizer {
            engine: Arc::clone(&chosen),
            load: chosen.load,
            _lease: chosen,
        })
    }
}

fn named(present: Vec<Present>) -> Vec<ModelVoice> {
    let mut voices = Vec::new();
    let (mut models, mut names) = (HashSet::new(), HashSet::new());
    for Present { model, known, .. } in present {
        // Of the forms of a model the best stands for all: they have the same voices.
        let Some(info) = known.filter(|_| models.insert(model.id.clone())) else {
            continue;
        };
        for voice in info.voices {
            let name = if names.insert(voice.id.clone()) {
                format!("{PREFIX}{}", voice.id)
            } else {
                format!("{PREFIX}{}/{}", model.id, voice.id)
            };
            voices.push(ModelVoice {
                name,
                voice,
                model: model.clone(),
                sample_rate: info.sample_rate,
            });
        }
    }
    voices
}

impl fmt::Debug for Synthesizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Synthesizers").field(&self.roster).finish()
    }
}

// === impl Synthesizer ===

impl fmt::Debug for Synthesizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Synthesizer")
            .field("info", self.engine.info())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use polyphony_models::Provenance;

    use super::*;
    use crate::casting::find;
    use crate::domain::{Abilities, Gender};

    /// A model on disk with these voices.
    fn present(model: &str, voices: &[&str]) -> Present {
        let voice = |id: &&str| Voice {
            id: (*id).to_owned(),
            title: String::new(),
            languages: vec!["en".to_owned()],
            gender: Gender::Unknown,
        };
        let info = EngineInfo {
            made: Provenance {
                engine: "test",
                version: String::new(),
                model: model.to_owned(),
                digest: String::new(),
                device: "cpu".to_owned(),
                degraded: None,
            },
            sample_rate: 16_000,
            voices: voices.iter().map(voice).collect(),
            unspoken: Vec::new(),
            abilities: Abilities {
                word_times: false,
                phone_times: false,
                seed: false,
                pronunciations: false,
            },
        };
        Present {
            model: model.parse().expect("a name"),
            engine: "test".to_owned(),
            known: Some(info),
        }
    }

    #[test]
    fn every_voice_has_a_name_of_its_own_that_finds_it() {
        let voices = named(vec![
            present("hub/good@fp32", &["anna", "bert"]),
            present("hub/good@int8", &["anna", "bert"]),
            present("plain", &["anna", "carl"]),
        ]);
        let names: Vec<&str> = voices.iter().map(|voice| voice.name.as_str()).collect();
        let wanted = ["voices/anna", "voices/bert", "voices/plain/anna", "voices/carl"];
        assert_eq!(names, wanted);
        for (name, model, wanted) in [
            ("voices/anna", "", Some("hub/good@fp32")),
            ("voices/anna", "hub/good", Some("hub/good@fp32")),
            ("voices/bert", "hub/good@int8", Some("hub/good@fp32")),
            ("voices/anna", "plain", Some("plain")),
            ("voices/plain/anna", "", Some("plain")),
            ("voices/hub/good/bert", "", Some("hub/good@fp32")),
            ("voices/carl", "hub/good", None),
            ("voices/plain/anna", "hub/good", None),
            ("voices/dora", "", None),
            ("anna", "", None),
        ] {
            let found = find(&voices, name, model).map(|voice| voice.model.to_string());
            assert_eq!(found.as_deref(), wanted, "{name} of {model:?}");
        }
    }
}
