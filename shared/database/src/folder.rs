//! The folder that a process keeps its files in: its own, and with room.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::Error;

/// Makes a folder, with those above it, and makes it this process's own for as long as what is returned is kept. The system
/// lets go of it when the process ends, however it ends.
///
/// # Errors
/// [`Error::InUse`], [`Error::File`].
pub fn own(folder: &Path) -> Result<File, Error> {
    fs::create_dir_all(folder).map_err(Error::file(folder, "made"))?;
    let path = folder.join("lock");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = opened.map_err(Error::file(&path, "opened"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::file(&path, "locked")(error)),
    }
}

/// Whether at least this many bytes are free on the disk of a folder.
///
/// # Errors
/// [`Error::NoRoom`], [`Error::File`].
pub fn check_room(folder: &Path, least: u64) -> Result<(), Error> {
    let disk = rustix::fs::statvfs(folder).map_err(|errno| Error::file(folder, "looked at")(errno.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < least {
        return Err(Error::NoRoom { free, least });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_owned_once_and_again_when_it_was_let_go() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("deep/down");
        let owned = own(&folder).unwrap();
        assert!(matches!(own(&folder), Err(Error::InUse(named)) if named == folder));
        drop(owned);
        own(&folder).unwrap();
    }

    #[test]
    fn room_is_what_the_disk_has() {
        let folder = tempfile::tempdir().unwrap();
        check_room(folder.path(), 1).unwrap();
        let refused = check_room(folder.path(), u64::MAX);
        assert!(matches!(refused, Err(Error::NoRoom { least: u64::MAX, .. })));
        let nowhere = check_room(&folder.path().join("nowhere"), 1);
        assert!(matches!(
            nowhere,
            Err(Error::File {
                doing: "looked at",
                ..
            })
        ));
    }
}
