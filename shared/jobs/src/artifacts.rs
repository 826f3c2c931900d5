//! Files beside jobs: written aside, synced and named last, so that one is there whole or not at all; deleted with the job.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;
use crate::database::make_folder;

/// The files of a queue. Cheap to clone. Its calls block.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
    min_free: u64,
}

/// A file that is being written. It is gone when this is dropped before [`publish`](Self::publish).
#[derive(Debug)]
pub struct Draft {
    artifacts: Artifacts,
    job: String,
    name: String,
    aside: tempfile::TempPath,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// `sha256:` over its bytes, in hexadecimal.
    pub digest: String,
}

const ASIDE: &str = "aside";
/// Stands between a job, whose id has none, and what makes a name unlike any other.
const BEHIND_JOB: char = '-';
const NAMED: &str = "artifacts";

// === impl Artifacts ===

impl Artifacts {
    /// Files below this folder. `alone`: nobody else writes here, so what is half written belongs to nobody.
    pub(crate) fn open(folder: &Path, min_free: u64, alone: bool) -> Result<Self, Error> {
        let artifacts = Self {
            folder: folder.to_owned(),
            min_free,
        };
        make_folder(&artifacts.aside())?;
        make_folder(&artifacts.named())?;
        if alone {
            let read = || Error::file(folder, "read");
            for entry in fs::read_dir(artifacts.aside()).map_err(read())? {
                let path = entry.map_err(read())?.path();
                fs::remove_file(&path).map_err(Error::file(&path, "deleted"))?;
            }
        }
        Ok(artifacts)
    }

    /// Begins a file of a job, under a plain name as "video.mp4".
    ///
    /// # Errors
    /// [`Error::Full`]; a name that is none.
    pub fn begin(&self, job: &str, name: &str) -> Result<Draft, Error> {
        if !is_plain(job) || !is_plain(name) {
            return Err(Error::Damaged(format!("{job}/{name} is no name of a file")));
        }
        self.check_room()?;
        let aside = self.aside();
        let file = tempfile::Builder::new()
            .prefix(&format!("{job}{BEHIND_JOB}"))
            .suffix(&format!("-{name}"))
            .tempfile_in(&aside)
            .map_err(Error::file(&aside, "written"))?;
        Ok(Draft {
            artifacts: self.clone(),
            job: job.to_owned(),
            name: name.to_owned(),
            aside: file.into_temp_path(),
        })
    }

    /// Where the file of a job is, or would be.
    pub fn path(&self, job: &str, name: &str) -> PathBuf {
        self.named().join(job).join(name)
    }

    /// Whether there is room to write.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn check_room(&self) -> Result<(), Error> {
        Ok(polyphony_database::check_room(&self.folder, self.min_free)?)
    }

    /// Deletes the files of a job; that there are none is no error.
    pub(crate) fn delete(&self, job: &str) -> Result<(), Error> {
        if !is_plain(job) {
            return Ok(());
        }
        let folder = self.named().join(job);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file(&folder, "deleted")(error))
            }
            _ => Ok(()),
        }
    }

    /// The jobs that have files.
    pub(crate) fn owners(&self) -> Result<Vec<String>, Error> {
        let named = self.named();
        let read = || Error::file(&named, "read");
        let mut owners = Vec::new();
        for entry in fs::read_dir(&named).map_err(read())? {
            owners.extend(entry.map_err(read())?.file_name().into_string().ok());
        }
        Ok(owners)
    }

    /// What is being written or was left half written, each with its job: who has several processes on one disk cannot tell
    /// which at once.
    pub(crate) fn half_written(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        let aside = self.aside();
        let read = || Error::file(&aside, "read");
        let mut files = Vec::new();
        for entry in fs::read_dir(&aside).map_err(read())? {
            let entry = entry.map_err(read())?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((job, _)) = name.split_once(BEHIND_JOB) {
                files.push((job.to_owned(), entry.path()));
            }
        }
        Ok(files)
    }

    fn aside(&self) -> PathBuf {
        self.folder.join(ASIDE)
    }

    fn named(&self) -> PathBuf {
        self.folder.join(NAMED)
    }
}

// === impl Draft ===

impl Draft {
    /// Where to write; whoever writes need not be this process.
    pub fn path(&self) -> &Path {
        &self.aside
    }

    /// Writes bytes at its end.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn append(&self, bytes: &[u8]) -> Result<(), Error> {
        let opened = File::options().append(true).open(&self.aside);
        let written = opened.and_then(|mut file| file.write_all(bytes));
        written.map_err(Error::file(&self.aside, "written"))
    }

    /// It is whole: syncs it and gives it its name. One of the same name is replaced, as by a second attempt.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn publish(self) -> Result<Artifact, Error> {
        let Self {
            artifacts,
            job,
            name,
            aside,
        } = self;
        let mut file = File::open(&aside).map_err(Error::file(&aside, "read"))?;
        let (size, digest) = measured(&mut file).map_err(Error::file(&aside, "read"))?;
        file.sync_all().map_err(Error::file(&aside, "synced"))?;
        let path = artifacts.path(&job, &name);
        let folder = artifacts.named().join(&job);
        make_folder(&folder)?;
        aside
            .persist(&path)
            .map_err(|error| Error::file(&path, "written")(error.error))?;
        // A new name in a folder is on the disk only when the folder is.
        for folder in [&folder, &artifacts.named()] {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(Error::file(folder, "synced"))?;
        }
        Ok(Artifact { path, size, digest })
    }
}

/// The size and the digest of a file.
fn measured(file: &mut File) -> io::Result<(u64, String)> {
    let (mut digest, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        size += read as u64;
    }
    let mut text = String::from("sha256:");
    for byte in digest.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok((size, text))
}

/// Letters, digits, dashes and dots, and not hidden: it names nothing outside of its folder.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(plain)
}
