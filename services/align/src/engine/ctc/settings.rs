//! What a model's own files say: its letters, which of them is the blank, how samples become frames.
//!
//! The layout is that of transformers and of the exports that hub users have: `config.json`, `vocab.json`, and where
//! they exist `preprocessor_config.json` and `tokenizer_config.json`; the graph is `onnx/model*.onnx` or beside them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use polyphony_inference::Device;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::CtcError;

/// What the files say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Each token of the vocabulary, and its column in the output.
    pub(super) tokens: BTreeMap<String, u32>,
    /// Columns of the output.
    pub(super) columns: usize,
    pub(super) blank: u32,
    /// What stands between words, where the model writes it.
    pub(super) delimiter: Option<u32>,
    /// What matches any sound, where the model was trained with it.
    pub(super) star: Option<u32>,
    /// Whether the samples get a mean of 0 and a variance of 1.
    pub(super) normalize: bool,
    /// Kernel and stride of each convolution.
    layers: Vec<(usize, usize)>,
}

/// The files of a model: its folder, and their paths in it. No other file of the folder is opened.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
    files: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Config {
    vocab_size: usize,
    #[serde(default)]
    pad_token_id: Option<u32>,
    conv_kernel: Vec<usize>,
    conv_stride: Vec<usize>,
}

#[derive(Debug, Default, Deserialize)]
struct Preprocessor {
    do_normalize: Option<bool>,
    sampling_rate: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
struct Tokenizer {
    word_delimiter_token: Option<String>,
    target_lang: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Vocabulary {
    Flat(BTreeMap<String, u32>),
    /// MMS: one for each language.
    Nested(BTreeMap<String, BTreeMap<String, u32>>),
}

/// The largest settings file that is read, in bytes; a vocabulary of 10,000 signs has 200 kB.
const LARGEST: u64 = 1 << 20;
/// What no such model exceeds; a file that says otherwise is wrong, and its numbers decide how much is allocated.
const MOST_COLUMNS: usize = 1 << 15;
const MOST_LAYERS: usize = 32;
const MOST_STRIDE: usize = 1 << 14;

// === impl Folder ===

impl Folder {
    /// The files, by their paths in `dir`.
    pub fn new(dir: impl Into<PathBuf>, files: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            dir: dir.into(),
            files: files.into_iter().map(Into::into).collect(),
        }
    }

    fn find(&self, names: &[&str]) -> Option<PathBuf> {
        let found = names
            .iter()
            .find(|name| self.files.iter().any(|file| file == *name))?;
        Some(self.dir.join(found))
    }

    fn need(&self, name: &str) -> Result<PathBuf, CtcError> {
        self.find(&[name]).ok_or_else(|| CtcError::Layout {
            folder: self.dir.clone(),
            problem: format!("it has no {name}"),
        })
    }

    /// The graph: of the forms that are there, the one that suits the device.
    pub(super) fn graph(&self, device: Device) -> Result<PathBuf, CtcError> {
        let whole = ["onnx/model.onnx", "model.onnx"];
        let half = ["onnx/model_fp16.onnx", "model_fp16.onnx"];
        let bytes = [
            "onnx/model_int8.onnx",
            "onnx/model_quantized.onnx",
            "model_quantized.onnx",
        ];
        let order = if device.is_gpu() {
            [half.as_slice(), &whole, &bytes]
        } else {
            [bytes.as_slice(), &whole, &half]
        };
        order
            .into_iter()
            .find_map(|names| self.find(names))
            .ok_or_else(|| CtcError::Layout {
                folder: self.dir.clone(),
                problem: format!("it has no {}", whole[0]),
            })
    }
}

// === impl Settings ===

impl Settings {
    pub(super) fn read(folder: &Folder) -> Result<Self, CtcError> {
        let path = folder.need("config.json")?;
        let config: Config = json(&path)?;
        let preprocessor: Preprocessor = optional(folder.find(&["preprocessor_config.json"]))?;
        let tokenizer: Tokenizer = optional(folder.find(&["tokenizer_config.json"]))?;
        let wrong = |problem: String| Err(CtcError::file(path.clone(), problem));
        if !(1..=MOST_COLUMNS).contains(&config.vocab_size) {
            return wrong(format!("vocab_size must be 1 to {MOST_COLUMNS}"));
        }
        if preprocessor
            .sampling_rate
            .is_some_and(|rate| rate != crate::domain::SAMPLE_RATE)
        {
            return wrong("the model does not hear 16 kHz".to_owned());
        }
        let layers: Vec<_> = config
            .conv_kernel
            .iter()
            .copied()
            .zip(config.conv_stride.iter().copied())
            .collect();
        let stride = layers
            .iter()
            .try_fold(1_usize, |all, (_, stride)| all.checked_mul(*stride));
        let sound = layers
            .iter()
            .all(|(kernel, stride)| *kernel > 0 && *stride > 0 && *kernel <= MOST_STRIDE);
        if layers.is_empty()
            || layers.len() > MOST_LAYERS
            || config.conv_kernel.len() != config.conv_stride.len()
            || !sound
            || stride.is_none_or(|stride| stride > MOST_STRIDE)
        {
            return wrong("conv_kernel and conv_stride must be of the same length and not 0".to_owned());
        }
        let vocabulary = folder.need("vocab.json")?;
        let tokens = match json(&vocabulary)? {
            Vocabulary::Flat(tokens) => tokens,
            Vocabulary::Nested(mut languages) => {
                let language = tokenizer.target_lang.as_deref().unwrap_or("eng");
                let missing = format!("it has no letters of \"{language}\"");
                languages
                    .remove(language)
                    .ok_or_else(|| CtcError::file(&vocabulary, missing))?
            }
        };
        let columns = config.vocab_size;
        if let Some((token, _)) = tokens.iter().find(|(_, column)| **column as usize >= columns) {
            return Err(CtcError::file(
                &vocabulary,
                format!("\"{token}\" is beyond vocab_size"),
            ));
        }
        let column = |token: &str| tokens.get(token).copied();
        // MMS aligners have a blank of their own beside the padding.
        let blank = column("<blank>")
            .or(config.pad_token_id)
            .or_else(|| column("<pad>"))
            .or_else(|| column("[PAD]"));
        let blank = blank.filter(|blank| (*blank as usize) < columns);
        let Some(blank) = blank else {
            return wrong("it says of no token that it is the blank".to_owned());
        };
        let delimiter = tokenizer.word_delimiter_token.as_deref().unwrap_or("|");
        Ok(Self {
            blank,
            delimiter: column(delimiter).filter(|delimiter| *delimiter != blank),
            star: column("<star>"),
            normalize: preprocessor.do_normalize.unwrap_or(true),
            layers,
            columns,
            tokens,
        })
    }

    /// Samples from one frame to the next.
    pub(super) fn stride(&self) -> usize {
        self.layers.iter().map(|(_, stride)| stride).product()
    }

    /// The frames that so many samples give.
    pub(super) fn frames(&self, samples: usize) -> usize {
        self.layers.iter().fold(samples, |length, (kernel, stride)| {
            if length < *kernel {
                0
            } else {
                (length - kernel) / stride + 1
            }
        })
    }
}

fn optional<T: DeserializeOwned + Default>(path: Option<PathBuf>) -> Result<T, CtcError> {
    path.as_deref().map_or_else(|| Ok(T::default()), json)
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, CtcError> {
    let mut content = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut content));
    read.map_err(|error| CtcError::file(path, error))?;
    if content.len() as u64 > LARGEST {
        return Err(CtcError::file(path, format!("it is longer than {LARGEST} bytes")));
    }
    serde_json::from_slice(&content).map_err(|error| CtcError::file(path, error))
}
