//! What a pull got, so that later pulls get the same: the lock file of the store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Layout;
use crate::manifest::{read_json, write_json};
use crate::{Error, FilePath, FileRecord, ModelRef, Revision, Sha256, Source};

/// All pins, by model and variant.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    models: BTreeMap<ModelRef, Pin>,
}

/// What one model is pinned to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    /// What the catalogue said then; a pin for another repository or revision does not count.
    pub(crate) source: Source,
    /// The commit.
    pub(crate) commit: Revision,
    /// The files of the model at this commit.
    pub(crate) files: Vec<FileRecord>,
}

// === impl Pins ===

impl Pins {
    /// The pin of a model, if it is one for this source.
    pub(crate) fn get(layout: &Layout, model: &ModelRef, source: &Source) -> Result<Option<Pin>, Error> {
        Ok(Self::read(layout)?
            .models
            .remove(model)
            .filter(|pin| pin.source == *source))
    }

    /// Pins a model. The caller holds the lock of all pins.
    pub(crate) fn set(layout: &Layout, model: ModelRef, pin: Pin) -> Result<(), Error> {
        let mut pins = Self::read(layout)?;
        pins.models.insert(model, pin);
        let path = layout.pins();
        write_json(&path, &pins).map_err(Error::io(format!("write {}", path.display())))
    }

    fn read(layout: &Layout) -> Result<Self, Error> {
        let path = layout.pins();
        let pins = read_json(&path).map_err(Error::io(format!("read {}", path.display())))?;
        Ok(pins.unwrap_or_default())
    }
}

// === impl Pin ===

impl Pin {
    pub(crate) fn sha256(&self, path: &FilePath) -> Option<Sha256> {
        let file = self.files.iter().find(|file| file.path == *path)?;
        Some(file.sha256)
    }
}
