//! Downloads one file: from where it was cut, until it is whole, and not a byte more; then verifies and names it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::locked;
use super::plan::PlannedFile;
use super::progress::{FileReporter, Stage};
use crate::digest::{fingerprint, git_blob};
use crate::manifest::sync_folder;
use crate::names::PARTIAL;
use crate::source::{Again, Hub, Trouble};
use crate::store::Lock;
use crate::{Error, FileRecord, ModelId, Revision};

/// The download of one file.
pub(super) struct Fetch<'a> {
    pub(super) hub: &'a Hub,
    pub(super) repo: &'a ModelId,
    pub(super) commit: &'a Revision,
    pub(super) file: &'a PlannedFile,
    pub(super) staging: &'a Path,
    pub(super) lock: &'a Arc<Lock>,
    pub(super) reporter: FileReporter<'a>,
}

/// Tries in a row that bring nothing, before a hub is given up.
const TRIES: u32 = 5;
/// A try that brings so much counts as a new beginning.
const WORTHWHILE: u64 = 1 << 20;
/// The wait before the second try; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// What a file is called until it is verified.
pub(super) fn partial_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(PARTIAL);
    name.into()
}

/// Asks until there is an answer: again after what may pass, as a hub that is overloaded. A hub that cannot be reached
/// is not asked again.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Trouble>>,
{
    let mut tries = 1;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(Trouble {
                error: Error::Unreachable { endpoint, problem },
                ..
            }) => {
                return Err(Error::Unreachable { endpoint, problem });
            }
            Err(Trouble {
                again: Again::After(after),
                ..
            }) if tries < TRIES => {
                tokio::time::sleep(after.unwrap_or_else(|| wait_before(tries))).await;
                tries += 1;
            }
            Err(trouble) => return Err(trouble.error),
        }
    }
}

fn wait_before(tries: u32) -> Duration {
    FIRST_WAIT * 2_u32.pow(tries.saturating_sub(1).min(5))
}

// === impl Fetch ===

impl Fetch<'_> {
    pub(super) async fn run(&self) -> Result<FileRecord, Error> {
        let path = self.staging.join(self.file.path.native());
        let partial = partial_of(&path);
        if path.is_file() {
            // An earlier pull finished this file; it is checked like what has just arrived.
            fs::rename(&path, &partial).map_err(Error::io(format!("rename {}", path.display())))?;
        }
        self.download(&partial).await?;
        self.reporter.stage(Stage::Verifying);
        let file = self.file.clone();
        locked(self.lock, move || verify(&file, &partial, &path)).await
    }

    /// Brings the rest of the file, however often the connection is cut.
    async fn download(&self, partial: &Path) -> Result<(), Error> {
        let doing = || format!("write {}", partial.display());
        let open = tokio::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(partial)
            .await;
        let mut target = open.map_err(Error::io(doing()))?;
        let mut here = target.metadata().await.map_err(Error::io(doing()))?.len();
        if here > self.file.bytes {
            here = 0;
        }
        let mut tries = 1;
        while here < self.file.bytes {
            self.reporter.stage(Stage::Downloading);
            self.reporter.here(here);
            let before = here;
            let outcome = self.go_on(&mut target, &mut here).await;
            // What arrived is kept, whatever happened.
            target.flush().await.map_err(Error::io(doing()))?;
            match outcome {
                Ok(()) => {}
                Err(Trouble {
                    error,
                    again: Again::After(after),
                }) if tries < TRIES => {
                    tries = if here.saturating_sub(before) >= WORTHWHILE {
                        1
                    } else {
                        tries + 1
                    };
                    self.reporter.stage(Stage::Retrying {
                        reason: error.to_string(),
                    });
                    tokio::time::sleep(after.unwrap_or_else(|| wait_before(tries - 1))).await;
                }
                Err(trouble) => {
                    if matches!(trouble.error, Error::WrongSize { .. }) {
                        discard(partial)?;
                    }
                    return Err(trouble.error);
                }
            }
        }
        target.set_len(here).await.map_err(Error::io(doing()))?;
        target.sync_all().await.map_err(Error::io(doing()))?;
        self.reporter.here(here);
        Ok(())
    }

    /// One connection: from `here` as far as it goes.
    async fn go_on(&self, target: &mut tokio::fs::File, here: &mut u64) -> Result<(), Trouble> {
        let doing = || format!("write {}", self.file.path);
        let mut body = self
            .hub
            .get(self.repo, self.commit, &self.file.path, *here)
            .await?;
        *here = body.start;
        target
            .seek(SeekFrom::Start(*here))
            .await
            .map_err(Error::io(doing()))?;
        let announced = body.announced().map(|rest| rest.saturating_add(*here));
        if let Some(found) = announced.filter(|announced| *announced != self.file.bytes) {
            return Err(self.wrong_size(found).into());
        }
        while let Some(chunk) = body.chunk().await? {
            let chunk = chunk.as_ref();
            let after = here.saturating_add(chunk.len() as u64);
            if after > self.file.bytes {
                return Err(self.wrong_size(after).into());
            }
            target.write_all(chunk).await.map_err(Error::io(doing()))?;
            *here = after;
            self.reporter.here(after);
        }
        if *here < self.file.bytes {
            // The server says that this was all.
            return Err(self.wrong_size(*here).into());
        }
        Ok(())
    }

    fn wrong_size(&self, found: u64) -> Error {
        Error::WrongSize {
            file: self.file.path.clone(),
            expected: self.file.bytes,
            found,
        }
    }
}

/// Gives a file its name if its bytes are right, and deletes it if not.
fn verify(file: &PlannedFile, partial: &Path, path: &Path) -> Result<FileRecord, Error> {
    let doing = || format!("read {}", partial.display());
    let mut open = fs::File::open(partial).map_err(Error::io(doing()))?;
    let read = fingerprint(&open).map_err(Error::io(doing()))?;
    let wrong = |expected: String, found: String| {
        discard(partial)?;
        Err(Error::WrongBytes {
            file: file.path.clone(),
            expected,
            found,
        })
    };
    if let Some(expected) = file.expected.sha256.filter(|expected| *expected != read.sha256) {
        return wrong(format!("SHA-256 {expected}"), read.sha256.to_string());
    }
    if let Some(expected) = file.expected.blob {
        open.seek(SeekFrom::Start(0)).map_err(Error::io(doing()))?;
        let found = git_blob(&open, read.bytes).map_err(Error::io(doing()))?;
        if found != expected {
            return wrong(format!("git blob {expected}"), found.to_string());
        }
    }
    fs::rename(partial, path)
        .and_then(|()| path.parent().map_or(Ok(()), sync_folder))
        .map_err(Error::io(format!("rename {}", partial.display())))?;
    Ok(FileRecord {
        path: file.path.clone(),
        bytes: read.bytes,
        sha256: read.sha256,
    })
}

fn discard(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("delete {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
