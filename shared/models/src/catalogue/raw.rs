//! The form of a catalogue file, and what is checked before it becomes entries.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{Availability, Entry, FileEntry, ModelId, Source, Variant, VariantEntry};

/// A catalogue file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(default)]
    file_set: Vec<FileSet>,
    #[serde(default)]
    model: Vec<Model>,
}

/// Files that several variants have in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSet {
    name: String,
    files: Vec<FileEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    id: ModelId,
    task: String,
    engine: String,
    description: String,
    licence: String,
    source: Option<Source>,
    unavailable: Option<String>,
    #[serde(default)]
    variant: Vec<RawVariant>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVariant {
    name: Variant,
    memory_bytes: u64,
    file_set: Option<String>,
    #[serde(default)]
    files: Vec<FileEntry>,
}

/// A model does not have more files.
pub(crate) const MOST_FILES: usize = 256;

// === impl Document ===

impl Document {
    pub(super) fn resolve(self) -> Result<Vec<Entry>, String> {
        let mut sets = BTreeMap::new();
        for set in self.file_set {
            if sets.insert(set.name.clone(), set.files).is_some() {
                return Err(format!("file_set \"{}\" is there twice", set.name));
            }
        }
        let mut ids = BTreeSet::new();
        let resolve = |model: Model| {
            let id = model.id.clone();
            if !ids.insert(id.clone()) {
                return Err(format!("model \"{id}\" is there twice"));
            }
            model
                .resolve(&sets)
                .map_err(|problem| format!("model \"{id}\": {problem}"))
        };
        self.model.into_iter().map(resolve).collect()
    }
}

// === impl Model ===

impl Model {
    fn resolve(self, sets: &BTreeMap<String, Vec<FileEntry>>) -> Result<Entry, String> {
        for (field, text) in [("task", &self.task), ("engine", &self.engine)] {
            if text.parse::<Variant>().is_err() {
                return Err(format!("{field} {text:?} is not a lower-case word"));
            }
        }
        for (field, text) in [("description", &self.description), ("licence", &self.licence)] {
            if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
                return Err(format!("{field}: expected one line of 1 to 256 bytes"));
            }
        }
        let availability = match (self.source, self.unavailable) {
            (None, Some(reason)) if self.variant.is_empty() => Availability::Unavailable(reason),
            (Some(source), None) => {
                check_source(&source)?;
                let variants = self
                    .variant
                    .into_iter()
                    .map(|variant| variant.resolve(&source, sets))
                    .collect::<Result<Vec<_>, _>>()?;
                let names: BTreeSet<_> = variants.iter().map(|variant| &variant.name).collect();
                if variants.is_empty() || names.len() != variants.len() {
                    return Err("expected one variant or more, each with its own name".to_owned());
                }
                Availability::Available { source, variants }
            }
            _ => return Err("expected either source and variants, or unavailable alone".to_owned()),
        };
        Ok(Entry {
            id: self.id,
            task: self.task,
            engine: self.engine,
            description: self.description,
            licence: self.licence,
            availability,
        })
    }
}

fn check_source(source: &Source) -> Result<(), String> {
    match source {
        Source::Debian { root: path, .. } | Source::Folder { path } if !path.is_absolute() => {
            Err(format!("source: {} is not an absolute path", path.display()))
        }
        Source::Hub { .. } | Source::Wheel { .. } | Source::Debian { .. } | Source::Folder { .. } => Ok(()),
    }
}

// === impl RawVariant ===

impl RawVariant {
    fn resolve(
        self,
        source: &Source,
        sets: &BTreeMap<String, Vec<FileEntry>>,
    ) -> Result<VariantEntry, String> {
        let mut files = match &self.file_set {
            Some(name) => sets
                .get(name)
                .cloned()
                .ok_or_else(|| format!("variant {}: no file_set \"{name}\" in this file", self.name))?,
            None => Vec::new(),
        };
        files.extend(self.files);
        let paths: BTreeSet<_> = files.iter().map(|file| &file.path).collect();
        if paths.len() != files.len() || files.len() > MOST_FILES {
            return Err(format!(
                "variant {}: a file is there twice, or more than {MOST_FILES}",
                self.name
            ));
        }
        if files.is_empty() && !matches!(source, Source::Folder { .. }) {
            return Err(format!("variant {}: has no files", self.name));
        }
        Ok(VariantEntry {
            name: self.name,
            memory_bytes: self.memory_bytes,
            files,
        })
    }
}
