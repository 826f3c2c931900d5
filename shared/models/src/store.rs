//! Models on disk: which there are, whether they are what they should be, and where.
//!
//! Layout of the folder:
//!
//! ```text
//! catalogue.d/*.toml                              models that the user added
//! installed/OWNER--NAME/VARIANT/REVISION/         a pulled model: its files and model.json; placed as a whole
//! staging/OWNER--NAME/VARIANT/REVISION/           a pull that is not finished; resumed by the next one
//! state/pins.json                                 the commit and digests that a pull got; later pulls get the same
//! state/verified/OWNER--NAME@VARIANT.json         which bytes were checked, and the file's time and inode then
//! state/locks/                                    one lock a model, held by who pulls or removes it
//! ```
//!
//! The store makes no network request and parses no model. It trusts who may write to its folder, and the catalogue; it
//! does not trust what arrives, nor that a disk keeps what was written.

mod check;
mod layout;
mod pins;
mod place;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use check::{Trust, check_graph, refuse};
pub(crate) use layout::{Layout, Lock};
pub(crate) use pins::{Pin, Pins};
pub(crate) use place::Place;

use crate::manifest::digest;
use crate::{
    Availability, Catalogue, Entry, Error, FileRecord, ModelRef, ModelsConfig, Revision, Sha256, Source,
    Variant,
};

/// Models on disk. Cheap to clone. Its methods read files: call them on a blocking thread.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// A model that is on disk and was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Which model; the variant is always named.
    pub model: ModelRef,
    /// What it is for, as `asr`.
    pub task: String,
    /// The engine that runs it, as `whisper`.
    pub engine: String,
    /// One line for a person.
    pub description: String,
    /// The licence of its weights.
    pub licence: String,
    /// An estimate of what it takes in memory.
    pub memory_bytes: u64,
    /// Where it came from.
    pub source: Source,
    /// The commit of the hub or the version of the package; `None` for a folder.
    pub revision: Option<Revision>,
    /// The folder of its files. Open nothing in it that is not in `files`.
    pub dir: PathBuf,
    /// Its files, sorted by path.
    pub files: Vec<FileRecord>,
    /// SHA-256 over the digests, lengths and names of its files.
    pub digest: Sha256,
    /// The length of its files together.
    pub bytes: u64,
}

/// A line of the list of models: one form of a known model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which model; the variant is named unless the model cannot be had.
    pub model: ModelRef,
    /// What it is for, as `asr`.
    pub task: String,
    /// The engine that runs it, as `whisper`.
    pub engine: String,
    /// One line for a person.
    pub description: String,
    /// The licence of its weights.
    pub licence: String,
    /// An estimate of what it takes in memory; 0 where it cannot be had.
    pub memory_bytes: u64,
    /// Whether it is here.
    pub presence: Presence,
}

/// Whether a model is on disk, as far as can be told without reading its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is not.
    Absent,
    /// It is; [`Store::find`] verifies it.
    OnDisk {
        /// The folder of its files.
        dir: PathBuf,
        /// The commit of the hub or the version of the package.
        revision: Option<Revision>,
        /// The length of its files together.
        bytes: u64,
        /// What was recorded or pinned; `None` where nothing is known yet.
        digest: Option<Sha256>,
    },
    /// Something is there that will be refused, and this is why.
    Damaged(String),
    /// It cannot be had, and this is why.
    Unavailable(String),
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    catalogue: Catalogue,
    wheel_dirs: Vec<PathBuf>,
}

// === impl Store ===

impl Store {
    /// Opens the store of a configuration and reads its `catalogue.d`. `variable` reads the environment, for what the
    /// configuration leaves open. Nothing is created: a store that is read only, or not there, serves what it can.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] where neither the configuration nor the environment says where models lie;
    /// [`Error::Catalogue`] if a file of `catalogue.d` is wrong.
    pub fn open(config: &ModelsConfig, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let layout = Layout::new(config.store_dir(&variable)?);
        let catalogue = Catalogue::with_folder(&layout.catalogue())?;
        let wheel_dirs = config.all_wheel_dirs(&variable);
        Ok(Self {
            inner: Arc::new(Inner {
                layout,
                catalogue,
                wheel_dirs,
            }),
        })
    }

    /// The known models.
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// The folder of the store.
    pub fn dir(&self) -> &Path {
        self.inner.layout.dir()
    }

    /// A model on disk, verified: every file has the length and SHA-256 that it should. Files that were verified before
    /// and that the system says are untouched since (inode, length, times) are not read again. Needs no network.
    ///
    /// # Errors
    ///
    /// [`Error::Unknown`], [`Error::Unavailable`], [`Error::NotInstalled`] with the command that brings it,
    /// [`Error::Corrupt`] with the file and the reason.
    pub fn find(&self, model: &ModelRef) -> Result<Installed, Error> {
        check::check(&self.inner.layout, self.place(model)?, Trust::Stamps)
    }

    /// Like [`find`](Self::find), and reads every byte.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find).
    pub fn verify(&self, model: &ModelRef) -> Result<Installed, Error> {
        check::check(&self.inner.layout, self.place(model)?, Trust::Nothing)
    }

    /// Whether `find` would have something to verify. Looks at names only.
    pub fn is_on_disk(&self, model: &ModelRef) -> bool {
        self.place(model).is_ok()
    }

    /// Every known model in every form, and what was pulled and is known no more. Reads names, lengths and manifests.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder of the store cannot be read.
    pub fn list(&self) -> Result<Vec<Listing>, Error> {
        let mut list = Vec::new();
        for entry in self.catalogue().entries() {
            match &entry.availability {
                Availability::Unavailable(reason) => list.push(Listing {
                    presence: Presence::Unavailable(reason.clone()),
                    ..Listing::of(entry, entry.id.clone().into(), 0)
                }),
                Availability::Available { variants, .. } => {
                    list.extend(variants.iter().map(|variant| {
                        let model = ModelRef::exact(entry.id.clone(), variant.name.clone());
                        let presence = self.presence(&model);
                        Listing {
                            presence,
                            ..Listing::of(entry, model, variant.memory_bytes)
                        }
                    }));
                }
            }
        }
        for (id, variant) in self.inner.layout.pulled()? {
            let known = self
                .catalogue()
                .get(&id)
                .is_some_and(|e| e.variants().iter().any(|v| v.name == variant));
            let model = ModelRef::exact(id, variant);
            if known {
                continue;
            }
            // What cannot be read is left out: without a manifest nothing is known about it but a folder's name.
            if let Ok(place) = self.place(&model) {
                list.push(place.into_listing());
            }
        }
        list.sort_by(|a, b| a.model.id.cmp(&b.model.id));
        Ok(list)
    }

    /// Deletes the pulled files of a model: of one form if the reference names one, else of all. What it was pinned to
    /// is kept, so that another pull brings the same bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NotInstalled`], [`Error::NotOurs`] for what pip, apt or a person installed, [`Error::Busy`] while
    /// another process pulls it.
    pub fn remove(&self, model: &ModelRef) -> Result<(), Error> {
        let layout = &self.inner.layout;
        let of_model =
            |id: &_, variant: &_| *id == model.id && model.variant.as_ref().is_none_or(|v| v == variant);
        let pulled = layout
            .pulled()?
            .into_iter()
            .filter(|(id, variant)| of_model(id, variant));
        let pulled: Vec<_> = pulled.collect();
        if pulled.is_empty() {
            let place = self.place(model)?;
            return Err(Error::NotOurs {
                model: model.clone(),
                dir: place.root,
            });
        }
        for (id, variant) in pulled {
            let exact = ModelRef::exact(id.clone(), variant.clone());
            let _lock = layout.try_lock(&id, &variant)?.ok_or(Error::Busy(exact))?;
            layout.discard(&layout.installed(&id, &variant))?;
            let stamp = layout.stamp(&id, &variant);
            if stamp.exists() {
                fs::remove_file(&stamp).map_err(Error::io(format!("delete {}", stamp.display())))?;
            }
        }
        Ok(())
    }

    /// Verifies files that lie elsewhere and records what they are now, whatever was recorded before.
    pub(crate) fn record_anew(&self, model: &ModelRef) -> Result<Installed, Error> {
        check::check(&self.inner.layout, self.place(model)?, Trust::NotEvenRecords)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    fn presence(&self, model: &ModelRef) -> Presence {
        match self.place(model) {
            Ok(place) => place.into_listing().presence,
            Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) => Presence::Damaged(error.to_string()),
            Err(_) => Presence::Absent,
        }
    }

    /// Where a model lies; of its forms the first that is here.
    fn place(&self, model: &ModelRef) -> Result<Place, Error> {
        let entry = self.catalogue().get(&model.id);
        let pulled = self.inner.layout.pulled_variants(&model.id)?;
        let forms: Vec<Variant> = match (&model.variant, entry) {
            (Some(variant), _) => vec![variant.clone()],
            (None, Some(entry)) => {
                let known = entry.variants().iter().map(|variant| variant.name.clone());
                known.chain(pulled).collect()
            }
            (None, None) => pulled,
        };
        for variant in forms {
            if let Some(place) =
                Place::pulled(&self.inner.layout, &self.inner.catalogue, &model.id, &variant)?
            {
                return Ok(place);
            }
            if let Some(place) =
                entry.and_then(|entry| Place::elsewhere(entry, &variant, &self.inner.wheel_dirs).transpose())
            {
                return place;
            }
        }
        let (_, source, _) = self.catalogue().select(model)?;
        Err(Error::NotInstalled {
            model: model.clone(),
            remedy: source.remedy(model),
        })
    }
}

// === impl Installed ===

impl Installed {
    /// What engines say of it in what they make: its name without the variant, and its digest.
    pub fn names(&self) -> (String, String) {
        (self.model.id.to_string(), format!("sha256:{}", self.digest))
    }

    /// The path of one of its files; `None` if it has no such file.
    pub fn path(&self, file: &str) -> Option<PathBuf> {
        let found = self.files.iter().find(|record| record.path.as_str() == file)?;
        Some(self.dir.join(found.path.native()))
    }

    pub(crate) fn new(place: Place, mut files: Vec<FileRecord>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self {
            model: place.model,
            task: place.task,
            engine: place.engine,
            description: place.description,
            licence: place.licence,
            memory_bytes: place.memory_bytes,
            source: place.source,
            revision: place.revision,
            dir: place.root,
            digest: digest(&files),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        }
    }
}

// === impl Listing ===

impl Listing {
    fn of(entry: &Entry, model: ModelRef, memory_bytes: u64) -> Self {
        Self {
            model,
            task: entry.task.clone(),
            engine: entry.engine.clone(),
            description: entry.description.clone(),
            licence: entry.licence.clone(),
            memory_bytes,
            presence: Presence::Absent,
        }
    }
}

#[cfg(test)]
mod tests;
