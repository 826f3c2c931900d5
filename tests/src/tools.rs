//! Where the binaries, the clients in other languages and the test speech are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A binary of this build.
///
/// # Panics
/// If it was not built.
pub fn binary(name: &str) -> PathBuf {
    // Tests run from TARGET/PROFILE/deps; binaries are one folder up.
    let test = std::env::current_exe().expect("the path of this test");
    let path = test
        .parent()
        .and_then(Path::parent)
        .expect("a build folder")
        .join(name);
    assert!(
        path.is_file(),
        "{} is not built; run the tests of the whole workspace (make test)",
        path.display()
    );
    path
}

/// A recording of speech that this repository ships, and what is said in it.
pub fn speech() -> (PathBuf, &'static str) {
    (
        repository().join("services/asr/tests/fixtures/go_forward.flac"),
        "go forward ten meters",
    )
}

/// `grpcurl`.
pub fn grpcurl() -> Command {
    Command::new(installed("bin/grpcurl"))
}

/// Python with the packages of `tests/deploy`.
pub fn deploy_python() -> Command {
    Command::new(installed("deploy/bin/python"))
}

/// Python with the packages of `tests/clients/python`.
pub fn clients_python() -> Command {
    Command::new(installed("clients/bin/python"))
}

/// Node with the packages of `tests/clients/node`.
pub fn node() -> Command {
    let mut node = Command::new("node");
    node.env("NODE_PATH", installed("node-clients/node_modules"));
    node
}

/// Where the scripts of `setup/` install what they bring.
pub fn home() -> PathBuf {
    std::env::var_os("POLYPHONY_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
            data.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").expect("HOME")).join(".local/share"))
                .join("polyphony")
        })
}

fn installed(path: &str) -> PathBuf {
    let path = home().join(path);
    assert!(
        path.exists(),
        "{} is missing; setup/test installs it (make test does so)",
        path.display()
    );
    path
}

/// A WAV file of 16-bit mono samples at 16 kHz.
pub fn wav(data: &[u8]) -> Vec<u8> {
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + data.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([1, 0, 1, 0]);
    wav.extend(16_000_u32.to_le_bytes());
    wav.extend(32_000_u32.to_le_bytes());
    wav.extend([2, 0, 16, 0]);
    wav.extend(b"data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    wav
}

/// The bytes of that recording.
pub fn speech_bytes() -> Vec<u8> {
    std::fs::read(speech().0).expect("the recording that this repository ships")
}
