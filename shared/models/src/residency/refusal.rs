//! Why a load brought no model. One refusal is told to all who waited, so it can be copied, which an error cannot.

use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ModelRef};

/// Why a load brought no model; told to each who waited.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    Failed { reason: Arc<str> },
    NoMemory { need: u64, used: u64, budget: u64 },
    TooLarge { need: u64, budget: u64 },
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn error(&self, model: &ModelRef, retry_after: Duration) -> Error {
        let model = model.clone();
        match *self {
            Self::Failed { ref reason } => Error::LoadFailed {
                model,
                reason: Arc::clone(reason),
                retry_after,
            },
            Self::NoMemory { need, used, budget } => Error::NoMemory {
                model,
                need,
                used,
                budget,
            },
            Self::TooLarge { need, budget } => Error::TooLarge { model, need, budget },
        }
    }

    pub(super) fn reason(&self) -> Arc<str> {
        match self {
            Self::Failed { reason } => Arc::clone(reason),
            Self::NoMemory { need, .. } | Self::TooLarge { need, .. } => {
                format!("it needs {need} bytes, more than models.memory_budget has").into()
            }
        }
    }
}
