//! A file that appears when it is complete: written beside its place, then renamed. What failed leaves nothing behind,
//! and what lay there before stays until then.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file being written.
pub(crate) struct WholeFile {
    file: File,
    part: PathBuf,
    place: PathBuf,
    kept: bool,
}

// === impl WholeFile ===

impl WholeFile {
    /// Begins a file.
    pub(crate) fn create(place: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", place.display());
        let name = place
            .file_name()
            .context("a folder is no file")
            .with_context(cannot)?;
        let part = place.with_file_name(format!(".{}.part", name.to_string_lossy()));
        let file = File::create(&part).with_context(cannot)?;
        Ok(Self {
            file,
            part,
            place: place.to_owned(),
            kept: false,
        })
    }

    /// Writes over the beginning.
    pub(crate) fn write_head(&mut self, head: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(head)?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    /// Puts it into its place.
    pub(crate) fn keep(mut self) -> anyhow::Result<()> {
        let kept = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.part, &self.place));
        kept.with_context(|| format!("cannot write {}", self.place.display()))?;
        self.kept = true;
        Ok(())
    }

    /// Where it will be.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.kept {
            // Why it is of no use is being said already.
            drop(fs::remove_file(&self.part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("a.wav");
        fs::write(&place, b"old").expect("written");
        let mut file = WholeFile::create(&place).expect("created");
        file.write_all(b"new").expect("written");
        drop(file);
        assert_eq!(fs::read(&place).expect("read"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);

        let mut file = WholeFile::create(&place).expect("created");
        file.write_all(b"new file").expect("written");
        file.write_head(b"NEW").expect("written");
        file.write_all(b"!").expect("written");
        file.keep().expect("kept");
        assert_eq!(fs::read(&place).expect("read"), b"NEW file!");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
