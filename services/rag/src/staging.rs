//! The bytes of documents between their receipt and their indexing: files of their own, each written aside, synced and
//! named last.
//!
//! A file belongs to one upload. Files are not shared by content: then one document that is done could take the bytes from
//! under another that was just accepted.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use polyphony_database::check_room;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Error;

/// Where bytes wait. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Staging {
    folder: PathBuf,
    min_free: u64,
    max_bytes: u64,
}

/// Bytes that are being received. They are gone when this is dropped before [`finish`](Self::finish).
#[derive(Debug)]
pub struct Upload {
    staging: Staging,
    aside: Option<tempfile::NamedTempFile>,
    digest: Sha256,
    size: u64,
    /// Since room was last looked at.
    unchecked: u64,
}

/// Bytes that were received and are on the disk. They are gone when this is dropped before it was taken in.
#[derive(Debug)]
pub struct Kept {
    staging: Staging,
    /// The file's name; none once somebody else answers for it.
    name: Option<String>,
    digest: String,
    size: u64,
}

/// Room is looked at anew after so many bytes.
const CHECKED: u64 = 8 << 20;
/// What files that are being written begin with.
const ASIDE: &str = ".aside-";

// === impl Staging ===

impl Staging {
    /// Files in this folder, which is made if it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(folder: PathBuf, min_free: u64, max_bytes: u64) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, "made", error))?;
        Ok(Self {
            folder,
            min_free,
            max_bytes,
        })
    }

    /// The same place, for bytes that are no document.
    pub(crate) fn without_limit(&self) -> Self {
        Self {
            max_bytes: u64::MAX,
            ..self.clone()
        }
    }

    /// Begins to receive bytes.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn begin(&self) -> Result<Upload, Error> {
        check_room(&self.folder, self.min_free)?;
        let aside = tempfile::Builder::new()
            .prefix(ASIDE)
            .tempfile_in(&self.folder)
            .map_err(|error| Error::file(&self.folder, "written", error))?;
        Ok(Upload {
            staging: self.clone(),
            aside: Some(aside),
            digest: Sha256::new(),
            size: 0,
            unchecked: 0,
        })
    }

    /// Where a file is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Deletes a file; one that is gone already is no error.
    pub(crate) fn delete(&self, name: &str) {
        if name.is_empty() {
            return;
        }
        let path = self.path(name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            // The next start sweeps it.
            tracing::warn!(path = %path.display(), %error, "the bytes of a document could not be deleted");
        }
    }

    /// Deletes all files but these. Only before anything is received.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn retain(&self, names: &[String]) -> Result<(), Error> {
        let kept: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
        let read = |error| Error::file(&self.folder, "read", error);
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if !kept.contains(name) {
                self.delete(name);
            }
        }
        Ok(())
    }
}

// === impl Upload ===

impl Upload {
    /// More bytes. It blocks for the time of a write to the page cache.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when they are more than a document may have, RESOURCE_EXHAUSTED when there is no room.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.size += bytes.len() as u64;
        if self.size > self.staging.max_bytes {
            let most = self.staging.max_bytes;
            let text = format!("is larger than {most} bytes (rag.max_document_bytes)");
            return Err(polyphony_error::Fault::invalid("content", text).into());
        }
        self.unchecked += bytes.len() as u64;
        if self.unchecked >= CHECKED {
            check_room(&self.staging.folder, self.staging.min_free)?;
            self.unchecked = 0;
        }
        self.digest.update(bytes);
        let Some(aside) = &mut self.aside else {
            return Err(Error::damaged("bytes come after an upload was finished"));
        };
        let path = aside.path().to_owned();
        aside
            .write_all(bytes)
            .map_err(|error| Error::file(&path, "written", error))
    }

    /// How many bytes there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// There are no more. When it returns, they are on the disk. It blocks.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when there is no room.
    pub fn finish(mut self) -> Result<Kept, Error> {
        let Some(aside) = self.aside.take() else {
            return Err(Error::damaged("an upload was finished twice"));
        };
        let path = aside.path().to_owned();
        let failed = |error| Error::file(&path, "written", error);
        aside.as_file().sync_all().map_err(failed)?;
        let name = Uuid::new_v4().simple().to_string();
        let staging = self.staging.clone();
        aside
            .persist_noclobber(staging.path(&name))
            .map_err(|error| failed(error.error))?;
        let kept = Kept {
            digest: spelled(&self.digest.finalize_reset()),
            size: self.size,
            name: Some(name),
            staging,
        };
        sync_folder(&kept.staging.folder)?;
        Ok(kept)
    }
}

// === impl Kept ===

impl Kept {
    /// How many bytes there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// `sha256:` over them, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Where they are.
    pub fn path(&self) -> PathBuf {
        self.staging.path(self.name())
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The ledger answers for the file now.
    pub(crate) fn release(&mut self) {
        self.name = None;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.staging.delete(&name);
        }
    }
}

/// Writes a small file aside and names it last, so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |error| Error::file(path, "written", error);
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut aside = tempfile::Builder::new()
        .prefix(ASIDE)
        .tempfile_in(folder)
        .map_err(failed)?;
    aside.write_all(bytes).map_err(failed)?;
    aside.as_file().sync_all().map_err(failed)?;
    aside.persist(path).map_err(|error| failed(error.error))?;
    sync_folder(folder)
}

/// A new name in a folder is on the disk only when the folder is.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::file(folder, "synced", error))
}

/// A SHA-256 as text: `sha256:` and hexadecimal digits.
pub(crate) fn spelled(digest: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in digest {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn bytes_are_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(folder.path().join("staged"), 0, 10).unwrap();
        let mut upload = staging.begin().unwrap();
        upload.write(b"hello").unwrap();
        drop(upload);
        assert!(
            names(&staging.folder).is_empty(),
            "an upload that broke off leaves nothing"
        );

        let mut upload = staging.begin().unwrap();
        upload.write(b"he").unwrap();
        upload.write(b"llo").unwrap();
        let mut kept = upload.finish().unwrap();
        assert_eq!(
            kept.digest(),
            "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(fs::read(kept.path()).unwrap(), b"hello");
        let name = kept.name().to_owned();
        kept.release();
        drop(kept);
        assert_eq!(names(&staging.folder), std::slice::from_ref(&name));
        fs::write(staging.path(".aside-x"), b"").unwrap();
        staging.retain(std::slice::from_ref(&name)).unwrap();
        assert_eq!(names(&staging.folder), std::slice::from_ref(&name));
        staging.delete(&name);
        staging.delete(&name);
        assert!(names(&staging.folder).is_empty());
    }

    #[test]
    fn too_large_and_too_full_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(folder.path().to_owned(), 0, 4).unwrap();
        let error = staging.begin().unwrap().write(b"hello").unwrap_err();
        assert!(error.to_string().contains("rag.max_document_bytes"), "{error}");
        let full = Staging::new(folder.path().to_owned(), u64::MAX, 4).unwrap();
        assert!(matches!(full.begin(), Err(Error::Full { .. })));
    }
}
