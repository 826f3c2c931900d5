//! The models of the tests, loaded. They need the ONNX Runtime library and MiniLM's graph, which the set-up installs;
//! without them the tests fail and say how to get them.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use polyphony_encoders::{CrossEncoder, Embedder, Folder, ZeroShot};
use polyphony_inference::{InferenceConfig, Runtime};
use polyphony_models::{ModelsConfig, Store};
use serde_json::Value;

pub(crate) const SETUP: &str = "`make setup` installs ONNX Runtime and the models";

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub(crate) fn golden(name: &str) -> Value {
    let content = std::fs::read(fixture(name).join("golden.json")).expect("a golden file");
    serde_json::from_slice(&content).expect("JSON")
}

pub(crate) fn texts(value: &Value) -> Vec<&str> {
    let texts = value.as_array().expect("a list").iter();
    texts.map(|text| text.as_str().expect("a text")).collect()
}

pub(crate) fn numbers(value: &Value) -> Vec<f32> {
    let numbers = value.as_array().expect("a list").iter();
    numbers
        .map(|number| number.as_f64().expect("a number") as f32)
        .collect()
}

pub(crate) fn config() -> InferenceConfig {
    InferenceConfig {
        sessions: NonZeroUsize::new(2),
        threads_per_session: NonZeroUsize::new(1),
        ..InferenceConfig::default()
    }
}

pub(crate) fn store() -> Store {
    Store::open(&ModelsConfig::default(), |name| std::env::var_os(name)).expect("a store")
}

/// all-MiniLM-L6-v2 as the catalogue has it.
pub(crate) fn minilm() -> Embedder {
    let installed = store()
        .find(&"all-MiniLM-L6-v2".parse().expect("a name"))
        .expect(SETUP);
    let files = installed.files.iter().map(|file| file.path.as_str());
    let folder = Folder::new(&installed.dir, files).expect("a graph");
    let config = config();
    Embedder::load(
        &folder,
        "all-MiniLM-L6-v2",
        "sha256:0",
        &Runtime::new(&config),
        &config,
    )
    .expect(SETUP)
}

pub(crate) fn folder(name: &str) -> Folder {
    let files = [
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "onnx/model.onnx",
        "tokenizer.json",
    ];
    let dir = fixture(name);
    let there = files.into_iter().filter(|file| dir.join(file).exists());
    Folder::new(&dir, there).expect("a graph")
}

pub(crate) fn embedder(name: &str) -> Embedder {
    let config = config();
    Embedder::load(&folder(name), name, "sha256:0", &Runtime::new(&config), &config).expect(SETUP)
}

pub(crate) fn cross_encoder(name: &str) -> CrossEncoder {
    let config = config();
    CrossEncoder::load(&folder(name), name, "sha256:0", &Runtime::new(&config), &config).expect(SETUP)
}

pub(crate) fn zero_shot(name: &str) -> ZeroShot {
    let config = config();
    ZeroShot::load(&folder(name), name, "sha256:0", &Runtime::new(&config), &config).expect(SETUP)
}
