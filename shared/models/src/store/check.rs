//! Whether the bytes on disk are those that should be there, asked before any parser sees them.
//!
//! A file that was read once is not read again while the system says that it is the same, untouched file: device, inode,
//! length, modification and change time. The change time cannot be set back by a program, so a flipped byte is noticed
//! even where the modification time was restored.

use std::fs;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{Installed, Layout, Place};
use crate::digest::fingerprint;
use crate::manifest::{read_json, write_json};
use crate::onnx::external_files;
use crate::{Error, FileEntry, FilePath, FileRecord, ModelRef, Sha256};

/// What is believed without reading the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// That an untouched file still has the bytes that were checked.
    Stamps,
    /// Nothing; a file that nobody pinned must still be what was recorded.
    Nothing,
    /// Nothing, and what was recorded is forgotten.
    NotEvenRecords,
}

/// What was checked, and how the system described the files then.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    root: PathBuf,
    files: Vec<StampedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StampedFile {
    record: FileRecord,
    /// `None` where the file was so new that a later change might bear the same times.
    seen: Option<Seen>,
}

/// How the system describes a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The times of a file are at least this exact, in seconds: the worst is FAT and old network file systems.
const COARSEST_CLOCK: i64 = 2;

/// Checks every file of a model, and writes down that it did.
pub(crate) fn check(layout: &Layout, place: Place, trust: Trust) -> Result<Installed, Error> {
    let Some(variant) = place.model.variant.clone() else {
        return Err(Error::Unknown(place.model));
    };
    let path = layout.stamp(&place.model.id, &variant);
    let root = place
        .root
        .canonicalize()
        .map_err(Error::io(format!("find {}", place.root.display())))?;
    let stamp: Option<Stamp> = read_stamp(&path, &root);
    let names: Vec<_> = place.files.iter().map(|file| file.path.clone()).collect();
    let mut files = Vec::with_capacity(place.files.len());
    for entry in &place.files {
        let stamped = stamp
            .as_ref()
            .and_then(|stamp| stamp.files.iter().find(|s| s.record.path == entry.path));
        files.push(check_file(&place, &root, &names, entry, stamped, trust)?);
    }
    if stamp.as_ref().is_none_or(|stamp| stamp.files != files) {
        let stamp = Stamp {
            root,
            files: files.clone(),
        };
        if let Err(error) = write_json(&path, &stamp) {
            // A store that is read only works; it reads its files at every start.
            tracing::debug!(path = %path.display(), %error, "cannot note that the model was verified");
        }
    }
    Ok(Installed::new(
        place,
        files.into_iter().map(|file| file.record).collect(),
    ))
}

/// The error for a file that no parser may see.
pub(crate) fn refuse(model: &ModelRef, path: &Path, problem: impl Into<String>) -> Error {
    Error::Corrupt {
        model: model.clone(),
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// Refuses a graph that takes its weights from anywhere but `files`. `bytes` is the length of the open file.
pub(crate) fn check_graph(
    model: &ModelRef,
    shown: &Path,
    path: &FilePath,
    file: &fs::File,
    bytes: u64,
    files: &[FilePath],
) -> Result<(), Error> {
    let names = external_files(file, bytes)
        .map_err(|error| refuse(model, shown, format!("not an ONNX graph: {error}")))?;
    for name in names {
        let inside = path.sibling(&name).is_some_and(|file| files.contains(&file));
        if !inside {
            let problem = format!("it takes its weights from {name:?}, which is no file of the model");
            return Err(refuse(model, shown, problem));
        }
    }
    Ok(())
}

fn read_stamp(path: &Path, root: &Path) -> Option<Stamp> {
    match read_json::<Stamp>(path) {
        Ok(stamp) => stamp.filter(|stamp| stamp.root == root),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the note of what was verified is unreadable; all is read again");
            None
        }
    }
}

fn check_file(
    place: &Place,
    root: &Path,
    names: &[FilePath],
    entry: &FileEntry,
    stamped: Option<&StampedFile>,
    trust: Trust,
) -> Result<StampedFile, Error> {
    let model = &place.model;
    let shown = root.join(entry.path.native());
    let no = |problem: String| refuse(model, &shown, problem);
    let mend = || match place.ours {
        true => format!("`polyphony models pull {model}` replaces it"),
        false => "install it again".to_owned(),
    };
    let real = shown
        .canonicalize()
        .map_err(|error| no(format!("{error}; {}", mend())))?;
    if !real.starts_with(root) || place.ours && real != shown {
        return Err(no(format!("it is a link to {}", real.display())));
    }
    let mut file = fs::OpenOptions::new()
        .read(true)
        // Not a link, if somebody puts one there now; not the wait for a writer, if it is a pipe.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(&real)
        .map_err(|error| no(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| no(error.to_string()))?;
    if !metadata.is_file() {
        return Err(no("it is not a regular file".to_owned()));
    }
    let bytes = metadata.len();
    if let Some(expected) = entry.bytes.filter(|expected| *expected != bytes) {
        return Err(no(format!(
            "it has {bytes} bytes instead of {expected}; {}",
            mend()
        )));
    }
    let seen = Seen::of(&metadata);
    let untouched =
        stamped.filter(|stamped| stamped.seen.as_ref() == Some(&seen) && stamped.record.bytes == bytes);
    let known = untouched.filter(|_| trust == Trust::Stamps);
    let sha256 = match known {
        Some(stamped) => stamped.record.sha256,
        None => {
            let read = fingerprint(&file).map_err(|error| no(error.to_string()))?;
            if read.bytes != bytes {
                return Err(no("it grows or shrinks while it is read".to_owned()));
            }
            read.sha256
        }
    };
    if let Some(expected) = entry.sha256.filter(|expected| *expected != sha256) {
        return Err(no(format!(
            "its SHA-256 is {sha256} instead of {expected}; {}",
            mend()
        )));
    }
    if let (None, Some(before), true) = (entry.sha256, stamped, trust != Trust::NotEvenRecords) {
        check_record(model, before.record.sha256, sha256).map_err(no)?;
    }
    if entry.path.is_onnx() && known.is_none() {
        file.seek(SeekFrom::Start(0))
            .map_err(|error| no(error.to_string()))?;
        check_graph(model, &shown, &entry.path, &file, bytes, names)?;
    }
    let record = FileRecord {
        path: entry.path.clone(),
        bytes,
        sha256,
    };
    let seen = match known {
        Some(stamped) => stamped.seen.clone(),
        None => Some(seen).filter(Seen::is_settled),
    };
    Ok(StampedFile { record, seen })
}

/// Bytes that nobody pinned must stay what they were when they were first seen.
fn check_record(model: &ModelRef, recorded: Sha256, found: Sha256) -> Result<(), String> {
    if recorded == found {
        return Ok(());
    }
    Err(format!(
        "it changed since it was recorded ({recorded}, now {found}); if that was meant, `polyphony models pull {model}` accepts it"
    ))
}

// === impl Seen ===

impl Seen {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the file was changed long enough ago that another change has other times.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs().cast_signed());
        self.changed.0 + COARSEST_CLOCK < now
    }
}
