//! The manifest beside the files of a pulled model (`model.json`), and the digest of a model.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{FilePath, ModelId, Revision, Sha256, Source, Variant};

/// What a pulled model is: written once, when all its files are verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The form of this file; 1.
    pub format: u32,
    /// Which model.
    pub model: ModelId,
    /// In which form.
    pub variant: Variant,
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
    /// Exactly which state of the source: for the hub a commit.
    pub revision: Revision,
    /// When, in milliseconds since 1970 (UTC).
    pub pulled_at_millis: u64,
    /// Its files, sorted by path.
    pub files: Vec<FileRecord>,
}

/// A file as it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Where it lies in the model.
    pub path: FilePath,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
}

/// The form of manifest that this code writes.
pub(crate) const FORMAT: u32 = 1;
/// No file of the store that is read as JSON is longer.
const LONGEST: u64 = 4 << 20;

/// The digest of a model: SHA-256 over one line `sha256  bytes  path` for each file, sorted by path.
pub(crate) fn digest(files: &[FileRecord]) -> Sha256 {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let line = |file: &FileRecord| format!("{}  {}  {}\n", file.sha256, file.bytes, file.path);
    Sha256::of(sorted.into_iter().map(line).collect::<String>())
}

/// Reads a JSON file of the store; `None` where there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than 4 MiB"));
    }
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Writes a JSON file so that a reader sees the old one or the new one, also after a power cut.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Two writers of one file must not share the copy that is not ready.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let turn = WRITES.fetch_add(1, Ordering::Relaxed);
    let aside = folder.join(format!(".{name}.{}.{turn}", std::process::id()));
    let mut file = fs::File::create(&aside)?;
    io::Write::write_all(&mut file, &text)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    sync_folder(folder)
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, content: &str) -> FileRecord {
        FileRecord {
            path: path.parse().expect("a path"),
            bytes: content.len() as u64,
            sha256: Sha256::of(content),
        }
    }

    #[test]
    fn the_digest_knows_names_and_bytes_but_no_order() {
        let one = [record("a", "x"), record("b", "y")];
        let other_order = [record("b", "y"), record("a", "x")];
        let other_names = [record("a", "y"), record("b", "x")];
        assert_eq!(digest(&one), digest(&other_order));
        assert_ne!(digest(&one), digest(&other_names));
        assert_ne!(digest(&one), digest(&one[..1]));
    }

    #[test]
    fn a_state_file_of_absurd_length_is_not_parsed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("model.json");
        fs::write(&path, vec![b' '; LONGEST as usize + 1]).expect("written");
        let error = read_json::<serde_json::Value>(&path).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
