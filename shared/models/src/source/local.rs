//! Places on this machine where somebody else put the files of a model: pip, apt, or a person.
//!
//! Such files are used where they lie. They are never written, and are checked like any others before they are used.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, FileEntry, ModelRef, Source, VariantEntry};

/// Folders within a folder model go no deeper.
const DEEPEST: usize = 8;

/// The folder below which the files of a variant lie, and those files; `None` if they are not there. The files of a
/// folder that lists none are all that it holds.
pub(crate) fn root_of(
    model: &ModelRef,
    source: &Source,
    variant: &VariantEntry,
    wheel_dirs: &[PathBuf],
) -> Result<Option<(PathBuf, Vec<FileEntry>)>, Error> {
    let candidates: Vec<&Path> = match source {
        Source::Hub { .. } => return Ok(None),
        Source::Wheel { .. } => wheel_dirs.iter().map(PathBuf::as_path).collect(),
        Source::Debian { root, .. } => vec![root],
        Source::Folder { path } => vec![path],
    };
    if variant.files.is_empty() {
        let Some(root) = candidates.into_iter().find(|root| root.is_dir()) else {
            return Ok(None);
        };
        let files = everything_below(model, root)?;
        return Ok((!files.is_empty()).then(|| (root.to_owned(), files)));
    }
    let whole = |root: &&Path| {
        let mut needed = variant.files.iter().filter(|file| !file.optional);
        needed.all(|file| root.join(file.path.native()).is_file())
    };
    let Some(root) = candidates.into_iter().find(whole) else {
        return Ok(None);
    };
    let mut files = variant.files.clone();
    files.retain(|file| !file.optional || root.join(file.path.native()).is_file());
    Ok(Some((root.to_owned(), files)))
}

/// The regular files below a folder, by path. Hidden files are passed over; links and odd names are refused, so that
/// nobody believes that they are part of the model.
fn everything_below(model: &ModelRef, root: &Path) -> Result<Vec<FileEntry>, Error> {
    let refuse = |path: &Path, problem: String| Error::Corrupt {
        model: model.clone(),
        path: path.to_owned(),
        problem,
    };
    let reading = |path: &Path| Error::io(format!("read {}", path.display()));
    let mut files = Vec::new();
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for item in fs::read_dir(&folder).map_err(reading(&folder))? {
            let item = item.map_err(reading(&folder))?;
            let path = item.path();
            let kind = item.file_type().map_err(reading(&path))?;
            let name = item.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let inside = format!("{prefix}{name}");
            if kind.is_dir() && depth < DEEPEST {
                folders.push((path, format!("{inside}/"), depth + 1));
            } else if kind.is_file() {
                let path = inside
                    .parse()
                    .map_err(|error: Error| refuse(&path, format!("{error}; rename it")))?;
                files.push(FileEntry {
                    path,
                    bytes: None,
                    sha256: None,
                    optional: false,
                });
            } else {
                return Err(refuse(
                    &path,
                    "it is neither a file nor a folder; list files in the catalogue".to_owned(),
                ));
            }
            if files.len() + folders.len() > crate::catalogue::MOST_FILES {
                let most = crate::catalogue::MOST_FILES;
                return Err(refuse(
                    root,
                    format!("it holds more than {most} files; list files in the catalogue"),
                ));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
