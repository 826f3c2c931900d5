//! Which file of the store lies where, and the locks on models.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::manifest::sync_folder;
use crate::{Error, ModelId, Revision, Variant};

/// The folder of a store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    dir: PathBuf,
}

/// The right to change what lies on disk of one model. Given back when dropped, or when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    // Closing the file releases the lock.
    _file: fs::File,
}

/// What folders that are being deleted are called. No model is: an id does not begin with a point.
const DISCARDED: &str = ".discarded.";

// === impl Layout ===

impl Layout {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn catalogue(&self) -> PathBuf {
        self.dir.join("catalogue.d")
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.dir.join("state/pins.json")
    }

    /// Holds a folder for each revision.
    pub(crate) fn installed(&self, id: &ModelId, variant: &Variant) -> PathBuf {
        self.dir
            .join("installed")
            .join(id.folder())
            .join(variant.as_str())
    }

    /// Holds a folder for each revision.
    pub(crate) fn staging(&self, id: &ModelId, variant: &Variant) -> PathBuf {
        self.dir.join("staging").join(id.folder()).join(variant.as_str())
    }

    pub(crate) fn stamp(&self, id: &ModelId, variant: &Variant) -> PathBuf {
        self.dir
            .join(format!("state/verified/{}@{variant}.json", id.folder()))
    }

    /// All models of which something was pulled.
    pub(crate) fn pulled(&self) -> Result<Vec<(ModelId, Variant)>, Error> {
        let mut models = Vec::new();
        for folder in folders(&self.dir.join("installed"))? {
            let Some(id) = ModelId::from_folder(&folder) else {
                continue;
            };
            for variant in self.pulled_variants(&id)? {
                models.push((id.clone(), variant));
            }
        }
        Ok(models)
    }

    /// The forms in which a model was pulled.
    pub(crate) fn pulled_variants(&self, id: &ModelId) -> Result<Vec<Variant>, Error> {
        let names = folders(&self.dir.join("installed").join(id.folder()))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The revisions of a model that were pulled.
    pub(crate) fn revisions(&self, id: &ModelId, variant: &Variant) -> Result<Vec<Revision>, Error> {
        let names = folders(&self.installed(id, variant))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Takes the lock of a model if nobody has it.
    pub(crate) fn try_lock(&self, id: &ModelId, variant: &Variant) -> Result<Option<Lock>, Error> {
        self.try_lock_named(&format!("{}@{variant}", id.folder()))
    }

    /// Takes a lock by the name of its file.
    pub(crate) fn try_lock_named(&self, name: &str) -> Result<Option<Lock>, Error> {
        let folder = self.dir.join("state/locks");
        let doing = || format!("lock {}/{name}", folder.display());
        fs::create_dir_all(&folder).map_err(Error::io(doing()))?;
        let file = fs::File::create(folder.join(name)).map_err(Error::io(doing()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(Error::io(doing())(error)),
        }
    }

    /// Deletes a folder so that nobody sees half of it: it goes out of sight first.
    pub(crate) fn discard(&self, folder: &Path) -> Result<(), Error> {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let doing = || format!("delete {}", folder.display());
        let staging = self.dir.join("staging");
        fs::create_dir_all(&staging).map_err(Error::io(doing()))?;
        for old in folders(&staging)?
            .iter()
            .filter(|name| name.starts_with(DISCARDED))
        {
            // A process died before it was done; or another is at it now, and then it is gone in a moment.
            drop(fs::remove_dir_all(staging.join(old)));
        }
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let aside = staging.join(format!("{DISCARDED}{}.{turn}", std::process::id()));
        match fs::rename(folder, &aside) {
            Ok(()) => match fs::remove_dir_all(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(doing())(error)),
                _ => Ok(()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(doing())(error)),
        }
    }

    /// Puts a finished folder where a revision of a model belongs, in one step, in the place of what was there. Other
    /// revisions leave: who has them open keeps them until then.
    pub(crate) fn place(
        &self,
        finished: &Path,
        id: &ModelId,
        variant: &Variant,
        revision: &Revision,
    ) -> Result<(), Error> {
        let home = self.installed(id, variant);
        let target = home.join(revision.as_str());
        let doing = || format!("move {} to {}", finished.display(), target.display());
        fs::create_dir_all(&home).map_err(Error::io(doing()))?;
        self.discard(&target)?;
        fs::rename(finished, &target).map_err(Error::io(doing()))?;
        sync_folder(&home).map_err(Error::io(doing()))?;
        let others = folders(&home)?
            .into_iter()
            .filter(|name| name != revision.as_str());
        others
            .map(|name| home.join(name))
            .try_for_each(|folder| self.discard(&folder))
    }
}

/// The names of the folders in a folder; none if there is no such folder.
fn folders(folder: &Path) -> Result<Vec<String>, Error> {
    let doing = || format!("read {}", folder.display());
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(doing())(error)),
    };
    let mut names = Vec::new();
    for item in items {
        let item = item.map_err(Error::io(doing()))?;
        // Links are no folders here: the store makes none.
        if item.file_type().map_err(Error::io(doing()))?.is_dir() {
            names.extend(item.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}
