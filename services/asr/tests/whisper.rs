//! Whisper against openai-whisper, on tiny random-weight models (`fixtures/make_tiny_whisper.py` makes both).
//!
//! Tokens and times must be equal, log-probabilities within 1e-4. The tests need the ONNX Runtime library, which the
//! set-up installs; without it they fail and say how to get it.

mod parity;
mod served;
mod sound;
mod stream;

use std::path::{Path, PathBuf};

use polyphony_asr::engine::whisper::{Folder, WhisperEngine};
use polyphony_config::{Layers, Sources};
use polyphony_inference::{InferenceConfig, Runtime};

/// What a model may consist of.
const FILES: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "encoder_model.onnx",
    "decoder_model_merged.onnx",
    "onnx/encoder_model_fp16.onnx",
    "onnx/decoder_model_merged_fp16.onnx",
];

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
    let files = FILES.iter().copied().filter(|file| folder.join(file).is_file());
    let engine = WhisperEngine::load(
        &Folder::new(folder, files),
        "tiny",
        "sha256:0",
        &Runtime::new(&config),
        &config,
    );
    engine.unwrap_or_else(|error| panic!("{}", polyphony_error::chain(&error)))
}
