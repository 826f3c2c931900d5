//! A process that is killed: this test binary, called for one test that does nothing unless it is told a folder. Where it
//! is told a place, it stops there for ever and leaves a file that says so.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How often one is killed: `POLYPHONY_RAG_KILLS`, 2 unless it is set.
pub(crate) fn kills() -> usize {
    std::env::var("POLYPHONY_RAG_KILLS").map_or(2, |text| text.parse().expect("a number"))
}

/// The file by which it says that it has stopped at its place.
pub(crate) fn stopped(folder: &Path) -> PathBuf {
    folder.join("stopped")
}

/// Starts it for this test, with these variables.
pub(crate) fn start(test: &str, told: &[(&str, &OsStr)], folder: &Path, place: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("a test"));
    command
        .args([test, "--exact", "--test-threads=1"])
        .envs(told.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(place) = place {
        command
            .env("POLYPHONY_RAG_STOP_AT", place)
            .env("POLYPHONY_RAG_STOP_FILE", stopped(folder));
    }
    command.spawn().expect("starts")
}
