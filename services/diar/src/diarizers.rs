//! Which engine serves a request: the roster of diarizers.

mod builtin;

use std::sync::Arc;

use polyphony_models::{Chosen, Present, Roster};

use crate::domain::EngineInfo;
use crate::engine::Engine;

/// The models that can be asked for. Cheap to clone.
pub type Diarizers = Roster<Arc<dyn Engine>, EngineInfo>;
/// A model in use.
pub type Diarizer = Chosen<Arc<dyn Engine>>;
/// A model on disk, and what it is.
pub type PresentDiarizer = Present<EngineInfo>;

pub use builtin::of_store;
