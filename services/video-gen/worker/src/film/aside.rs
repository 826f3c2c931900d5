//! A file that appears whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file under another name, deleted unless it came to its own.
struct Part<'a> {
    path: &'a Path,
    kept: bool,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // What is left after a crash is overwritten by the next attempt.
            drop(fs::remove_file(self.path));
        }
    }
}

/// Writes a file aside, then gives it its name. `durably`: it is on the disk before it has it.
pub(super) fn write(output: &Path, bytes: &[u8], durably: bool) -> Result<()> {
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    let aside = PathBuf::from(name);
    let mut file = File::create(&aside).map_err(Error::storage(&aside, "created"))?;
    let mut part = Part {
        path: &aside,
        kept: false,
    };
    file.write_all(bytes).map_err(Error::storage(&aside, "written"))?;
    if durably {
        file.sync_all().map_err(Error::storage(&aside, "synced"))?;
    }
    drop(file);
    fs::rename(&aside, output).map_err(Error::storage(output, "put in its place"))?;
    part.kept = true;
    if durably && let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let folder_file = File::open(folder).map_err(Error::storage(folder, "opened"))?;
        folder_file.sync_all().map_err(Error::storage(folder, "synced"))?;
    }
    Ok(())
}
