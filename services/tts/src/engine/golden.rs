//! What parity tests of engines with networks need: fixtures, what the references said, and the libraries of `make setup`.

use std::path::{Path, PathBuf};

use polyphony_espeak::Espeak;
use polyphony_inference::{InferenceConfig, Loaded, Runtime};
use serde::de::DeserializeOwned;

/// A folder of fixtures.
pub(super) fn fixture(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(folder)
}

/// What a reference said.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> T {
    let text = std::fs::read_to_string(file).expect("a golden file");
    serde_json::from_str(&text).expect("a golden file")
}

/// ONNX Runtime.
pub(super) fn loaded() -> &'static Loaded {
    Runtime::new(&InferenceConfig::default())
        .get()
        .unwrap_or_else(|error| panic!("{error}; `make setup` installs it"))
}

/// espeak-ng.
pub(super) fn espeak() -> Espeak {
    let home = polyphony_config::data_dir(|name| std::env::var_os(name)).expect("a home folder");
    Espeak::open(&home.join("wheels/espeakng_loader"))
        .unwrap_or_else(|error| panic!("{error}; `make setup` installs it"))
}
