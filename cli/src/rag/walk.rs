//! Which files a command line means: files as they are named, folders with all that is below them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use polyphony_rag::parse::Format;

/// A file that can be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What the mesh is told of where it comes from.
    pub(super) source_uri: String,
    pub(super) bytes: u64,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// In order of their paths.
    pub(super) files: Vec<Found>,
    /// Files that are left out, and why.
    pub(super) skipped: Vec<(PathBuf, String)>,
}

/// Folders deeper than this are a loop.
const DEEPEST: usize = 64;
/// So much of a file tells its type.
const HEAD: u64 = 4_096;

/// Walks. A path that is named must be there; what is found below folders may be left out.
pub(super) fn walk(paths: &[PathBuf]) -> anyhow::Result<Walk> {
    let mut walk = Walk::default();
    for path in paths {
        let about = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if about.is_dir() {
            walk.folder(path, DEEPEST);
        } else {
            walk.file(path, about.len());
        }
    }
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    walk.files.dedup();
    Ok(walk)
}

// === impl Walk ===

impl Walk {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.skip(folder, error.to_string()),
        };
        if depth == 0 {
            return self.skip(folder, "it is too deep".to_owned());
        }
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.skip(folder, error.to_string()),
            };
            // Hidden: version control, settings, what editors leave behind.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            // Not followed: a link may lead out of the folder, or back into it.
            match entry.metadata() {
                Ok(about) if about.is_dir() => self.folder(&path, depth - 1),
                Ok(about) if about.is_file() => self.file(&path, about.len()),
                Ok(_) => self.skip(&path, "it is no file".to_owned()),
                Err(error) => self.skip(&path, error.to_string()),
            }
        }
    }

    fn file(&mut self, path: &Path, bytes: u64) {
        let Some(name) = path.to_str() else {
            return self.skip(path, "its name is not UTF-8".to_owned());
        };
        if bytes == 0 {
            return self.skip(path, "it is empty".to_owned());
        }
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
        if let Err(error) = read {
            return self.skip(path, error.to_string());
        }
        if Format::find("", name, &head).is_err() {
            return self.skip(path, "it is of no known type".to_owned());
        }
        self.files.push(Found {
            path: path.to_owned(),
            source_uri: name.strip_prefix("./").unwrap_or(name).to_owned(),
            bytes,
        });
    }

    fn skip(&mut self, path: &Path, why: String) {
        self.skipped.push((path.to_owned(), why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_and_hidden_and_unknown_files_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).expect("folders");
        fs::create_dir_all(at(".git")).expect("folders");
        for (name, bytes) in [
            ("a/b/notes.md", &b"# Notes"[..]),
            ("a/plain", b"plain text"),
            ("a/data.bin", b"\0\x01\x02\x03"),
            ("a/empty.txt", b""),
            (".git/config", b"[core]"),
            ("a/.hidden.md", b"# Hidden"),
        ] {
            fs::write(at(name), bytes).expect("written");
        }
        std::os::unix::fs::symlink(folder.path(), at("a/loop")).expect("a link");
        let Walk { files, mut skipped } = walk(&[folder.path().to_owned()]).expect("a walk");
        let names: Vec<&Path> = files.iter().map(|found| found.path.as_path()).collect();
        assert_eq!(names, [at("a/b/notes.md"), at("a/plain")]);
        skipped.sort();
        let skipped: Vec<(&Path, &str)> = skipped
            .iter()
            .map(|(path, why)| (path.as_path(), why.as_str()))
            .collect();
        assert_eq!(
            skipped,
            [
                (at("a/data.bin").as_path(), "it is of no known type"),
                (at("a/empty.txt").as_path(), "it is empty"),
                (at("a/loop").as_path(), "it is no file"),
            ]
        );
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        let error = walk(&[PathBuf::from("/nowhere/at/all")]).expect_err("not there");
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
