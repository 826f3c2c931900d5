//! Whisper against openai-whisper, on tiny random-weight models (`fixtures/make_tiny_whisper.py` makes both).
//!
//! Tokens and times must be equal, log-probabilities within 1e-4. The tests need the ONNX Runtime library, which the
//! set-up installs; without it they fail and say how to get it.

mod parity;
mod sound;
mod stream;

use std::path::{Path, PathBuf};

use polyphony_asr::engine::whisper::WhisperEngine;
use polyphony_config::{Layers, Sources};
use polyphony_inference::{InferenceConfig, Runtime};

/// The folder of a tiny model.
fn folder(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/whisper")
        .join(model)
}

/// `[inference]` as the environment sets it, on the processor, with one session.
fn config() -> InferenceConfig {
    let sources = Sources {
        search: Vec::new(),
        ..Sources::of_process(
            None,
            vec![
                "inference.device=cpu".to_owned(),
                "inference.sessions=1".to_owned(),
            ],
        )
    };
    let layers = Layers::load(sources).expect("environment");
    layers.section("inference").expect("[inference]")
}

fn load(folder: &Path) -> WhisperEngine {
    let config = config();
    let engine = WhisperEngine::load(folder, "tiny", "sha256:0", &Runtime::new(&config), &config);
    engine.unwrap_or_else(|error| panic!("{}", polyphony_error::chain(&error)))
}
