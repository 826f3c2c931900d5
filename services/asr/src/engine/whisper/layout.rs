//! Finds the files of a model folder, as optimum and transformers.js export them.
//!
//! The graphs are in the folder itself or in `onnx/`, and may be there in several precisions, told by a suffix. Which
//! of them suits depends on the device: the encoder is a few large products, which int8 hardly helps on processors
//! without VNNI; the decoder multiplies by one row at a time, which int8 makes up to four times as fast.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use polyphony_inference::Device;

use super::error::WhisperError;

/// A model's folder and the files in it that were verified. Nothing else that lies there is opened.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
    files: BTreeSet<PathBuf>,
}

/// The files of a model.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) encoder: PathBuf,
    pub(super) decoder: PathBuf,
    pub(super) config: PathBuf,
    /// Absent in exports of 2022; most of what it says is then in `config`.
    pub(super) generation: Option<PathBuf>,
    /// Absent where the number of mel bins is in `config` alone.
    pub(super) preprocessor: Option<PathBuf>,
    pub(super) tokenizer: TokenizerFiles,
}

/// How the vocabulary is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenizerFiles {
    /// `tokenizer.json`.
    One(PathBuf),
    /// `vocab.json`, `merges.txt` and, where special tokens are kept apart, `added_tokens.json`.
    Parts {
        vocab: PathBuf,
        merges: PathBuf,
        added: Option<PathBuf>,
    },
}

const ENCODER_ON_CPU: [&str; 8] = [
    "",
    "_quantized",
    "_int8",
    "_uint8",
    "_fp16",
    "_q4",
    "_bnb4",
    "_q4f16",
];
const DECODER_ON_CPU: [&str; 8] = [
    "_int8",
    "_quantized",
    "_uint8",
    "",
    "_q4",
    "_bnb4",
    "_fp16",
    "_q4f16",
];
const ON_GPU: [&str; 8] = [
    "_fp16",
    "",
    "_q4f16",
    "_q4",
    "_bnb4",
    "_quantized",
    "_int8",
    "_uint8",
];

/// Finds the files.
pub(super) fn find(folder: &Folder, device: Device) -> Result<Files, WhisperError> {
    let missing = |what: &str| WhisperError::Layout {
        folder: folder.dir.clone(),
        problem: format!("{what} is missing"),
    };
    let (encoders, decoders) = match device {
        Device::Cpu => (ENCODER_ON_CPU, DECODER_ON_CPU),
        Device::Cuda(_) => (ON_GPU, ON_GPU),
    };
    let graph = |stem: &str, suffixes: [&str; 8]| {
        let names = suffixes.map(|suffix| format!("{stem}{suffix}.onnx"));
        let candidates = names
            .iter()
            .flat_map(|name| [PathBuf::from(name), Path::new("onnx").join(name)]);
        candidates
            .into_iter()
            .find_map(|path| folder.path(&path))
            .ok_or_else(|| missing(&format!("{stem}.onnx")))
    };
    let present = |name: &str| folder.path(Path::new(name));
    let tokenizer = match (
        present("tokenizer.json"),
        present("vocab.json"),
        present("merges.txt"),
    ) {
        (Some(one), _, _) => TokenizerFiles::One(one),
        (None, Some(vocab), Some(merges)) => TokenizerFiles::Parts {
            vocab,
            merges,
            added: present("added_tokens.json"),
        },
        _ => return Err(missing("tokenizer.json (or vocab.json with merges.txt)")),
    };
    Ok(Files {
        encoder: graph("encoder_model", encoders)?,
        decoder: graph("decoder_model_merged", decoders)?,
        config: present("config.json").ok_or_else(|| missing("config.json"))?,
        generation: present("generation_config.json"),
        preprocessor: present("preprocessor_config.json"),
        tokenizer,
    })
}

// === impl Folder ===

impl Folder {
    /// `files` are relative to `dir`.
    pub fn new(dir: impl Into<PathBuf>, files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            dir: dir.into(),
            files: files.into_iter().map(Into::into).collect(),
        }
    }

    /// Where a file lies, if it is one of them.
    fn path(&self, file: &Path) -> Option<PathBuf> {
        self.files.contains(file).then(|| self.dir.join(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> Folder {
        Folder::new("/model", names)
    }

    #[test]
    fn each_device_gets_the_precision_that_suits_it() {
        let folder = folder_with(&[
            "config.json",
            "tokenizer.json",
            "onnx/encoder_model.onnx",
            "onnx/encoder_model_quantized.onnx",
            "onnx/encoder_model_fp16.onnx",
            "onnx/decoder_model_merged.onnx",
            "onnx/decoder_model_merged_quantized.onnx",
            "onnx/decoder_model_merged_fp16.onnx",
        ]);
        let name = |path: &Path| path.file_name().expect("name").to_string_lossy().into_owned();
        let cpu = find(&folder, Device::Cpu).expect("files");
        assert_eq!(name(&cpu.encoder), "encoder_model.onnx");
        assert_eq!(name(&cpu.decoder), "decoder_model_merged_quantized.onnx");
        let gpu = find(&folder, Device::Cuda(0)).expect("files");
        assert_eq!(name(&gpu.encoder), "encoder_model_fp16.onnx");
        assert_eq!(name(&gpu.decoder), "decoder_model_merged_fp16.onnx");
        assert_eq!(gpu.generation, None);
    }

    #[test]
    fn a_vocabulary_in_parts_is_known() {
        let files = [
            "config.json",
            "encoder_model.onnx",
            "decoder_model_merged.onnx",
            "vocab.json",
            "merges.txt",
        ];
        let folder = folder_with(&files);
        let found = find(&folder, Device::Cpu).expect("files");
        assert!(matches!(
            found.tokenizer,
            TokenizerFiles::Parts { added: None, .. }
        ));
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = folder_with(&["config.json", "tokenizer.json", "encoder_model.onnx"]);
        let error = find(&folder, Device::Cpu).expect_err("no decoder").to_string();
        assert!(error.contains("decoder_model_merged.onnx is missing"), "{error}");
    }
}
