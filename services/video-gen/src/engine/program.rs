//! Where the program is that makes videos.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::Error;

const NAME: &str = "polyphony-video-worker";

/// Finds it: where the configuration says (`video-gen.worker`), else beside this program, in `$POLYPHONY_HOME/bin`, or in
/// `$PATH`.
///
/// # Errors
/// [`Error::NoWorker`].
pub fn find(configured: &str) -> Result<PathBuf, Error> {
    if !configured.is_empty() {
        let path = PathBuf::from(configured);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Error::NoWorker(format!(
                "{configured} is no file (video-gen.worker)"
            )))
        };
    }
    let beside = env::current_exe().ok();
    let beside = beside.as_deref().and_then(Path::parent).map(Path::to_owned);
    let home = polyphony_config::data_dir(|name| env::var_os(name)).map(|home| home.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(home).chain(env::split_paths(&path));
    let found = folders
        .map(|folder| folder.join(NAME))
        .find(|path| path.is_file());
    found.ok_or_else(|| Error::NoWorker(format!("{NAME} is nowhere to be found")))
}
